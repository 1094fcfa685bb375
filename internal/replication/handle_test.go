package replication

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/store"
)

// fed is what the change feed tells of a write of sole.
func fed(tenant ident.TenantID, at ident.Version) []store.Change {
	return []store.Change{{Key: keyspace.Outbox(tenant, soleLane(), at.Seq)}}
}

// marked returns what is marked as not sent to a region.
func (w *world) marked(to ident.RegionID) []store.Item {
	w.tb.Helper()
	page, err := w.table.Query(context.Background(), store.Query{Partition: keyspace.DirtyPairs(to)})
	if err != nil {
		w.tb.Fatal(err)
	}
	return page.Items
}

func (w *world) handle(changes []store.Change) {
	w.tb.Helper()
	if err := w.relay.Handle(context.Background(), changes); err != nil {
		w.tb.Fatal(err)
	}
}

func (w *world) sweep() {
	w.tb.Helper()
	if err := w.relay.Sweep(context.Background()); err != nil {
		w.tb.Fatal(err)
	}
}

func (w *world) sentAbroad() int { return len(w.net.queue(abroad, QueueEvents).sent) }

func TestHandleSendsWhatItIsToldAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	w.tenant("other")
	other := w.write("other", sole, newUser(sole, 1), nil)
	w.handle(fed(acme, w.write(acme, sole, newUser(sole, 1), nil)))
	// The openings of eight lanes and an event.
	if got := w.sentAbroad(); got != ident.Lanes+1 {
		t.Errorf("%d messages were sent", got)
	}
	if marks := w.marked(abroad); len(marks) > 0 {
		t.Errorf("marked: %v", marks)
	}
	w.handle(nil)
	w.handle([]store.Change{{Key: keyspace.Outbox(acme, 1, 1), Deleted: true}, {Key: keyspace.Counter(acme, 1)}})
	if got := w.sentAbroad(); got != ident.Lanes+1 {
		t.Errorf("%d messages were sent", got)
	}
	w.handle(fed("other", other))
	if got := w.sentAbroad(); got != 2*(ident.Lanes+1) {
		t.Errorf("%d messages were sent", got)
	}
}

// A region that does not answer is no failure of a batch, and costs no other region anything. What it was not sent is marked, and sent
// when it answers.
func TestHandleMarksWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	w.net.down[abroad] = true
	for n := range 3 {
		w.handle(fed(acme, w.write(acme, sole, newUser(sole, n), nil)))
	}
	marks := w.marked(abroad)
	if len(marks) != 1 || marks[0].Version != dirtyAt(3) || marks[0].Tag != (store.Tag{Tenant: acme, Class: store.ClassGlobal, Jurisdiction: "EU"}) {
		t.Fatalf("marked: %+v", marks)
	}
	if w.sentAbroad() != 0 || len(w.net.queue(standby, QueueSealed).sent) == 0 || len(w.marked(standby)) > 0 {
		t.Error("the region that answers was not sent everything")
	}
	w.sweep() // It looks at the other lanes too.
	if marks := w.marked(abroad); len(marks) != ident.Lanes {
		t.Errorf("marked: %+v", marks)
	}
	if s := w.relay.Status()[1]; s.Region != abroad || !errors.Is(s.Failure, errDown) {
		t.Errorf("status: %+v", s)
	}
	w.net.down[abroad] = false
	w.now = w.now.Add(time.Minute)
	w.startRelay(RelayTuning{})
	w.sweep()
	if got := w.sentAbroad(); got != ident.Lanes+3+1 || len(w.marked(abroad)) > 0 {
		t.Errorf("%d messages were sent, %d marks stay", got, len(w.marked(abroad)))
	}
}

// broken is a table that takes no marks.
type broken struct{ store.Store }

func (b broken) Commit(ctx context.Context, c store.Commit) error {
	if c.Ops[0].Item.Key.Partition == keyspace.DirtyPairs(abroad) {
		return errDown
	}
	return b.Store.Commit(ctx, c)
}

func TestHandleFailsWhenItCannotMark(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	w.net.down[abroad] = true
	w.relay.cfg.Table = broken{w.table}
	err := w.relay.Handle(t.Context(), fed(acme, w.write(acme, sole, newUser(sole, 1), nil)))
	if !errors.Is(err, errDown) {
		t.Errorf("handling: %v", err)
	}
}

// A tenant whose record has not come yet is marked for everybody who may be granted it.
func TestHandleKeepsWhatTheDirectoryDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	v := w.write(acme, sole, newUser(sole, 1), nil)
	w.handle(fed(acme, v))
	if a, b := len(w.marked(abroad)), len(w.marked(standby)); a != 1 || b != 2 {
		t.Fatalf("%d and %d marks", a, b)
	}
	w.sweep()
	if a, b := len(w.marked(abroad)), len(w.marked(standby)); a != 1 || b != 2 {
		t.Fatalf("%d and %d marks after a sweep", a, b)
	}
	w.tenant(acme)
	w.sweep()
	if a, b := len(w.marked(abroad)), len(w.marked(standby)); a+b != 0 || w.sentAbroad() < ident.Lanes {
		t.Errorf("%d and %d marks stay, %d messages were sent", a, b, w.sentAbroad())
	}
}

// A mark of a tenant that has moved is deleted, once the directory here knows of the later ownership.
func TestMarksOfTenantsThatMovedAreDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.dir.set(acme, routing.Tenant{Home: dublin, Standby: frankfurt, Projections: everywhere, State: active, Epoch: 1})
	lane := laneOf{acme, keyspace.LaneOf(sole)}
	w.handle(fed(acme, w.write(acme, sole, newUser(sole, 1), nil)))
	w.sweep()
	if len(w.marked(abroad)) != 1 {
		t.Errorf("a lane is given up that the directory may be behind of: %v", lane)
	}
	w.dir.set(acme, routing.Tenant{Home: dublin, Standby: frankfurt, Projections: everywhere, State: active, Epoch: 2})
	w.sweep()
	if marks := w.marked(abroad); len(marks) != 0 {
		t.Errorf("marks stay: %v", marks)
	}
}

// What the change feed never told of is found, some tenants a run, whoever sweeps; outboxes that everybody was sent are pruned.
func TestSweepFindsWhatTheFeedLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	tenants := []ident.TenantID{"a1", "b2", "c3", "d4", "e5"}
	for _, id := range tenants {
		w.tenant(id)
		w.write(id, sole, newUser(sole, 1), nil)
	}
	sent := func() (n int) {
		for _, id := range tenants {
			if c, err := w.relay.readCursor(t.Context(), pair{id, keyspace.LaneOf(sole), projections}, abroad); err == nil && c.exists && c.version.Seq == 1 {
				n++
			}
		}
		return n
	}
	for _, want := range []int{2, 4, 5, 5} {
		w.startRelay(RelayTuning{SweepTenants: 2})
		w.sweep()
		if got := sent(); got != want {
			t.Errorf("%d tenants were sent, want %d", got, want)
		}
	}
	for _, id := range tenants {
		from, to := keyspace.OutboxAfter(0)
		page, err := w.table.Query(t.Context(), store.Query{Partition: keyspace.Lane(id, keyspace.LaneOf(sole)), From: from, To: to})
		if err != nil || len(page.Items) > 0 {
			t.Errorf("%s: %d records stay, %v", id, len(page.Items), err)
		}
	}
}

// A tenant that cannot be read keeps no other from being looked at.
func TestSweepGoesOnPastWhatItCannotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	for _, id := range []ident.TenantID{"a1", "b2"} {
		w.tenant(id)
		w.write(id, sole, newUser(sole, 1), nil)
	}
	key := keyspace.Cursor("a1", keyspace.LaneOf(sole), projections, abroad)
	if err := w.table.Commit(t.Context(), store.Commit{Ops: []store.Op{{Kind: store.Put, Item: store.Item{
		Key: key, Value: []byte{0xff}, Tag: store.Tag{Class: store.ClassGlobal},
	}}}}); err != nil {
		t.Fatal(err)
	}
	if err := w.relay.Sweep(t.Context()); err == nil {
		t.Error("nothing is said of a cursor that does not decode")
	}
	c, err := w.relay.readCursor(t.Context(), pair{"b2", keyspace.LaneOf(sole), projections}, abroad)
	if err != nil || c.version.Seq != 1 {
		t.Errorf("the other tenant was sent up to %v, %v", c.version, err)
	}
}

// Handle prunes an outbox now and then by itself.
func TestHandlePrunes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	for n := range pruneEvery {
		w.handle(fed(acme, w.write(acme, sole, newUser(sole, n), nil)))
	}
	from, to := keyspace.OutboxAfter(0)
	page, err := w.table.Query(t.Context(), store.Query{Partition: keyspace.Lane(acme, keyspace.LaneOf(sole)), From: from, To: to})
	if err != nil || len(page.Items) > 0 {
		t.Errorf("%d records stay, %v", len(page.Items), err)
	}
}

// Marks beyond what a run takes up are taken up by others: runs begin anywhere.
func TestMarksAreTakenUpFromAnywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	pairs := make(map[pair]ident.Seq)
	for n := range 2500 {
		pairs[pair{ident.TenantID(fmt.Sprintf("%c-tenant-%d", 'a'+n%26, n)), 1, projections}] = ident.Seq(n + 1)
	}
	if err := w.relay.markDirty(t.Context(), abroad, pairs); err != nil {
		t.Fatal(err)
	}
	for _, jitter := range []float64{0, 0.4, 0.9999, 1} {
		w.relay.cfg.Jitter = func() float64 { return jitter }
		found, err := w.relay.marks(t.Context(), abroad)
		if err != nil || len(found) != len(pairs) {
			t.Errorf("from %v on: %d of %d marks, %v", jitter, len(found), len(pairs), err)
		}
	}
}
