package pebblestore

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// slots is how many counters the keys and partitions share. Two that fall into one slot cost a reader a wait, nothing else.
const slots = 1 << 14

// unsynced keeps reads from showing what a crash could take back. The engine makes a group of commits visible when it is in
// the memtable, which is before it is on disk. Therefore each key and partition that a group touches is marked with the
// group's number before the group is applied; a reader looks at the mark after it has read, and waits for that group if it
// is not yet synced.
//
// The marks are a fixed array indexed by a hash: no locks, no memory that grows, nothing to remove.
type unsynced struct {
	seed  maphash.Seed
	marks [slots]atomic.Uint64
	// synced is the number of the last group that is on disk, and with it all before it.
	synced atomic.Uint64

	mu       sync.Mutex
	inFlight map[uint64]chan struct{}
}

func newUnsynced() *unsynced {
	return &unsynced{seed: maphash.MakeSeed(), inFlight: make(map[uint64]chan struct{})}
}

// begin registers a group before anything of it is marked.
func (u *unsynced) begin(group uint64) {
	u.mu.Lock()
	u.inFlight[group] = make(chan struct{})
	u.mu.Unlock()
}

// mark says that a group is about to change what has this key. Only the committer calls it, with rising numbers.
func (u *unsynced) mark(group uint64, key string) {
	u.slot(maphash.String(u.seed, key)).Store(group)
}

// end says that a group, and each before it, is on disk.
func (u *unsynced) end(group uint64) {
	u.synced.Store(group)
	u.mu.Lock()
	done := u.inFlight[group]
	delete(u.inFlight, group)
	u.mu.Unlock()
	close(done)
}

// wait returns when what was read under key before the call can no longer be lost. It fails when ctx ends or the engine
// failed before the group was on disk.
func (u *unsynced) wait(ctx context.Context, key []byte, fuse *fuse) error {
	group := u.slot(maphash.Bytes(u.seed, key)).Load()
	if group <= u.synced.Load() {
		return nil
	}
	u.mu.Lock()
	done, waiting := u.inFlight[group]
	u.mu.Unlock()
	if !waiting {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-fuse.blown:
		return fuse.err()
	}
}

func (u *unsynced) slot(hash uint64) *atomic.Uint64 { return &u.marks[hash%slots] }
