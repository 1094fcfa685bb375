// Package crashfs is a file system for tests of crashes: it stops at each operation that changes it.
//
//nolint:wrapcheck // it gives on what it is asked, and the answers, as they are
package crashfs

import (
	"io"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// crashFS calls a hook before each operation that changes its file system, with no other such operation under way, so that
// what the hook clones is what a crash at that moment could leave.
type crashFS struct {
	vfs.FS

	mu   sync.Mutex
	hook func(op string)
}

// New returns a file system that calls a hook before each operation that changes it, and what sets the hook; nil is none.
func New(inner vfs.FS) (fs vfs.FS, setHook func(hook func(op string))) {
	c := &crashFS{FS: inner}
	return c, func(hook func(op string)) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.hook = hook
	}
}

func (c *crashFS) step(op string, do func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hook != nil {
		c.hook(op)
	}
	return do()
}

func (c *crashFS) opened(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &file{File: f, fs: c}, nil
}

func (c *crashFS) Create(name string, category vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = c.step("create", func() error { f, err = c.FS.Create(name, category); return err })
	return c.opened(f, err)
}

func (c *crashFS) Link(oldname, newname string) error {
	return c.step("link", func() error { return c.FS.Link(oldname, newname) })
}

func (c *crashFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return c.opened(c.FS.Open(name, opts...))
}

func (c *crashFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (f vfs.File, err error) {
	err = c.step("open", func() error { f, err = c.FS.OpenReadWrite(name, category, opts...); return err })
	return c.opened(f, err)
}

func (c *crashFS) OpenDir(name string) (vfs.File, error) { return c.opened(c.FS.OpenDir(name)) }

func (c *crashFS) Remove(name string) error {
	return c.step("remove", func() error { return c.FS.Remove(name) })
}

func (c *crashFS) RemoveAll(name string) error {
	return c.step("remove", func() error { return c.FS.RemoveAll(name) })
}

func (c *crashFS) Rename(oldname, newname string) error {
	return c.step("rename", func() error { return c.FS.Rename(oldname, newname) })
}

func (c *crashFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = c.step("reuse", func() error { f, err = c.FS.ReuseForWrite(oldname, newname, category); return err })
	return c.opened(f, err)
}

func (c *crashFS) MkdirAll(dir string, perm os.FileMode) error {
	return c.step("mkdir", func() error { return c.FS.MkdirAll(dir, perm) })
}

func (c *crashFS) Lock(name string) (l io.Closer, err error) {
	err = c.step("lock", func() error { l, err = c.FS.Lock(name); return err })
	return l, err
}

func (c *crashFS) Unwrap() vfs.FS { return c.FS }

type file struct {
	vfs.File

	fs *crashFS
}

func (f *file) Write(p []byte) (n int, err error) {
	err = f.fs.step("write", func() error { n, err = f.File.Write(p); return err })
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.fs.step("write", func() error { n, err = f.File.WriteAt(p, off); return err })
	return n, err
}

func (f *file) Sync() error     { return f.fs.step("sync", f.File.Sync) }
func (f *file) SyncData() error { return f.fs.step("sync", f.File.SyncData) }
