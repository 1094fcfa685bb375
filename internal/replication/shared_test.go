package replication

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// another returns an applier of another process of a region.
func (w *world) another(r *region) *Applier { return w.shared(r, r.replica, r.regional, w.net) }

// What a heartbeat told one process another knows, and it is true whatever becomes of the events.
func TestFreshnessIsKnownToOtherProcesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r, ctx := w.regions[1], t.Context()
	r.applier = w.another(r)
	fresh := func() time.Time {
		t.Helper()
		at, ok, err := w.another(r).Fresh(ctx, acme, projections, home)
		if err != nil || ok == at.IsZero() {
			t.Fatalf("fresh as of %v, %v: %v", at, ok, err)
		}
		return at
	}
	w.handle(fed(acme, w.write(acme, sole, newUser(sole, 1), nil)))
	w.deliverAll()
	if at := fresh(); !at.IsZero() {
		t.Errorf("fresh as of %v, and nobody said so", at)
	}
	first := w.now
	w.sweep()
	w.deliverAll()
	if at := fresh(); !at.Equal(first) {
		t.Errorf("fresh as of %v, want %v", at, first)
	}
	w.now = w.now.Add(time.Minute)
	w.handle(fed(acme, w.write(acme, sole, newUser(sole, 2), nil)))
	w.now = w.now.Add(time.Minute)
	w.sweep()
	w.deliverBeats(r) // The event waits.
	if at := fresh(); !at.Equal(first) {
		t.Errorf("fresh as of %v while an event waits, want %v", at, first)
	}
	second := w.now
	w.deliverAll()
	if at := fresh(); !at.Equal(second) {
		t.Errorf("fresh as of %v, want %v", at, second)
	}
	q := w.net.queue(r.id, QueueEvents)
	q.messages = append(q.messages, q.sent...) // Everything comes once more.
	w.deliverAll()
	if at := fresh(); !at.Equal(second) {
		t.Errorf("fresh as of %v after repetitions, want %v", at, second)
	}
}

// Nothing is kept of standings that make no sense.
func TestUnsoundStandingsAreDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	r := w.regions[1]
	a := w.another(r)
	sound := func() *replicationv1.Heartbeat {
		return standingsBeat(string(home), w.now, 0, []*replicationv1.Standing{{Tenant: "a", Epoch: 1, Heads: make([]uint64, ident.Lanes)}})
	}
	spoil := map[string]func(*replicationv1.Heartbeat){
		"of nobody":        func(b *replicationv1.Heartbeat) { b.Source = "mars-1" },
		"of the region":    func(b *replicationv1.Heartbeat) { b.Source = string(abroad) },
		"without a time":   func(b *replicationv1.Heartbeat) { b.Standings.AsOf = nil },
		"of no tenant":     func(b *replicationv1.Heartbeat) { b.Standings.Tenants = nil },
		"of seven lanes":   func(b *replicationv1.Heartbeat) { b.GetStandings().GetTenants()[0].Heads = make([]uint64, 7) },
		"without an epoch": func(b *replicationv1.Heartbeat) { b.GetStandings().GetTenants()[0].Epoch = 0 },
		"without an id":    func(b *replicationv1.Heartbeat) { b.GetStandings().GetTenants()[0].Tenant = "" },
		"of one tenant twice": func(b *replicationv1.Heartbeat) {
			b.Standings.Tenants = append(b.GetStandings().GetTenants(), b.GetStandings().GetTenants()[0])
		},
		"none": func(b *replicationv1.Heartbeat) { b.Standings = nil },
	}
	for name, change := range spoil {
		beat := sound()
		change(beat)
		if v := a.Apply(t.Context(), beatOf(t, beat)); v[0].Outcome != Done {
			t.Errorf("%s: %+v", name, v)
		}
	}
	for _, source := range []ident.RegionID{home, abroad, "mars-1"} {
		page, err := r.replica.Query(t.Context(), store.Query{Partition: keyspace.StandingsOf(source)})
		if err != nil || len(page.Items) > 0 {
			t.Errorf("of %s is kept: %v, %v", source, page.Items, err)
		}
	}
	a.Apply(t.Context(), beatOf(t, sound()))
	if page, err := r.replica.Query(t.Context(), store.Query{Partition: keyspace.StandingsOf(home)}); err != nil || len(page.Items) != 1 {
		t.Errorf("of sound ones is kept: %v, %v", page.Items, err)
	}
}

func beatOf(tb failer, beat *replicationv1.Heartbeat) []queue.Message {
	body, err := encode(&replicationv1.Envelope{Content: &replicationv1.Envelope_Heartbeat{Heartbeat: beat}})
	if err != nil {
		tb.Fatal(err)
	}
	return []queue.Message{{Body: body, Group: "beats"}}
}

// Who waits in a process that does not apply is woken when another has applied; while nobody waits, nothing is looked at.
func TestWatchSeesOtherProcesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r, ctx := w.regions[1], t.Context()
	reader := w.another(r)
	r.applier = w.another(r)
	w.handle(fed(acme, w.write(acme, sole, newUser(sole, 1), nil)))
	moved, cancel := reader.Watch(acme)
	w.deliverAll()
	late := time.After(time.Minute)
	for {
		if lane, err := ReadLane(ctx, r.replica, acme, projections, home, soleLane()); err == nil && lane.Watermark.Seq == 1 {
			break
		}
		select {
		case <-moved:
			cancel()
			moved, cancel = reader.Watch(acme)
		case <-late:
			t.Fatal("nobody was woken")
		}
	}
	cancel()
	for reader.watchers.wanted(acme) {
		t.Fatal("a watch that has ended is wanted")
	}
}

// A process without a table leaves what needs it to another, and does the rest.
func TestAProcessWithoutATableLeavesWhatNeedsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r, ctx := w.regions[0], t.Context() // the standby
	events, sealed := w.shared(r, r.replica, nil, nil), w.shared(r, nil, r.regional, nil)
	w.handle(fed(acme, w.write(acme, sole, newUser(sole, 1), nil)))
	w.sweep()
	for name, c := range map[string]struct {
		a    *Applier
		lack func(*replicationv1.Envelope) bool
	}{
		"events": {events, func(e *replicationv1.Envelope) bool { return e.GetEvent().GetStream().GetFeed() == standbyFeed }},
		"sealed": {sealed, func(e *replicationv1.Envelope) bool { return e.GetEvent().GetStream().GetFeed() != standbyFeed }},
	} {
		for _, name2 := range []string{QueueEvents, QueueSealed} {
			q := w.net.queue(standby, name2)
			for i, v := range c.a.Apply(ctx, q.messages) {
				want := Done
				if c.lack(decoded(t, q.messages[i])) {
					want = Again
				}
				if v.Outcome != want || (want == Again) != errors.Is(v.Err, errNoTable) {
					t.Errorf("%s: %+v of %v, want %d", name, v, decoded(t, q.messages[i]), want)
				}
			}
		}
	}
	for feed, table := range r.feedsOf() {
		if lane, err := ReadLane(ctx, table, acme, feed, home, soleLane()); err != nil || lane.Watermark.Seq != 1 {
			t.Errorf("%s: %+v, %v", feed, lane, err)
		}
	}
	for _, a := range []*Applier{events, sealed} {
		if _, err := a.RetryParked(ctx); err != nil {
			t.Errorf("retrying: %v", err)
		}
		if err := a.Survey(ctx); err != nil {
			t.Errorf("surveying: %v", err)
		}
	}
	if _, _, err := sealed.Fresh(ctx, acme, projections, home); !errors.Is(err, errNoTable) {
		t.Errorf("fresh: %v", err)
	}
	if err := sealed.Inspect(ctx, acme, projections, home); !errors.Is(err, errNoTable) {
		t.Errorf("inspecting: %v", err)
	}
	if _, err := sealed.ApplyStates(ctx, opened(w).GetStream(), []Change{{Gone: sole}}, ident.Version{Epoch: 1, Seq: 1}); !errors.Is(err, errNoTable) {
		t.Errorf("repairing: %v", err)
	}
}

func decoded(tb failer, m queue.Message) *replicationv1.Envelope {
	e := &replicationv1.Envelope{}
	if err := proto.Unmarshal(m.Body, e); err != nil {
		tb.Fatal(err)
	}
	return e
}

func TestAnApplierNeedsATable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	r := w.regions[0]
	for name, c := range map[string]struct {
		replica, regional store.Store
		shared, ok        bool
	}{
		"both":               {r.replica, r.regional, false, true},
		"one":                {r.replica, nil, false, false},
		"one that is shared": {nil, r.regional, true, true},
		"none":               {nil, nil, true, false},
	} {
		_, err := NewApplier(ApplierConfig{
			Region: r.id, Topology: topologyfile.Default(), Replica: c.replica, Regional: c.regional, Shared: c.shared, Directory: w.dir,
			Classes: w.catalog.Classes(), Clock: begun,
		})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// After a message that is not done, a group's later ones stay as well.
func TestUnfinishedKeepsTheOrderOfGroups(t *testing.T) {
	t.Parallel()
	messages := []queue.Message{{Group: "a"}, {Group: "b"}, {Group: "a"}, {Group: "c"}, {Group: "b"}, {Group: "a"}}
	verdicts := []Verdict{{Outcome: Done}, {Outcome: Poison}, {Outcome: Again}, {Outcome: Done}, {Outcome: Done}, {Outcome: Done}}
	got := Unfinished(messages, verdicts)
	want := []int{1, 2, 4, 5}
	if len(got) != len(want) {
		t.Fatalf("left: %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("left: %v, want %v", got, want)
		}
	}
	if left := Unfinished(nil, nil); len(left) > 0 {
		t.Errorf("of nothing is left: %v", left)
	}
}

// The bound on what is parked holds for all processes together.
func TestParkedEventsAreCountedInTheTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	r, ctx := w.regions[1], t.Context()
	w.tenant(acme)
	e := w.event(1, nil)
	w.dir.set(acme, routing.Tenant{}) // Nobody knows it any more.
	delete(w.dir.tenants, acme)
	for n := range maxParked {
		e.Seq = uint64(n + 1)
		body, err := encode(&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: e}})
		if err != nil {
			t.Fatal(err)
		}
		if n%500 == 0 {
			r.applier = w.another(r)
		}
		if v := r.applier.Apply(ctx, []queue.Message{{Body: body}}); v[0].Outcome != Done {
			t.Fatal(v[0].Err)
		}
	}
	a := w.another(r)
	e.Seq = maxParked + 1
	body, err := encode(&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: e}})
	if err != nil {
		t.Fatal(err)
	}
	if v := a.Apply(ctx, []queue.Message{{Body: body}}); v[0].Outcome != Done {
		t.Fatal(v[0].Err)
	}
	if n, err := a.countParked(ctx, home); err != nil || n != maxParked {
		t.Errorf("%d events are parked, %v", n, err)
	}
	if left, err := a.RetryParked(ctx); err != nil || left != maxParked {
		t.Errorf("%d events stay, %v", left, err)
	}
}

// Whenever one process parks an event while another finds none and removes the note, the event is found.
func TestNotesOfParkedEventsAreNotLost(t *testing.T) {
	t.Parallel()
	for stop := range 40 {
		w := newWorld(t, openTables(t), safeguards{})
		w.tenant(acme)
		r, ctx := w.regions[1], context.Background()
		record, _ := w.dir.Tenant(acme)
		parkOne := func(seq uint64) {
			delete(w.dir.tenants, acme)
			e := w.event(1, nil)
			e.Seq = seq
			body, err := encode(&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: e}})
			if err != nil {
				t.Fatal(err)
			}
			if v := w.another(r).Apply(ctx, []queue.Message{{Body: body}}); v[0].Outcome != Done {
				t.Fatal(v[0].Err)
			}
			w.dir.set(acme, record)
		}
		parkOne(1)
		p := &applyProcess{region: r}
		p.applier = w.shared(r, stepped{r.replica, &p.process, nil}, stepped{r.regional, &p.process, nil}, nil)
		p.start(func() { _, _ = p.applier.RetryParked(ctx) })
		for n := 0; p.running && n < stop; n++ {
			p.step(false)
		}
		parkOne(2)
		for p.running {
			p.step(false)
		}
		if left, err := w.another(r).RetryParked(ctx); err != nil || left != 0 {
			t.Fatalf("%d stay, %v", left, err)
		}
		if n := parkedRows(t, r); n > 0 {
			t.Fatalf("stopped after %d: %d events stay, and no note of them", stop, n)
		}
	}
}

func parkedRows(tb failer, r *region) int {
	page, err := r.replica.Query(context.Background(), store.Query{Partition: keyspace.Lane(acme, soleLane()), From: "p/", To: "p0"})
	if err != nil {
		tb.Fatal(err)
	}
	return len(page.Items)
}

// What a dead letter or a lost message leaves behind is found by a process that applied nothing.
func TestSurveyFindsWhatIsOwed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r, ctx := w.regions[1], t.Context()
	r.applier = w.another(r)
	reader := w.another(r)
	survey := func() int {
		t.Helper()
		w.now = w.now.Add(9 * time.Second)
		if err := reader.Survey(ctx); err != nil {
			t.Fatal(err)
		}
		return len(reader.Owed())
	}
	w.handle(fed(acme, w.write(acme, sole, newUser(sole, 1), nil)))
	w.deliverAll()
	w.sweep()
	w.deliverAll()
	for range 4 {
		if n := survey(); n != 0 {
			t.Fatalf("%d lanes are owed, and everything is here", n)
		}
	}
	w.handle(fed(acme, w.write(acme, sole, newUser(sole, 2), nil)))
	w.net.queue(r.id, QueueEvents).messages = nil
	w.sweep()
	w.deliverAll()
	owed := 0
	for range 4 {
		owed = survey()
	}
	if owed != 1 {
		t.Fatalf("%d lanes are owed, and an event was lost", owed)
	}
	stream := reader.Owed()[0].Stream
	if err := w.another(r).Complete(ctx, stream, ident.Version{Epoch: 1, Seq: 2}, w.another(r).Began(acme)); !errors.Is(err, ErrRefused) {
		t.Errorf("a repair completes that another process began: %v", err)
	}
	mender := w.another(r)
	if err := mender.Complete(ctx, stream, ident.Version{Epoch: 1, Seq: 2}, mender.Began(acme)); err != nil {
		t.Fatal(err)
	}
	if n := survey(); n != 0 {
		t.Errorf("%d lanes are owed after the repair of another process", n)
	}
}
