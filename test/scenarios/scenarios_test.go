package scenarios

import (
	"flag"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

var (
	oneSeed = flag.Uint64("seed", 0, "run this seed alone, and print what happens")
	forTime = flag.Duration("for", 0, "run new seeds for so long, instead of the fixed ones")
)

const (
	// seeds is how many runs a test of everything makes, and steps how many steps each has before it heals.
	seeds = 240
	steps = 1200
)

// TestScenarios runs worlds, several at a time: a fixed set of them, new ones for a time (-for 30s), or one (-seed 17).
func TestScenarios(t *testing.T) { //nolint:tparallel // its group is waited for, the runs in it are parallel
	t.Parallel()
	switch {
	case *oneSeed > 0:
		w := newWorld(*oneSeed, off{})
		failure := w.run()
		t.Logf("seed %d:\n%s", *oneSeed, w.history())
		if failure != "" {
			t.Error(failure)
		}
	case *forTime > 0:
		begun, first := time.Now(), uint64(time.Now().UnixNano())
		n := search(t, first, off{}, func(uint64) bool { return time.Since(begun) < *forTime })
		t.Logf("%d seeds from %d on", n, first)
	default:
		most := uint64(seeds)
		if testing.Short() {
			most /= 8
		}
		search(t, 1, off{}, func(n uint64) bool { return n < most })
	}
}

// search runs seeds from the first on, as long as more says, and reports those that fail.
func search(t *testing.T, first uint64, o off, more func(n uint64) bool) uint64 {
	t.Helper()
	var next atomic.Uint64
	t.Run("seeds", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				for !t.Failed() {
					n := next.Add(1) - 1
					if !more(n) {
						return
					}
					w := newWorld(first+n, o)
					if failure := w.run(); failure != "" {
						t.Errorf("seed %d fails: %s\nrun it again with: go test ./test/scenarios -run 'TestScenarios$' -seed %d\n%s",
							first+n, failure, first+n, w.history())
					}
				}
			})
		}
	})
	return next.Load()
}

// A seed gives the same run each time, to the letter.
func TestASeedReplays(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		a, b := newWorld(seed, off{}), newWorld(seed, off{})
		a.run()
		b.run()
		for i := range a.log {
			if i >= len(b.log) || a.log[i] != b.log[i] {
				t.Fatalf("seed %d differs at line %d:\n%s\n%s", seed, i, a.log[i], b.log[min(i, len(b.log)-1)])
			}
		}
	}
}
