package storequeue_test

import (
	"errors"
	"testing"

	"github.com/domicile-api/domicile/internal/queue/queuetest"
	"github.com/domicile-api/domicile/internal/queue/storequeue"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/testclock"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	memory := func(t *testing.T, cfg pebblestore.Config) *pebblestore.DB {
		t.Helper()
		return openDB(t, pebblestore.OpenMemory, cfg)
	}
	// A memtable of a few commits, so that most of what is read and compared comes from tables on disk.
	disk := func(t *testing.T, cfg pebblestore.Config) *pebblestore.DB {
		t.Helper()
		cfg.Dir, cfg.MemTableBytes, cfg.MinFreeBytes, cfg.BallastBytes = t.TempDir(), 64<<10, -1, -1
		return openDB(t, pebblestore.Open, cfg)
	}
	for name, tt := range map[string]struct {
		open    func(*testing.T, pebblestore.Config) *pebblestore.DB
		options queuetest.Options
	}{
		"in memory, by a clock":              {memory, queuetest.Options{Clock: testclock.New}},
		"in memory, in real time":            {memory, queuetest.Options{}},
		"on a disk, through tables, a clock": {disk, queuetest.Options{Clock: testclock.New}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queuetest.Run(t, func(t *testing.T, s queuetest.Setup) queuetest.Queues {
				t.Helper()
				table := tt.open(t, pebblestore.Config{Clock: s.Clock, ShuffleChanges: 1}).Table("queues")
				return openQueues(t, table, s)
			}, tt.options)
		})
	}
}

func openDB(t *testing.T, open func(pebblestore.Config) (*pebblestore.DB, error), cfg pebblestore.Config) *pebblestore.DB {
	t.Helper()
	db, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// openQueues opens a queue and its dead-letter queue.
func openQueues(t *testing.T, table store.Store, s queuetest.Setup) queuetest.Queues {
	t.Helper()
	dead := openQueue(t, storequeue.Config{Store: table, Name: "events.dead", Clock: s.Clock})
	q := openQueue(t, storequeue.Config{Store: table, Name: "events", DeadLetters: dead, MaxReceives: s.MaxReceives, Clock: s.Clock})
	closeBoth := func() error { return errors.Join(q.Close(), dead.Close()) }
	return queuetest.Queues{Queue: q, Dead: dead, Close: closeBoth, Reopen: func() queuetest.Queues {
		if err := closeBoth(); err != nil {
			t.Fatal(err)
		}
		return openQueues(t, table, s)
	}}
}

func openQueue(t *testing.T, cfg storequeue.Config) *storequeue.Queue {
	t.Helper()
	q, err := storequeue.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}
