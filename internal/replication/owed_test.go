package replication

import (
	"testing"

	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

// policy changes how far the tenant lets its projections go.
func (w *world) policy(policy tenancyv1.Projections) {
	t, _ := w.dir.Tenant(acme)
	t.Projections = uint8(policy)
	w.dir.set(acme, t)
}

// A lane that is granted no more is owed no repair: its home would refuse, again and again, and other lanes would wait behind it.
func TestNothingIsOwedThatIsNotGranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[1]
	w.apply(r, w.event(3, nil)) // Nothing came before.
	if owed := r.applier.Owed(); len(owed) != 1 {
		t.Fatalf("owed: %v", owed)
	}
	w.policy(tenancyv1.Projections_PROJECTIONS_NONE)
	if owed := r.applier.Owed(); len(owed) != 0 {
		t.Errorf("owed without a grant: %v", owed)
	}
}

// A repair that ended after it had created something leaves the lane so that its opening does not show it without a position.
func TestAnOpeningAfterHalfARepairCoversWhatIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[1]
	e := w.event(4, nil)
	if err := r.applier.ApplyState(t.Context(), e.GetStream(), e.GetState(), "", ident.Version{Epoch: 1, Seq: 5}); err != nil {
		t.Fatal(err)
	}
	w.apply(r, opened(w))
	lane, err := ReadLane(t.Context(), r.replica, acme, projections, home, soleLane())
	if err != nil || lane.Complete && lane.Highest < 4 {
		t.Errorf("the lane is at %+v, and version 4 is here: %v", lane, err)
	}
}

// The opening of an empty lane, which came before the record that grants it, owes nothing that a repair of the empty lane could not settle.
func TestAnUngrantedOpeningOfAnEmptyLaneIsSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[1]
	w.apply(r, opened(w))
	w.policy(tenancyv1.Projections_PROJECTIONS_NONE)
	w.apply(r, opened(w))
	w.policy(tenancyv1.Projections_PROJECTIONS_EVERYWHERE)
	stream := opened(w).GetStream()
	if err := r.applier.Complete(t.Context(), stream, ident.Version{Epoch: 1}, r.applier.Began(acme)); err != nil {
		t.Fatal(err)
	}
	if lane, err := ReadLane(t.Context(), r.replica, acme, projections, home, soleLane()); err != nil || !lane.Complete {
		t.Errorf("the lane is at %+v after a repair: %v", lane, err)
	}
}
