package replication

import (
	"context"
	"errors"
	"testing"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/store"
)

// view is the directory as one process knows it.
type view struct {
	record   routing.Tenant
	revision uint64
	classes  *residency.Classes
}

func (v *view) Tenant(ident.TenantID) (routing.Tenant, bool) { return v.record, true }
func (v *view) Classes([]byte) (*residency.Classes, bool)    { return v.classes, true }
func (v *view) revisionOf(ident.TenantID) uint64             { return v.revision }
func (w *world) viewOf(record routing.Tenant, revision uint64) *view {
	return &view{record, revision, w.catalog.Classes()}
}

// knowing is an applier of another process, which knows a directory of its own.
func (w *world) knowing(r *region, replica store.Store, v *view) *Applier {
	a := w.shared(r, replica, r.regional, nil)
	a.cfg.Directory, a.cfg.Revision = v, v.revisionOf
	return a
}

// removeAll removes a tenant's rows as an owner of the table does.
func removeAll(r *region) error {
	for _, partition := range keyspace.Partitions(acme) {
		page, err := r.replica.Query(context.Background(), store.Query{Partition: partition, Limit: store.MaxOps})
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			err := r.replica.Commit(context.Background(), store.Commit{Ops: []store.Op{{Kind: store.Delete, Item: store.Item{Key: item.Key}}}})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// rows returns how much of the tenant is there.
func rows(tb failer, r *region) (n int) {
	for _, partition := range keyspace.Partitions(acme) {
		page, err := r.replica.Query(context.Background(), store.Query{Partition: partition})
		if err != nil {
			tb.Fatal(err)
		}
		n += len(page.Items)
	}
	return n
}

// Wherever a process is that knows an older record, after another has removed the tenant's copies nothing of it is written any more, until it
// knows the newer one.
func TestARemovalHoldsForAllProcesses(t *testing.T) {
	t.Parallel()
	granted := routing.Tenant{Home: frankfurt, Standby: dublin, Projections: everywhere, State: active, Epoch: 1}
	refused := routing.Tenant{Home: frankfurt, Standby: dublin, State: active, Epoch: 1}
	for _, known := range []bool{false, true} { // Whether the lane is known before.
		stopped := true
		for stop := 0; stopped; stop++ {
			w := newWorld(t, openTables(t), safeguards{})
			w.tenant(acme)
			r, ctx := w.regions[1], context.Background()
			message := func(seq uint64) []queue.Message { return messagesOf(t, w, seq) }
			old := w.viewOf(granted, 1)
			if known {
				w.knowing(r, r.replica, old).Apply(ctx, message(1))
			}
			p := &applyProcess{region: r}
			p.applier = w.knowing(r, stepped{r.replica, &p.process, nil}, old)
			var verdicts []Verdict
			p.start(func() { verdicts = p.applier.Apply(ctx, message(2)) })
			for n := 0; p.running && n < stop; n++ {
				p.step(false)
			}
			stopped = p.running
			owner := w.knowing(r, r.replica, w.viewOf(refused, 2))
			if err := owner.Retire(acme, func() error { return removeAll(r) }); err != nil {
				t.Fatal(err)
			}
			for p.running {
				p.step(false)
			}
			if n := rows(t, r); n > 0 {
				t.Fatalf("stopped after %d steps: %d rows stay", stop, n)
			}
			if verdicts[0].Outcome != Done && !errors.Is(verdicts[0].Err, ErrOutdated) { // Done: it was written, and removed.
				t.Fatalf("stopped after %d steps: %+v", stop, verdicts)
			}
			if v := p.applier.Apply(ctx, message(3)); v[0].Outcome != Again || rows(t, r) > 0 {
				t.Fatalf("with the old record: %+v, and %d rows", v, rows(t, r))
			}
			old.record, old.revision = granted, 3
			if v := p.applier.Apply(ctx, message(3)); v[0].Outcome != Done || rows(t, r) == 0 {
				t.Fatalf("with a newer record: %+v, and %d rows", v, rows(t, r))
			}
		}
	}
}

func messagesOf(tb failer, w *world, seq uint64) []queue.Message {
	m, err := outgoing("group", "x", w.event(seq, nil))
	if err != nil {
		tb.Fatal(err)
	}
	return []queue.Message{{Group: m.Group, Body: m.Body}}
}

// A repair that one process began does not complete after a removal by another, though the grant is back.
func TestARepairDoesNotOutliveARemovalElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r, ctx := w.regions[1], t.Context()
	a, other := w.another(r), w.another(r)
	q := ident.Version{Epoch: 1, Seq: 7}
	e := w.event(7, nil)
	began := a.Began(acme)
	if err := a.ApplyState(ctx, e.GetStream(), e.GetState(), "", q); err != nil {
		t.Fatal(err)
	}
	if err := other.Retire(acme, func() error { return removeAll(r) }); err != nil {
		t.Fatal(err)
	}
	if err := a.Complete(ctx, e.GetStream(), q, began); !errors.Is(err, ErrRefused) {
		t.Errorf("completing: %v", err)
	}
	if got := w.lane(r, projections); got.Complete {
		t.Errorf("a lane without its entity answers: %+v", got)
	}
	began = a.Began(acme)
	if err := a.ApplyState(ctx, e.GetStream(), e.GetState(), "", q); err != nil {
		t.Fatal(err)
	}
	if err := a.Complete(ctx, e.GetStream(), q, began); err != nil {
		t.Errorf("completing a repair that began after: %v", err)
	}
}
