package pebblestore_test

import (
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// quotaFS is a disk of a given size in memory: writes beyond it fail with ENOSPC, as a real one's do.
type quotaFS struct {
	*vfs.MemFS

	mu    sync.Mutex
	size  int64
	files map[string]*quotaNode
	// lie makes GetDiskUsage tell of plenty, as if somebody else filled the disk right after it was asked.
	lie bool
	// broken makes writes to, and syncs of, files whose name has this part fail.
	broken string
}

type quotaNode struct{ size int64 }

func newQuotaFS(size int64) *quotaFS {
	return &quotaFS{MemFS: vfs.NewMem(), size: size, files: map[string]*quotaNode{}}
}

func (q *quotaFS) set(change func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	change()
}

func (q *quotaFS) used() (n int64) {
	for _, f := range q.files {
		n += f.size
	}
	return n
}

func (q *quotaFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lie {
		return vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 40}, nil
	}
	used := q.used()
	return vfs.DiskUsage{AvailBytes: uint64(max(q.size-used, 0)), TotalBytes: uint64(q.size), UsedBytes: uint64(used)}, nil
}

func (q *quotaFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := q.MemFS.Create(name, c)
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.files[name] = &quotaNode{}
	return &quotaFile{File: f, fs: q, name: name, node: q.files[name]}, nil
}

func (q *quotaFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := q.MemFS.ReuseForWrite(oldname, newname, c)
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.move(oldname, newname)
	return &quotaFile{File: f, fs: q, name: newname, node: q.files[newname]}, nil
}

func (q *quotaFS) Rename(oldname, newname string) error {
	if err := q.MemFS.Rename(oldname, newname); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.move(oldname, newname)
	return nil
}

func (q *quotaFS) move(oldname, newname string) {
	q.files[newname] = q.files[oldname]
	delete(q.files, oldname)
}

func (q *quotaFS) Remove(name string) error {
	if err := q.MemFS.Remove(name); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.files, name)
	return nil
}

// has tells whether a file of that name takes space.
func (q *quotaFS) has(name string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.files[name]
	return f != nil && f.size > 0
}

func (q *quotaFS) Unwrap() vfs.FS { return q.MemFS }

type quotaFile struct {
	vfs.File

	fs   *quotaFS
	name string
	node *quotaNode
	pos  int64
}

// take accounts for the file reaching to end.
func (f *quotaFile) take(op string, end int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.broken != "" && strings.Contains(f.name, f.fs.broken) {
		return &os.PathError{Op: op, Path: f.name, Err: syscall.EIO}
	}
	if end > f.node.size {
		if f.fs.used()+end-f.node.size > f.fs.size {
			return &os.PathError{Op: op, Path: f.name, Err: syscall.ENOSPC}
		}
		f.node.size = end
	}
	return nil
}

func (f *quotaFile) Write(p []byte) (int, error) {
	if err := f.take("write", f.pos+int64(len(p))); err != nil {
		return 0, err
	}
	n, err := f.File.Write(p)
	f.pos += int64(n)
	return n, err
}

func (f *quotaFile) Preallocate(offset, length int64) error {
	return f.take("fallocate", offset+length)
}
func (f *quotaFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *quotaFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *quotaFile) sync(do func() error) error {
	if err := f.take("sync", 0); err != nil {
		return err
	}
	return do()
}
