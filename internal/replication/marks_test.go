package replication

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// sweepAndFail has a sweeper stop after so many effects, and a relay mark a later write meanwhile. It tells whether the sweeper was stopped,
// and whether what was not sent is marked in the end.
func sweepAndFail(t *testing.T, stop int, blind func(store.Op) bool) (stopped, known bool) {
	t.Helper()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	w.net.down[abroad] = true
	w.handle(fed(acme, w.write(acme, sole, newUser(sole, 1), nil)))
	w.net.down[abroad] = false
	w.now = w.now.Add(time.Minute)

	p := &relayProcess{}
	w.startRelay(RelayTuning{Parallel: 1})
	p.relay = w.relay
	p.relay.cfg.Table = stepped{w.table, &p.process, blind}
	p.relay.cfg.Sender = steppedSender{w.net, &p.process}
	p.start(func() { _ = p.relay.newBatch(time.Hour).sweepMarks(context.Background()) })
	for n := 0; p.running && n < stop; n++ {
		p.step(false)
	}
	stopped = p.running
	w.startRelay(RelayTuning{Parallel: 1})
	w.net.down[abroad] = true
	second := w.write(acme, sole, newUser(sole, 2), nil)
	w.handle(fed(acme, second))
	w.net.down[abroad] = false
	for p.running {
		p.step(false)
	}
	c, err := w.relay.readCursor(t.Context(), pair{acme, soleLane(), projections}, abroad)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range w.marked(abroad) {
		if q, ok := pairOf(m); ok && q.lane == soleLane() {
			return stopped, true
		}
	}
	return stopped, c.version == second
}

// Whenever a relay marks a pair that a sweeper is at, what it means is sent or stays marked.
func TestNoMarkIsLost(t *testing.T) {
	t.Parallel()
	var known bool
	for stop, stopped := 0, true; stopped; stop++ {
		if stopped, known = sweepAndFail(t, stop, nil); !known {
			t.Errorf("stopped after %d effects: a write is neither sent nor marked", stop)
		}
	}
	// Without the condition, that is not so.
	blind := func(op store.Op) bool {
		return op.Kind == store.Delete && strings.HasPrefix(op.Item.Key.Partition, keyspace.DirtyPairs(abroad))
	}
	known = true
	for stop, stopped := 0, true; stopped && known; stop++ {
		stopped, known = sweepAndFail(t, stop, blind)
	}
	if known {
		t.Error("the condition is not needed")
	}
}

// A mark of an earlier position does not take the place of one of a later.
func TestMarksOnlyRise(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	p := pair{acme, 1, projections}
	for _, head := range []ident.Seq{2, 5, 3, 5, 0} {
		other := pair{ident.TenantID(strings.Repeat("b", int(head)+1)), 1, projections}
		if err := w.relay.markDirty(t.Context(), abroad, map[pair]ident.Seq{p: head, other: 1}); err != nil {
			t.Fatal(err)
		}
	}
	marks := w.marked(abroad)
	if len(marks) != 5 || marks[0].Version != dirtyAt(5) {
		t.Errorf("marked: %+v", marks)
	}
}
