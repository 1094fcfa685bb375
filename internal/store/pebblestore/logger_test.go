package pebblestore

import (
	"errors"
	"testing"
)

// TestFatal has the engine give up in a reader's goroutine, and in one of its own.
func TestFatal(t *testing.T) {
	t.Parallel()
	l := &engineLogger{log: openForTest(t, Config{}).cfg.Logger, fuse: newFuse()}
	err := readEngine(func() error {
		l.Fatalf("file %d is missing", 7)
		t.Error("Fatalf returned")
		return nil
	})
	if !errors.Is(err, ErrEngine) || !errors.Is(l.fuse.err(), ErrEngine) {
		t.Errorf("the read: %v; the fuse: %v; want ErrEngine", err, l.fuse.err())
	}
	l.fuse = newFuse()
	go func() {
		defer t.Error("a goroutine of the engine went on after Fatalf")
		l.Fatalf("MANIFEST write failed")
	}()
	<-l.fuse.blown
}
