package replication

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/store"
)

// TestRepairDoesNotOutliveARemoval removes a region's copies in the middle of a repair, as a policy that goes and comes back does.
func TestRepairDoesNotOutliveARemoval(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r, ctx := w.regions[1], t.Context()
	q := ident.Version{Epoch: 1, Seq: 7}
	e := w.event(7, nil)
	began := r.applier.Began(acme)
	if err := r.applier.ApplyState(ctx, e.GetStream(), e.GetState(), "", q); err != nil {
		t.Fatal(err)
	}
	err := r.applier.Retire(acme, func() error {
		return r.replica.Commit(ctx, store.Commit{Ops: []store.Op{{Kind: store.Delete, Item: store.Item{Key: keyspace.Entity(acme, sole)}}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.applier.Complete(ctx, e.GetStream(), q, began); !errors.Is(err, ErrRefused) {
		t.Errorf("completing: %v", err)
	}
	if got := w.lane(r, projections); got.Complete {
		t.Errorf("a lane without its entity answers: %+v", got)
	}
	w.dir.set(acme, routing.Tenant{Home: frankfurt, Standby: dublin, State: active, Epoch: 1}) // no projections
	if err := r.applier.Complete(ctx, e.GetStream(), q, r.applier.Began(acme)); !errors.Is(err, ErrRefused) {
		t.Errorf("completing what is not granted: %v", err)
	}
}

// slowDirectory stops in the middle of a judgement, after the record was read.
type slowDirectory struct {
	*directory

	entered, release chan struct{}
}

func (d slowDirectory) Tenant(id ident.TenantID) (routing.Tenant, bool) {
	t, ok := d.directory.Tenant(id)
	select {
	case d.entered <- struct{}{}:
		<-d.release
	default:
	}
	return t, ok
}

// TestRemovalWaitsForWhatWasJudgedBefore removes a tenant's copies while an event is between its judgement and its commit.
func TestRemovalWaitsForWhatWasJudgedBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r, ctx := w.regions[1], t.Context()
	slow := slowDirectory{w.dir, make(chan struct{}), make(chan struct{})}
	r.applier.cfg.Directory = slow
	applied := make(chan struct{})
	go func() {
		defer close(applied)
		w.apply(r, w.event(1, nil))
	}()
	<-slow.entered
	w.dir.set(acme, routing.Tenant{Home: frankfurt, Standby: dublin, State: active, Epoch: 1}) // no projections
	removed := make(chan error, 1)
	go func() {
		removed <- r.applier.Retire(acme, func() error {
			for id := range items(t, r.replica, acme) {
				err := r.replica.Commit(ctx, store.Commit{Ops: []store.Op{{Kind: store.Delete, Item: store.Item{Key: keyspace.Entity(acme, id)}}}})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}()
	select {
	case err := <-removed:
		t.Error("the removal was before the commit")
		removed <- err
	case <-time.After(100 * time.Millisecond):
	}
	close(slow.release)
	<-applied
	if err := <-removed; err != nil {
		t.Fatal(err)
	}
	if left := items(t, r.replica, acme); len(left) > 0 {
		t.Errorf("%d copies stay that the policy forbids", len(left))
	}
}

// TestHeartbeatsLeaveNoTrace sends what a hostile region may claim to have sent.
func TestHeartbeatsLeaveNoTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[1]
	beat := &replicationv1.Heartbeat{Source: string(home)}
	for n := range 1000 {
		beat.Reached = append(beat.GetReached(), &replicationv1.Reached{
			Stream: &replicationv1.Stream{Tenant: fmt.Sprint("nobody-", n), Feed: projections, Origin: string(home)}, Epoch: 1, Seq: 1 << 62,
		})
	}
	body, err := encode(&replicationv1.Envelope{Content: &replicationv1.Envelope_Heartbeat{Heartbeat: beat}})
	if err != nil {
		t.Fatal(err)
	}
	r.applier.Apply(t.Context(), []queue.Message{{Body: body}})
	if n := len(r.applier.lanes); n != 0 {
		t.Errorf("%d lanes of nobody are kept", n)
	}
}

// TestWhatARepairRemovesIsSeen removes an entity by a repair: a list without it has seen the home as of then.
func TestWhatARepairRemovesIsSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[1]
	w.apply(r, opened(w), w.event(1, nil))
	if err := r.applier.ApplyState(t.Context(), opened(w).GetStream(), nil, sole, ident.Version{Epoch: 1, Seq: 9}); err != nil {
		t.Fatal(err)
	}
	if _, here := w.replica(r); here {
		t.Fatal("it is still here")
	}
	if got := w.lane(r, projections); got.Highest < 9 {
		t.Errorf("a token of a list says %d; whoever follows it to a replica at %d sees the entity again", got.Highest, got.Highest)
	}
}

// silentSource never answers.
type silentSource struct{ asked chan struct{} }

func (s silentSource) Send(ctx context.Context, _ ident.RegionID, _ string, _ []queue.Outgoing) ([]error, error) {
	s.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestReportsHoldUpNobody sends what is unlawful from a source that does not answer, and then what is lawful.
func TestReportsHoldUpNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[1]
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	silent := silentSource{make(chan struct{}, 100)}
	r.applier.cfg.Sender = silent
	r.applier.cfg.Background = func(f func()) { go f() }
	done := make(chan struct{})
	go func() {
		defer close(done)
		for seq := range uint64(20) {
			bad := w.event(seq+1, func(e *replicationv1.Event) { e.GetState().Sealed = []byte(private) })
			body, err := encode(&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: bad}})
			if err != nil {
				t.Error(err)
			}
			r.applier.Apply(ctx, []queue.Message{{Body: body}})
		}
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("apply waits for a source that does not answer")
		cancel()
		<-done
	}
}

// TestWhatIsGuardedIsNotPutAsideAbroad sends sealed bytes of a tenant that is not known here: from another jurisdiction they are unlawful,
// whatever the directory will say.
func TestWhatIsGuardedIsNotPutAsideAbroad(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*replicationv1.Event){
		"a sealed part": func(e *replicationv1.Event) { e.GetState().Sealed = []byte(private) },
		"lookups": func(e *replicationv1.Event) {
			e.GetState().Lookups = []*storagev1.Lookup{{Field: 4, Hash: []byte(private)}}
		},
		"a whole entity": func(e *replicationv1.Event) { e.Stream.Feed = replicationv1.Feed_FEED_STANDBY },
	} {
		w := newWorld(t, openTables(t), safeguards{})
		r := w.regions[1]
		w.apply(r, w.event(1, change))
		for _, table := range []store.Store{r.replica, r.regional} {
			page, err := table.Query(t.Context(), store.Query{Partition: keyspace.Lane(acme, soleLane())})
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Items) > 0 {
				t.Errorf("%s from abroad is stored under %q", name, page.Items[0].Key.Sort[:2])
			}
		}
	}
}

// TestParkIsBounded sends events of tenants that nobody knows.
func TestParkIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	r := w.regions[1]
	const excess = 50
	for n := range maxParked/10 + excess {
		events := make([]*replicationv1.Event, 0, 10)
		for i := range 10 {
			events = append(events, w.event(uint64(i+1), func(e *replicationv1.Event) { e.Stream.Tenant = fmt.Sprint("nobody-", n) }))
		}
		w.apply(r, events...)
	}
	left, err := r.applier.RetryParked(t.Context())
	if err != nil || left != maxParked {
		t.Errorf("%d events are put aside, %v", left, err)
	}
}
