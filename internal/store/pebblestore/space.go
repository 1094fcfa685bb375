package pebblestore

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ballastName is a file that only takes space. Its name is none that the engine uses.
const ballastName = "BALLAST"

// space refuses writes while there is room to refuse them in. It has two lines: a watermark of free bytes, looked at before
// each group of commits, below which commits are answered ErrFull; and a ballast file, which is removed when the engine runs
// out of space all the same (somebody else filled the disk), so that its log, its manifest and a flush still find room. The
// engine can retry a failed flush, but not a failed write of its log.
type space struct {
	fs      vfs.FS
	dir     string
	min     uint64
	ballast uint64
	log     *slog.Logger

	mu       sync.Mutex
	released bool
	full     bool
}

// newSpace makes the ballast if there is room for it.
func newSpace(cfg *Config) *space {
	s := &space{
		fs: cfg.FS, dir: cfg.Dir, log: cfg.Logger, released: true,
		min: uint64(cfg.MinFreeBytes), ballast: uint64(cfg.BallastBytes), //nolint:gosec // Never negative.
	}
	_, err := cfg.FS.Stat(s.path())
	s.released = err != nil
	s.admit(0)
	return s
}

func (s *space) path() string { return s.fs.PathJoin(s.dir, ballastName) }

// admit tells whether there is room for a group of commits of so many bytes. It costs one statfs.
func (s *space) admit(bytes int) bool {
	usage, err := s.fs.GetDiskUsage(s.dir)
	if err != nil {
		if !errors.Is(err, vfs.ErrUnsupported) {
			s.log.Warn("cannot tell the free disk space", slog.Any("error", err))
		}
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	need := s.min + uint64(bytes) //nolint:gosec // Never negative.
	if s.released && s.ballast > 0 && usage.AvailBytes >= need+s.ballast && s.refill() {
		s.released = false
		usage.AvailBytes -= s.ballast
	}
	full := usage.AvailBytes < need
	if full != s.full {
		s.full = full
		if full {
			s.log.Error("the disk is full: writes are refused, reads go on", slog.Uint64("free_bytes", usage.AvailBytes),
				slog.Uint64("need_bytes", need))
		} else {
			s.log.Info("there is disk space again: writes go on", slog.Uint64("free_bytes", usage.AvailBytes))
		}
	}
	return !full
}

// release is what vfs.OnDiskFull calls: the write that found no space is tried once more after it.
func (s *space) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.released {
		return
	}
	s.released = true
	if err := s.fs.Remove(s.path()); err != nil && !oserror.IsNotExist(err) {
		s.log.Error("cannot remove the ballast file", slog.Any("error", err))
		return
	}
	s.log.Error("the engine found no disk space; the ballast file was removed", slog.Uint64("bytes", s.ballast))
}

// refill makes the ballast file; it reports whether it is there.
func (s *space) refill() bool {
	err := s.writeBallast()
	if err == nil {
		return true
	}
	s.log.Warn("cannot make the ballast file", slog.Any("error", err))
	if err := s.fs.Remove(s.path()); err != nil && !oserror.IsNotExist(err) {
		s.log.Warn("cannot remove the ballast file", slog.Any("error", err))
	}
	return false
}

func (s *space) writeBallast() (err error) {
	f, err := s.fs.Create(s.path(), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("making it: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if f.Preallocate(0, int64(s.ballast)) == nil { //nolint:gosec // It came from an int64.
		return nil
	}
	// A file system without fallocate: write it.
	chunk := make([]byte, 256<<10)
	for left := s.ballast; left > 0; {
		n := min(left, uint64(len(chunk)))
		if _, err := f.Write(chunk[:n]); err != nil {
			return fmt.Errorf("filling it: %w", err)
		}
		left -= n
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing it: %w", err)
	}
	return nil
}
