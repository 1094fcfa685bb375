package globaltable

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// outbound is the log of what this replica has written and others must be told. Its records say which item and when; the item is read when it
// is told, so a burst on one item is told once.
//
// Numbers are taken before a commit and come to the table in any order. A cursor may not pass a number whose commit is still
// under way, so complete says how far all commits have an outcome.
type outbound struct {
	local store.Store

	mu      sync.Mutex
	next    uint64
	running map[uint64]struct{}
	// moved is closed, and replaced, when a commit has ended.
	moved chan struct{}
}

func outboundKey(n uint64) store.Key {
	return store.Key{Partition: outboundPartition, Sort: string(binary.BigEndian.AppendUint64(nil, n))}
}

func openOutbound(ctx context.Context, local store.Store) (*outbound, error) {
	o := &outbound{local: local, next: 1, running: make(map[uint64]struct{}), moved: make(chan struct{})}
	page, err := local.Query(ctx, store.Query{Partition: outboundPartition, Descending: true, Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("reading what was not told yet: %w", err)
	}
	if len(page.Items) == 1 {
		o.next = binary.BigEndian.Uint64([]byte(page.Items[0].Key.Sort)) + 1
	}
	// Records that everyone was told are gone; a number is never given twice all the same, for cursors remember it.
	cursors, err := local.Query(ctx, store.Query{Partition: cursorPartition})
	if err != nil {
		return nil, fmt.Errorf("reading how far others were told: %w", err)
	}
	for _, item := range cursors.Items {
		o.next = max(o.next, uint64(item.Version.Seq)+1)
	}
	return o, nil
}

// begin takes the number of a commit that is about to be sent.
func (o *outbound) begin() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.next
	o.next++
	o.running[n] = struct{}{}
	return n
}

// end says that the commit has an outcome, whichever.
func (o *outbound) end(n uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.running, n)
	close(o.moved)
	o.moved = make(chan struct{})
}

// complete is the number up to which every commit has an outcome, and a channel that closes when that may have changed.
func (o *outbound) complete() (uint64, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.next - 1
	for r := range o.running {
		n = min(n, r-1)
	}
	return n, o.moved
}

// record is one write that others must be told.
type record struct {
	n     uint64
	key   store.Key
	stamp stamp
}

// read returns the records after a number, up to another.
func (o *outbound) read(ctx context.Context, after, upTo uint64) ([]record, error) {
	page, err := o.local.Query(ctx, store.Query{
		Partition: outboundPartition, From: outboundKey(after + 1).Sort, To: outboundKey(upTo + 1).Sort, Limit: maxBatch,
	})
	if err != nil {
		return nil, fmt.Errorf("reading what was not told yet: %w", err)
	}
	records := make([]record, 0, len(page.Items))
	for _, item := range page.Items {
		key, s, err := decodeOutbound(item.Value)
		if err != nil {
			return nil, err
		}
		records = append(records, record{n: binary.BigEndian.Uint64([]byte(item.Key.Sort)), key: key, stamp: s})
	}
	return records, nil
}

// encodeOutbound is the stamp, and behind it the lengths of the partition and the parts of the key.
func encodeOutbound(key store.Key, s stamp) []byte {
	body := binary.BigEndian.AppendUint32(nil, uint32(len(key.Partition))) //nolint:gosec // Keys are short.
	body = append(body, key.Partition...)
	return s.encode(append(body, key.Sort...))
}

var errOutbound = errors.New("globaltable: a damaged outbound record")

func decodeOutbound(data []byte) (store.Key, stamp, error) {
	s, body, err := decodeStamp(data)
	if err != nil {
		return store.Key{}, stamp{}, err
	}
	if len(body) < 4 || uint64(len(body)-4) < uint64(binary.BigEndian.Uint32(body)) {
		return store.Key{}, stamp{}, errOutbound
	}
	n := int(binary.BigEndian.Uint32(body))
	return store.Key{Partition: string(body[4 : 4+n]), Sort: string(body[4+n:])}, s, nil
}

// cursor reads how far a peer was told.
func (o *outbound) cursor(ctx context.Context, peer ident.RegionID) (uint64, error) {
	item, err := o.local.Get(ctx, store.Key{Partition: cursorPartition, Sort: string(peer)})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("reading how far %s was told: %w", peer, err)
	default:
		return uint64(item.Version.Seq), nil
	}
}

// advance keeps how far a peer was told.
func (o *outbound) advance(ctx context.Context, peer ident.RegionID, n uint64) error {
	v := ident.Version{Seq: ident.Seq(n)}
	err := o.local.Commit(ctx, store.Commit{Ops: []store.Op{{Kind: store.Put, If: store.OlderThan(v), Item: store.Item{
		Key: store.Key{Partition: cursorPartition, Sort: string(peer)}, Version: v, Tag: store.Tag{Class: store.ClassGlobal},
	}}}})
	var condition *store.ConditionError
	if err != nil && !errors.As(err, &condition) { // A cursor that is further already is as good.
		return fmt.Errorf("keeping how far %s was told: %w", peer, err)
	}
	return nil
}

// prune deletes the records that every peer was told.
func (o *outbound) prune(ctx context.Context, peers []ident.RegionID) error {
	told, _ := o.complete()
	for _, peer := range peers {
		n, err := o.cursor(ctx, peer)
		if err != nil {
			return err
		}
		told = min(told, n)
	}
	for {
		page, err := o.local.Query(ctx, store.Query{Partition: outboundPartition, To: outboundKey(told + 1).Sort, Limit: store.MaxOps})
		if err != nil || len(page.Items) == 0 {
			return err
		}
		ops := make([]store.Op, len(page.Items))
		for i, item := range page.Items {
			ops[i] = store.Op{Kind: store.Delete, Item: store.Item{Key: item.Key}}
		}
		if err := o.local.Commit(ctx, store.Commit{Ops: ops}); err != nil {
			return fmt.Errorf("dropping what everyone was told: %w", err)
		}
	}
}
