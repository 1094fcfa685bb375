package app

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// emptyDirectory is a directory's table with nothing in it. It counts how often it is read.
type emptyDirectory struct {
	directory.Table

	reads atomic.Int32
}

func (d *emptyDirectory) Get(context.Context, store.Key) (store.Item, error) {
	d.reads.Add(1)
	return store.Item{}, store.ErrNotFound
}

func (d *emptyDirectory) Query(context.Context, store.Query) (store.Page, error) {
	d.reads.Add(1)
	return store.Page{}, nil
}

// A worker looks into the directory again when what it knows is old by the wall clock: the monotonic one may stand still while the process is
// frozen, and what was a moment old when that began is then a moment old for ever.
func TestWorkerLooksAgainByTheWallClock(t *testing.T) {
	t.Parallel()
	table, now := &emptyDirectory{}, time.Now()
	w := &Worker{cfg: WorkerConfig{Clock: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler)}, region: &region{}}
	var err error
	w.region.directory, err = directory.OpenReplica(t.Context(), directory.ReplicaConfig{
		Table: table, Topology: topologyfile.Default(), Clock: w.cfg.Clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name  string
		after time.Duration
		looks bool
	}{
		{"first", 0, true}, {"at once", 0, false}, {"a moment later", directoryAge - 1, false}, {"later", 1, true},
		{"the clock was set back", -time.Hour, true}, {"at once after that", 0, false},
	} {
		now = now.Add(step.after)
		before := table.reads.Load()
		if err := w.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if looked := table.reads.Load() > before; looked != step.looks {
			t.Errorf("%s: it looks: %v, want %v", step.name, looked, step.looks)
		}
		if w.polled != w.polled.Round(0) { // == compares the monotonic reading too
			t.Errorf("%s: it counts by the monotonic clock", step.name)
		}
	}
}
