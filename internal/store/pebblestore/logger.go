package pebblestore

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// engineLogger gives the engine's messages to slog. The engine's own news (flushes, compactions) is debug level.
type engineLogger struct {
	log  *slog.Logger
	fuse *fuse
}

var _ pebble.Logger = (*engineLogger)(nil)

// Infof logs at debug level.
func (l *engineLogger) Infof(format string, args ...any) {
	l.log.Debug("engine", slog.String("event", fmt.Sprintf(format, args...)))
}

// Errorf logs at error level.
func (l *engineLogger) Errorf(format string, args ...any) {
	l.log.Error("engine", slog.String("event", fmt.Sprintf(format, args...)))
}

// Fatalf blows the fuse and does not return, for the engine's state is undefined beyond the call: a compaction whose manifest
// edit was not written would go on and delete its inputs. A reader's goroutine panics up to readEngine, which turns it into
// an error. Any other goroutine stops here for good: to unwind it would run deferred unlocks of mutexes that the engine has
// let go, which ends the process.
func (l *engineLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	l.blow(err)
	if calledFrom(readEngineName) {
		panic(enginePanic{err})
	}
	select {}
}

func (l *engineLogger) blow(err error) {
	if l.fuse.blow(err) {
		l.log.Error("the storage engine failed; the store answers errors until the process is restarted", slog.Any("error", err))
	}
}

// enginePanic carries a fatal error out of a reader's call into the engine.
type enginePanic struct{ err error }

const readEngineName = ".readEngine"

// readEngine calls into the engine from a reader's goroutine. Fatalf finds it on the stack by its name.
//
//go:noinline
func readEngine(read func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case enginePanic:
			err = fmt.Errorf("%w: %w", ErrEngine, p.err)
		default:
			panic(p)
		}
	}()
	return read()
}

func calledFrom(function string) bool {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, "pebblestore"+function) {
			return true
		}
		if !more {
			return false
		}
	}
}
