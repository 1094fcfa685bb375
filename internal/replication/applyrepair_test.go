package replication

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/store"
)

// deleted is an event of a deletion of sole.
func deleted(w *world, seq uint64) *replicationv1.Event {
	return w.event(seq, func(e *replicationv1.Event) {
		e.What = &replicationv1.Event_Tombstone{Tombstone: &replicationv1.Tombstone{Entity: userEntity, Id: sole}}
	})
}

// A deletion that was lost with its ownership does not keep out what the new home has, and one of the ownership that lasts does.
func TestTombstoneOfALostOwnership(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[1]
	w.apply(r, opened(w), w.event(1, nil), deleted(w, 10)) // 2 to 9 are missing; the new home inherited 5 and lost 10.
	state := w.event(1, nil).GetState()
	old := streamID{tenant: acme, feed: projections, origin: home, lane: soleLane()}.message()
	if err := r.applier.ApplyState(t.Context(), old, state, "", ident.Version{Epoch: 1, Seq: 12}); err != nil {
		t.Fatal(err)
	}
	if _, here := w.replica(r); here {
		t.Error("what the same home deleted came back")
	}
	w.dir.set(acme, routing.Tenant{Home: dublin, Standby: frankfurt, Projections: everywhere, State: active, Epoch: 2})
	stream := streamID{tenant: acme, feed: projections, origin: standby, lane: soleLane()}.message()
	q := ident.Version{Epoch: 2, Seq: 6}
	fates, err := r.applier.ApplyStates(t.Context(), stream, []Change{{State: state}}, q)
	if err != nil || fates[0] != Settled {
		t.Errorf("fates %v, %v", fates, err)
	}
	if _, here := w.replica(r); !here {
		t.Error("a lost deletion keeps the entity out")
	}
	if err := r.applier.Complete(t.Context(), stream, q, r.applier.Began(acme)); err != nil {
		t.Fatal(err)
	}
	// Late words of a deletion of the old ownership are dropped.
	w.apply(r, deleted(w, 10))
	if _, here := w.replica(r); !here {
		t.Error("a lost deletion removed the entity")
	}
}

// A repair replaces the same version when that is here in another scope, and an event does not.
func TestRepairReplacesWhatIsJudgedOtherwise(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[0]
	stream := streamID{tenant: acme, feed: projections, origin: home, lane: soleLane()}.message()
	q := ident.Version{Epoch: 1, Seq: 1}
	wider := w.event(1, func(e *replicationv1.Event) {
		e.GetState().Scope, e.GetState().Sealed = policyv1.Scope_SCOPE_JURISDICTION, []byte("sealed")
	})
	w.apply(r, opened(w), w.event(1, nil), wider)
	if replica, _ := w.replica(r); replica.GetScope() != policyv1.Scope_SCOPE_GLOBAL {
		t.Error("an event changed the scope of a version")
	}
	if err := r.applier.ApplyState(t.Context(), stream, wider.GetState(), "", q); err != nil {
		t.Fatal(err)
	}
	replica, _ := w.replica(r)
	if replica.GetScope() != policyv1.Scope_SCOPE_JURISDICTION || !bytes.Equal(replica.GetSealed(), []byte("sealed")) {
		t.Errorf("stored: %v", replica)
	}
	if class := items(t, r.replica, acme)[sole].Tag.Class; class != store.ClassRegional {
		t.Errorf("tagged %v", class)
	}
}

// An unlawful state that a repair fetches is not stored, but reads go home, the repair can end, and the source is told once.
func TestRepairWithholdsWhatIsUnlawful(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[1]
	w.apply(r, opened(w))
	stream := streamID{tenant: acme, feed: projections, origin: home, lane: soleLane()}.message()
	q := ident.Version{Epoch: 1, Seq: 1}
	unlawful := w.event(1, func(e *replicationv1.Event) {
		e.GetState().Clear = marshal(&profilev1.User{Id: sole, GivenName: private})
	})
	for range 2 {
		fates, err := r.applier.ApplyStates(t.Context(), stream, []Change{{State: unlawful.GetState()}}, q)
		if err != nil || fates[0] != Settled {
			t.Fatalf("fates %v, %v", fates, err)
		}
	}
	if replica, here := w.replica(r); !here || !replica.GetWithheld() || len(replica.GetClear()) > 0 {
		t.Errorf("stored: %v", replica)
	}
	if reports := w.net.queue(home, QueueEvents).messages; len(reports) != 1 || bytes.Contains(reports[0].Body, []byte(private)) {
		t.Errorf("%d reports", len(reports))
	}
	// What is lawful after all, e.g. under a later release, replaces it in the same version.
	if err := r.applier.ApplyState(t.Context(), stream, w.event(1, nil).GetState(), "", q); err != nil {
		t.Fatal(err)
	}
	if replica, _ := w.replica(r); replica.GetWithheld() || len(replica.GetClear()) == 0 {
		t.Errorf("stored: %v", replica)
	}
	// A standby's copy has no place for the word: the standby is not complete without it.
	at := w.regions[0]
	copied := streamID{tenant: acme, feed: replicationv1.Feed_FEED_STANDBY, origin: home, lane: soleLane()}.message()
	unlawful.GetState().Scope = 0
	fates, err := at.applier.ApplyStates(t.Context(), copied, []Change{{State: unlawful.GetState()}}, q)
	if err != nil || fates[0] != Refused || len(items(t, at.regional, acme)) > 0 {
		t.Errorf("fates %v, %v", fates, err)
	}
}

// Many changes are a few transactions, and each has a fate of its own.
func TestRepairInBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[1]
	counted := &counting{Store: r.replica}
	r.applier.cfg.Replica = counted
	stream := streamID{tenant: acme, feed: projections, origin: home, lane: soleLane()}.message()
	var changes []Change
	for n := 0; len(changes) < 100; n++ {
		id := fmt.Sprintf("usr_%026d", n)
		if keyspace.LaneOf(id) == soleLane() {
			changes = append(changes, Change{State: w.event(uint64(n)+1, func(e *replicationv1.Event) { e.GetState().Id = id }).GetState()})
		}
	}
	changes[50] = Change{State: w.event(1, func(e *replicationv1.Event) { e.GetState().Table = []byte("not known yet") }).GetState()}
	fates, err := r.applier.ApplyStates(t.Context(), stream, changes, ident.Version{Epoch: 1, Seq: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i, fate := range fates {
		if want := map[bool]Fate{true: Refused, false: Settled}[i == 50]; fate != want {
			t.Errorf("change %d: %v, want %v", i, fate, want)
		}
	}
	if n := len(items(t, r.replica, acme)); n != 99 || counted.commits > 5 {
		t.Errorf("%d entities are here after %d commits", n, counted.commits)
	}
}

type counting struct {
	store.Store

	commits int
}

func (c *counting) Commit(ctx context.Context, commit store.Commit) error {
	c.commits++
	return c.Store.Commit(ctx, commit)
}

// Idempotency records go to the standby alone, and lie there as the stream's own do.
func TestRepairBringsRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	hash := [32]byte{7: 9}
	expires := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	change := Change{Record: &replicationv1.Idempotency{
		KeyHash: hash[:], ExpireTime: timestamppb.New(expires), Record: marshal(&storagev1.IdempotencyRecord{Epoch: 1, Lane: 3, Seq: 44}),
	}}
	for i, r := range w.regions {
		for _, feed := range []replicationv1.Feed{replicationv1.Feed_FEED_STANDBY, projections} {
			stream := streamID{tenant: acme, feed: feed, origin: home, lane: soleLane()}.message()
			want := Refused
			if i == 0 && feed == replicationv1.Feed_FEED_STANDBY {
				want = Settled
			}
			fates, err := r.applier.ApplyStates(t.Context(), stream, []Change{change}, ident.Version{Epoch: 1, Seq: 5})
			if err != nil || fates[0] != want {
				t.Errorf("%s, %v: %v, %v", r.id, feed, fates, err)
			}
		}
	}
	item, err := w.regions[0].regional.Get(t.Context(), idempotency.Key(acme, hash))
	if err != nil || item.Version != (ident.Version{Epoch: 1, Seq: 44}) || !item.Expires.Equal(expires) || item.Tag.Class != store.ClassPII {
		t.Errorf("stored: %+v, %v", item, err)
	}
}
