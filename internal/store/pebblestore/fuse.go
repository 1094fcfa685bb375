package pebblestore

import (
	"errors"
	"fmt"
	"sync"
)

// ErrEngine says that the engine failed in a way that only a restart of the process mends: a log or manifest that could not
// be written. All operations fail with it from then on; the outcome of those under way is unknown.
var ErrEngine = errors.New("pebblestore: the storage engine failed; restart the process")

// fuse blows once, at the engine's first fatal error.
type fuse struct {
	once  sync.Once
	blown chan struct{}
	cause error
}

func newFuse() *fuse { return &fuse{blown: make(chan struct{})} }

// blow reports whether this was the first failure.
func (f *fuse) blow(cause error) bool {
	first := false
	f.once.Do(func() {
		first = true
		f.cause = cause
		close(f.blown)
	})
	return first
}

// err is nil while the engine works.
func (f *fuse) err() error {
	select {
	case <-f.blown:
		return fmt.Errorf("%w: %w", ErrEngine, f.cause)
	default:
		return nil
	}
}
