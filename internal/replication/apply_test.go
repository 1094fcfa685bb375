package replication

import (
	"bytes"
	"context"
	"crypto/sha256"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/store"
)

// event makes an event of sole's lane that says a state of scope GLOBAL.
func (w *world) event(seq uint64, change func(*replicationv1.Event)) *replicationv1.Event {
	e := &replicationv1.Event{
		Stream: streamID{tenant: acme, feed: projections, origin: home, lane: soleLane()}.message(), Epoch: 1, Seq: seq,
		What: &replicationv1.Event_State{State: &replicationv1.State{
			Entity: userEntity, Id: sole, Epoch: 1, Seq: seq, Scope: policyv1.Scope_SCOPE_GLOBAL,
			Table: w.catalog.Classes().Fingerprint(), Clear: marshal(&profilev1.User{Id: sole, Handle: "h"}),
		}},
	}
	if change != nil {
		change(e)
	}
	return e
}

func (w *world) apply(r *region, events ...*replicationv1.Event) []Outcome {
	w.tb.Helper()
	messages := make([]queue.Message, 0, len(events))
	for _, e := range events {
		body, err := encode(&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: e}})
		if err != nil {
			w.tb.Fatal(err)
		}
		messages = append(messages, queue.Message{Body: body})
	}
	outcomes := make([]Outcome, 0, len(events))
	for _, v := range r.applier.Apply(context.Background(), messages) {
		outcomes = append(outcomes, v.Outcome)
	}
	return outcomes
}

func (w *world) replica(r *region) (*storagev1.Replica, bool) {
	w.tb.Helper()
	item, ok := items(w.tb, r.replica, acme)[sole]
	if !ok {
		return nil, false
	}
	var replica storagev1.Replica
	if err := proto.Unmarshal(item.Value, &replica); err != nil {
		w.tb.Fatal(err)
	}
	return &replica, true
}

func opened(w *world) *replicationv1.Event {
	return w.event(0, func(e *replicationv1.Event) { e.What = &replicationv1.Event_Open{Open: &replicationv1.Open{}} })
}

// What may not be here is not stored anywhere, whatever says that it may.
func TestWhatIsForbiddenIsNotTakenIn(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change   func(*replicationv1.Event)
		withheld bool
		poison   bool
	}{
		"PII in the clear": {change: func(e *replicationv1.Event) {
			e.GetState().Clear = marshal(&profilev1.User{Id: sole, GivenName: private})
		}, withheld: true},
		"an unknown field": {change: func(e *replicationv1.Event) {
			e.GetState().Clear = append([]byte{0xf8, 0x7f, 1}, private...)
		}, withheld: true},
		"a sealed part abroad": {change: func(e *replicationv1.Event) { e.GetState().Sealed = []byte(private) }, withheld: true},
		"a wider scope abroad": {change: func(e *replicationv1.Event) { e.GetState().Scope = policyv1.Scope_SCOPE_JURISDICTION }, withheld: true},
		"lookup hashes": {change: func(e *replicationv1.Event) {
			e.GetState().Lookups = []*storagev1.Lookup{{Field: 4, Hash: []byte(private)}}
		}, withheld: true},
		"a whole entity abroad": {change: func(e *replicationv1.Event) { e.Stream.Feed = replicationv1.Feed_FEED_STANDBY }},
		"another's tenant":      {change: func(e *replicationv1.Event) { e.Stream.Origin = string(standby) }},
		"no scope":              {change: func(e *replicationv1.Event) { e.GetState().Scope = 0 }, poison: true},
		"another lane": {change: func(e *replicationv1.Event) {
			e.Stream.Lane = (e.GetStream().GetLane() + 1) % ident.Lanes
		}, poison: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, openTables(t), safeguards{})
			w.tenant(acme)
			r := w.regions[1]
			want := Done
			if test.poison {
				want = Poison
			}
			if got := w.apply(r, opened(w), w.event(1, test.change)); got[1] != want {
				t.Errorf("outcome %v, want %v", got[1], want)
			}
			replica, here := w.replica(r)
			if here != test.withheld || here && (!replica.GetWithheld() || len(replica.GetClear())+len(replica.GetSealed()) > 0) {
				t.Errorf("stored: %v", replica)
			}
			if len(items(t, r.regional, acme)) > 0 {
				t.Error("a sealed copy is stored")
			}
			violations := uint64(0)
			for _, s := range r.applier.Status() {
				violations += s.Violations
			}
			if !test.poison && violations != 1 {
				t.Errorf("%d violations are counted", violations)
			}
			reports := slices.Concat(w.net.queue(home, QueueEvents).messages, w.net.queue(standby, QueueEvents).messages)
			if len(reports) != 1 && !test.poison || len(reports) > 0 && bytes.Contains(reports[0].Body, []byte(private)) {
				t.Errorf("%d reports to the source", len(reports))
			}
			if !test.withheld {
				return
			}
			if got := w.lane(r, projections); got.Watermark.Seq != 1 || !got.Complete {
				t.Errorf("a violation does not count as applied: %+v", got)
			}
			w.apply(r, w.event(2, nil))
			if replica, _ := w.replica(r); replica.GetWithheld() {
				t.Error("a newer version is withheld")
			}
		})
	}
}

// A state that the record here does not grant, perhaps because it is late, is neither kept nor lost.
func TestUngrantedStateIsOwed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[1]
	w.apply(r, opened(w))
	record, _ := w.dir.Tenant(acme)
	narrow := record
	narrow.Projections = 3
	w.dir.set(acme, narrow)
	w.apply(r, w.event(1, nil))
	if _, here := w.replica(r); here {
		t.Error("it is stored")
	}
	if got := w.lane(r, projections); got.Complete || got.Watermark.Seq != 0 {
		t.Errorf("the lane is at %+v, want it behind at 0", got)
	}
}

func TestParkedUntilTheDirectoryKnows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	r := w.regions[1]
	retry := func(want int) {
		t.Helper()
		if left, err := r.applier.RetryParked(t.Context()); err != nil || left != want {
			t.Errorf("%d stay parked (%v), want %d", left, err, want)
		}
	}
	foreign := w.event(2, func(e *replicationv1.Event) { e.GetState().Table = []byte("not known yet") })
	if got := w.apply(r, opened(w), w.event(1, nil), foreign); got[0] != Done || got[1] != Done || got[2] != Done {
		t.Fatalf("outcomes %v", got)
	}
	retry(3)
	w.startApplier(r) // What is parked outlives the process.
	retry(3)
	w.tenant(acme)
	retry(1)
	if got := w.lane(r, projections); got.Watermark.Seq != 1 || !got.Complete {
		t.Errorf("the lane is at %+v", got)
	}
	w.dir.tables["not known yet"] = w.catalog.Classes()
	retry(0)
	retry(0)
	if got := w.lane(r, projections); got.Watermark.Seq != 2 {
		t.Errorf("the lane is at %+v", got)
	}
	page, err := r.replica.Query(t.Context(), store.Query{Partition: keyspace.ParkedStreams()})
	if err != nil || len(page.Items) != 0 {
		t.Errorf("%d notes stay, %v", len(page.Items), err)
	}
}

// A field that only the sender's release knows is dropped, and the item says under which table it is whole.
func TestUnknownFieldsAreNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[1]
	table := proto.CloneOf(w.catalog.Table())
	for _, m := range table.GetMessages() {
		if m.GetName() == userEntity {
			m.Fields = append(m.GetFields(), &directoryv1.ClassifiedField{Number: 2047, Class: policyv1.DataClass_DATA_CLASS_GLOBAL})
		}
	}
	made := fingerprinted(t, table)
	w.dir.tables[string(made.Fingerprint())] = made
	w.apply(r, opened(w), w.event(1, func(e *replicationv1.Event) {
		e.GetState().Table = made.Fingerprint()
		e.GetState().Clear = append(e.GetState().GetClear(), 0xf8, 0x7f, 1)
	}))
	replica, _ := w.replica(r)
	if !bytes.Equal(replica.GetClear(), marshal(&profilev1.User{Id: sole, Handle: "h"})) ||
		!bytes.Equal(replica.GetTable(), w.catalog.Classes().Fingerprint()) {
		t.Errorf("stored: %v", replica)
	}
}

func fingerprinted(t *testing.T, table *directoryv1.ClassTable) *residency.Classes {
	t.Helper()
	sum := sha256.Sum256(marshal(&directoryv1.ClassTable{Messages: table.GetMessages()}))
	table.Fingerprint = sum[:]
	c, err := residency.NewClasses(table)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A new ownership closes the lane; the repair as of its position brings it to the new home's state, where a lost write is undone.
func TestNewOwnershipIsRepaired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[1]
	w.apply(r, opened(w), w.event(1, nil), w.event(2, nil)) // The new home inherited 1, and lost 2.
	w.dir.set(acme, routing.Tenant{Home: dublin, Standby: frankfurt, Projections: everywhere, State: active, Epoch: 2})
	renewed := func(e *replicationv1.Event) { e.Epoch, e.Stream.Origin = 2, string(standby) }
	w.apply(r, w.event(2, nil), w.event(3, nil)) // late words of the old home
	if got := w.lane(r, projections); got.Watermark.Seq != 2 {
		t.Errorf("the old home moved the watermark to %+v", got)
	}
	w.apply(r, w.event(1, func(e *replicationv1.Event) {
		renewed(e)
		e.What = &replicationv1.Event_Open{Open: &replicationv1.Open{}}
	}))
	stream := streamID{tenant: acme, feed: projections, origin: standby, lane: soleLane()}.message()
	state := w.event(1, nil).GetState()
	q := ident.Version{Epoch: 2, Seq: 1}
	if err := r.applier.ApplyState(t.Context(), stream, state, "", q); err != nil {
		t.Fatal(err)
	}
	if err := r.applier.Complete(t.Context(), stream, q, r.applier.Began(acme)); err != nil {
		t.Fatal(err)
	}
	if got := items(t, r.replica, acme)[sole].Version; got != (ident.Version{Epoch: 1, Seq: 1}) {
		t.Errorf("the lost write stays: %v", got)
	}
	got, err := ReadLane(t.Context(), r.replica, acme, projections, standby, soleLane())
	if err != nil || !got.Complete || got.Watermark != q {
		t.Errorf("the lane is at %+v, %v", got, err)
	}
}

// Also a lane that the new home never wrote to may hold here what the old home wrote and lost.
func TestNewOwnershipOfAnEmptyLaneIsOwed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[1]
	w.apply(r, opened(w), w.event(1, nil))
	w.dir.set(acme, routing.Tenant{Home: dublin, Standby: frankfurt, Projections: everywhere, State: active, Epoch: 2})
	begins := opened(w)
	begins.Epoch, begins.Stream.Origin = 2, string(standby)
	w.apply(r, begins)
	got, err := ReadLane(t.Context(), r.replica, acme, projections, standby, soleLane())
	if err != nil || got.Complete {
		t.Errorf("the lane is at %+v, %v", got, err)
	}
}

func TestWatchTellsOfMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[1]
	moved, cancel := r.applier.Watch(acme)
	defer cancel()
	select {
	case <-moved:
		t.Error("nothing has moved")
	default:
	}
	w.apply(r, opened(w), w.event(1, nil))
	<-moved
	if len(r.applier.watchers.bells) != 0 {
		t.Error("a bell stays")
	}
}

func TestPoisonDoesNotStopOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	body, _ := encode(&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: opened(w)}})
	for i, v := range w.regions[1].applier.Apply(t.Context(), []queue.Message{{Body: []byte{0xff}}, {Body: body}, {}}) {
		if want := []Outcome{Poison, Done, Poison}[i]; v.Outcome != want {
			t.Errorf("message %d: %v, want %v", i, v, want)
		}
	}
}

// Run ends when its context does, in both directions.
func TestLoopsEnd(t *testing.T) {
	t.Parallel()
	tables := openTables(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, tables, safeguards{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		logger := slog.New(slog.DiscardHandler)
		go func() { ended <- w.regions[1].applier.Run(ctx, empty{}, RunConfig{Logger: logger}) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err == nil {
			t.Error("no reason")
		}
	})
}

// empty is a queue that never has anything.
type empty struct{ queue.Queue }

func (empty) Receive(ctx context.Context, _ queue.Receive) ([]queue.Message, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
