package replication

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/store"
)

// taker notes what it is handed, and fails as it is told.
type taker struct {
	took []uint64
	err  error
}

func (k *taker) Take(_ context.Context, e *replicationv1.Event) error {
	if k.err == nil {
		k.took = append(k.took, e.GetSeq())
	}
	return k.err
}

// Settings are handed to who keeps them: also those that were parked before anybody did, or before the tenant was known. What is no position of
// another region's stream is poison, and purged tenants' settings are forgotten.
func TestSettingsAreHandedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	r := w.regions[1]
	apply := func(seq uint64, change func(*replicationv1.Event)) Outcome {
		t.Helper()
		e := &replicationv1.Event{
			Stream: &replicationv1.Stream{Tenant: string(acme), Feed: replicationv1.Feed_FEED_SETTINGS, Origin: string(standby)}, Epoch: 1, Seq: seq,
			What: &replicationv1.Event_Settings{Settings: &replicationv1.Settings{Namespace: "ui"}},
		}
		if change != nil {
			change(e)
		}
		body, err := proto.Marshal(&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: e}})
		if err != nil {
			t.Fatal(err)
		}
		return r.applier.Apply(t.Context(), []queue.Message{{ID: "m", Body: body}})[0].Outcome
	}
	retry := func(want int) {
		t.Helper()
		if left, err := r.applier.RetryParked(t.Context()); err != nil || left != want {
			t.Errorf("%d stay parked (%v), want %d", left, err, want)
		}
	}
	if got := apply(1, nil); got != Done {
		t.Errorf("without anybody who keeps settings: %v", got)
	}
	retry(1)
	kept := &taker{}
	r.applier.cfg.Settings = kept
	retry(1) // The tenant is not known.
	if got := apply(2, nil); got != Done {
		t.Errorf("of an unknown tenant: %v", got)
	}
	w.tenant(acme)
	kept.err = errors.New("the store does not answer")
	if left, err := r.applier.RetryParked(t.Context()); left != 2 || err == nil {
		t.Errorf("what could not be taken: %d stay, %v", left, err)
	}
	if got := apply(3, nil); got != Again {
		t.Errorf("what could not be taken: %v", got)
	}
	kept.err = ErrMalformed
	if got := apply(3, nil); got != Poison {
		t.Errorf("what makes no sense: %v", got)
	}
	kept.err = nil
	retry(0)
	if got := apply(3, nil); got != Done || len(kept.took) != 3 {
		t.Errorf("%v, taken: %v", got, kept.took)
	}
	for name, change := range map[string]func(*replicationv1.Event){
		"this region's own":  func(e *replicationv1.Event) { e.Stream.Origin = string(r.id) },
		"a strange region's": func(e *replicationv1.Event) { e.Stream.Origin = "mars-1" },
		"of another lane":    func(e *replicationv1.Event) { e.Stream.Lane = 1 },
		"position 0":         func(e *replicationv1.Event) { e.Seq = 0 },
		"nothing":            func(e *replicationv1.Event) { e.What = &replicationv1.Event_Nothing{Nothing: &replicationv1.Nothing{}} },
	} {
		if got := apply(4, change); got != Poison {
			t.Errorf("%s: %v", name, got)
		}
	}
	w.dir.set(acme, routing.Tenant{Home: frankfurt, State: uint8(tenancyv1.TenantState_TENANT_STATE_PURGED), Epoch: 1})
	if got := apply(4, nil); got != Done || len(kept.took) != 3 {
		t.Errorf("of a purged tenant: %v, taken: %v", got, kept.took)
	}
	// Nothing of it became a lane's here.
	if page, err := r.replica.Query(t.Context(), store.Query{Partition: keyspace.Lane(acme, ident.Lane(0))}); err != nil || len(page.Items) > 0 {
		t.Errorf("%d items lie in the replica: %v", len(page.Items), err)
	}
	if owed := r.applier.Owed(); len(owed) > 0 {
		t.Errorf("repairs are owed: %v", owed)
	}
}
