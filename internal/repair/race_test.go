package repair

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// meddler writes at home, and lets the stream bring and lose events, between any two steps of a repair.
type meddler struct {
	*world

	t     *rapid.T
	feed  replicationv1.Feed
	users []int
	alive map[int]bool
	// shown are the newest versions that the region has had of each entity.
	shown map[string]ident.Version
}

var errCut = errors.New("cut off")

// step does some of what goes on beside a repair.
func (m *meddler) step(cut bool) error {
	for range rapid.IntRange(0, 3).Draw(m.t, "things") {
		switch rapid.IntRange(0, 5).Draw(m.t, "thing") {
		case 0, 1:
			m.change()
		default:
			if last := m.counter[0].Seq; last > 0 {
				// Any position, also one long past, and also before others: what the queues may do.
				m.deliver(m.feed, ident.Seq(rapid.Uint64Range(1, uint64(last)).Draw(m.t, "position")))
			}
		}
		m.check()
	}
	if cut && rapid.IntRange(0, 30).Draw(m.t, "cut") == 0 {
		return errCut
	}
	return nil
}

// change makes, changes or deletes a user; one that was deleted never comes back.
func (m *meddler) change() {
	n := m.users[rapid.IntRange(0, len(m.users)-1).Draw(m.t, "user")]
	alive, known := m.alive[n]
	if known && !alive {
		return
	}
	deleted := alive && rapid.IntRange(0, 3).Draw(m.t, "delete") == 0
	m.write(deleted, n)
	m.alive[n] = !deleted
}

// check holds the copy against what a copy may never be: ahead of the home, older than it was, alive after its deletion was passed, or
// short of what its watermark says.
func (m *meddler) check() {
	m.tb.Helper()
	ctx := context.Background()
	mark := m.watermark(m.feed)
	for _, n := range m.users {
		key := keyspace.Entity(acme, userID(n))
		home, homeErr := m.table.Get(ctx, key)
		here, hereErr := m.copied(m.feed).Get(ctx, key)
		hasHome, hasHere := homeErr == nil, hereErr == nil
		switch {
		case hasHome && hasHere && here.Version.Compare(home.Version) > 0:
			m.tb.Fatalf("%s is newer than at home", userID(n))
		case hasHere && here.Version.Compare(m.shown[userID(n)]) < 0:
			m.tb.Fatalf("%s went from %v back to %v", userID(n), m.shown[userID(n)], here.Version)
		case mark.Complete && hasHome && home.Version.Compare(mark.Watermark) <= 0 && (!hasHere || here.Version != home.Version):
			m.tb.Fatalf("the watermark is %v, and %s is not as at %v", mark.Watermark, userID(n), home.Version)
		case mark.Complete && !hasHome && hasHere && m.deletedAt(userID(n)).Compare(mark.Watermark) <= 0:
			m.tb.Fatalf("the watermark is %v, and %s was deleted at %v", mark.Watermark, userID(n), m.deletedAt(userID(n)))
		}
		if hasHere {
			m.shown[userID(n)] = here.Version
		} else if !hasHome && m.shown[userID(n)] != (ident.Version{}) {
			m.shown[userID(n)] = ident.Version{Epoch: 1, Seq: 1 << 40} // It may not come back in any version that there was.
		}
	}
}

// deletedAt is the position at which the home deleted an entity.
func (m *meddler) deletedAt(id string) ident.Version {
	var at ident.Version
	for seq := ident.Seq(1); seq <= m.counter[0].Seq; seq++ {
		item, err := m.table.Get(context.Background(), keyspace.Outbox(acme, 0, seq))
		must(m.tb, err)
		if string(item.Value) != "" && outboxID(m.tb, item) == id {
			at = item.Version
		}
	}
	return at
}

// Writers, and a stream that loses, repeats and reorders, go on during repairs that are cut off anywhere: nothing is lost, nothing comes
// back, and the watermark is never ahead of the data.
func TestWritersGoOn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		feed := rapid.SampledFrom([]replicationv1.Feed{projections, copiesFeed}).Draw(t, "feed")
		w := newWorld(t, dublin)
		defer w.close()
		w.reconcile(w.applier, Tuning{Fetches: 1, Rounds: 3})
		m := &meddler{world: w, t: t, feed: feed, users: inLane(0, 60), alive: make(map[int]bool), shown: make(map[string]ident.Version)}
		for range rapid.IntRange(0, 60).Draw(t, "before") {
			m.change()
		}
		if rapid.Bool().Draw(t, "opened") {
			w.open(feed)
		}
		w.between = func() error { return m.step(true) }
		for range rapid.IntRange(1, 4).Draw(t, "repairs") {
			if _, err := w.rec.Repair(context.Background(), lane0(feed)); err != nil && !errors.Is(err, errCut) && !errors.Is(err, ErrUnfinished) {
				t.Fatal(err)
			}
			m.check()
		}
		w.between = nil
		if _, err := w.rec.Repair(context.Background(), lane0(feed)); err != nil {
			t.Fatal(err)
		}
		m.check()
		if diff := cmp.Diff(w.entities(w.table), w.entities(w.copied(feed))); diff != "" {
			t.Fatalf("at rest the copy is not what the home has (-home +copy):\n%s", diff)
		}
		if l := w.watermark(feed); w.counter[0].Seq > 0 && (!l.Complete || l.Watermark != w.counter[0]) {
			t.Fatalf("at rest the watermark is %+v, the home at %v", l, w.counter[0])
		}
	})
}

// A verification beside writers and a stream that brings everything in time reports nothing.
func TestVerifyDoesNotCryWolf(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, dublin)
		defer w.close()
		w.reconcile(w.applier, Tuning{})
		m := &meddler{world: w, t: t, feed: projections, users: inLane(0, 80), alive: make(map[int]bool), shown: make(map[string]ident.Version)}
		w.open(projections)
		sent := ident.Seq(0)
		bring := func(until ident.Seq) {
			for ; sent < until; sent++ {
				w.deliver(projections, sent+1)
			}
		}
		for range 100 {
			m.change()
		}
		w.between = func() error {
			for range rapid.IntRange(0, 10).Draw(t, "changes") {
				m.change()
			}
			bring(min(w.counter[0].Seq, sent+ident.Seq(rapid.Uint64Range(0, 10).Draw(t, "brought"))))
			return nil
		}
		// What was found is waited for, and that is when the stream brings it.
		w.rec.cfg.Watch = func(ident.TenantID) (<-chan struct{}, func()) {
			bring(min(w.counter[0].Seq, sent+ident.Seq(rapid.Uint64Range(1, 20).Draw(t, "brought"))))
			moved := make(chan struct{})
			close(moved)
			return moved, func() {}
		}
		result, err := w.rec.Verify(context.Background(), lane0(projections))
		if err != nil || result.Count != 0 {
			t.Fatalf("%d differences, %v: %v", result.Count, err, found(result))
		}
	})
}

// What the stream cannot bring any more is reported, however long it is waited for.
func TestVerifyReportsWhatStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dublin)
	defer w.close()
	users := inLane(0, 200)
	w.open(projections)
	w.write(false, users...)
	for seq := ident.Seq(1); seq <= 199; seq++ {
		w.deliver(projections, seq)
	}
	w.spoil(projections, store.Op{Kind: store.Delete, Item: store.Item{Key: keyspace.Entity(acme, userID(users[20]))}})
	waited := 0
	w.reconcile(w.applier, Tuning{})
	w.rec.cfg.Watch = func(ident.TenantID) (<-chan struct{}, func()) {
		if waited++; waited == 2 {
			w.deliver(projections, 200)
		}
		moved := make(chan struct{})
		close(moved)
		return moved, func() {}
	}
	result, err := w.rec.Verify(t.Context(), lane0(projections))
	if diff := cmp.Diff(map[string]Kind{userID(users[20]): Missing}, found(result)); err != nil || diff != "" {
		t.Fatalf("%v after %d looks (-want +got):\n%s", err, waited, diff)
	}
}

// What is missing here, and was fetched at a position that the stream then passed, is fetched again; while writers are always faster, the
// repair says that it is not complete.
func TestPassedWhileFetching(t *testing.T) {
	t.Parallel()
	for _, times := range []int{1, 2, 100} {
		w := newWorld(t, dublin)
		users := inLane(0, 50)
		w.open(projections)
		w.write(false, users...)
		for seq := ident.Seq(1); seq <= 50; seq++ {
			w.deliver(projections, seq)
		}
		w.spoil(projections, store.Op{Kind: store.Delete, Item: store.Item{Key: keyspace.Entity(acme, userID(users[20]))}})
		w.garble = func(m proto.Message) {
			if _, fetched := m.(*peerv1.FetchResponse); fetched && times > 0 {
				times--
				w.write(false, users[3])
				w.deliver(projections, w.counter[0].Seq)
			}
		}
		unfinished := times > 3
		w.reconcile(w.applier, Tuning{Rounds: 3})
		if _, err := w.rec.Repair(t.Context(), lane0(projections)); (err != nil) != unfinished || err != nil && !errors.Is(err, ErrUnfinished) {
			t.Fatal(err)
		}
		_, err := w.replica.Get(t.Context(), keyspace.Entity(acme, userID(users[20])))
		if (err != nil) != unfinished {
			t.Fatal(err)
		}
		w.close()
	}
}
