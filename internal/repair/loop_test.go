package repair

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
)

// All lanes and feeds of all tenants are verified and repaired, and what was found is told in the operator's words.
func TestVerifyAllAndRepairAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dublin)
	defer w.close()
	users := make([]int, 0, 400)
	for n := range cap(users) {
		users = append(users, n)
	}
	w.write(false, users...)
	result, err := w.rec.RepairAll(t.Context(), "")
	if err != nil || result.GetRepaired() != 800 || result.GetDifferenceCount() != 800 || result.GetLanes() != 16 {
		t.Fatalf("%v, %v", result, err)
	}
	id := userID(17)
	w.spoil(copiesFeed, store.Op{Kind: store.Delete, Item: store.Item{Key: keyspace.Entity(acme, id)}})
	result, err = w.rec.VerifyAll(t.Context(), acme)
	if err != nil || result.GetBytes() == 0 {
		t.Fatalf("%v, %v", result, err)
	}
	result.Bytes = 0
	want := &operationsv1.RegionVerification{
		Region: string(dublin), Lanes: 16, Entities: 799, DifferenceCount: 1, Differences: []*operationsv1.Difference{{
			Tenant: string(acme), Source: string(frankfurt), Feed: "standby", Lane: uint32(keyspace.LaneOf(id)), Id: id, Kind: "missing",
		}},
	}
	if diff := cmp.Diff(want, result, protocmp.Transform()); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
	w.dir.tenant.Standby = topology.NoRegion
	result, err = w.rec.VerifyAll(t.Context(), "")
	if err != nil || result.GetLanes() != 8 || result.GetDifferenceCount() != 0 {
		t.Fatalf("without a standby: %v, %v", result, err)
	}
}

// A home that does not answer is a difference in each lane, and is not asked for every one.
func TestSilentHome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dublin)
	defer w.close()
	w.reconcile(w.applier, Tuning{Lanes: 1})
	asked := 0
	w.between = func() error { asked++; return errors.New("no answer") }
	result, err := w.rec.VerifyAll(t.Context(), "")
	if err != nil || result.GetLanes() != 0 || result.GetDifferenceCount() != 16 || asked != giveUpAfter {
		t.Fatalf("asked %d times: %v, %v", asked, result, err)
	}
	if d := result.GetDifferences()[0]; d.GetKind() != string(NotCompared) || d.GetId() != "" {
		t.Errorf("%v", d)
	}
}

// A tenant that moved, or is not known, is not compared with its old home.
func TestOnlyTheHomeIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dublin)
	defer w.close()
	s := lane0(projections)
	s.Origin = string(saoPaulo)
	if _, err := w.rec.Repair(t.Context(), s); !errors.Is(err, ErrNotHome) {
		t.Errorf("another origin: %v", err)
	}
	w.dir.tenant.Home, _ = w.top.Index(dublin)
	if _, err := w.rec.Repair(t.Context(), lane0(projections)); !errors.Is(err, ErrNotHome) {
		t.Errorf("at home here: %v", err)
	}
	result, err := w.rec.VerifyAll(t.Context(), "")
	if err != nil || result.GetLanes() != 0 || result.GetDifferenceCount() != 0 {
		t.Errorf("at home here: %v, %v", result, err)
	}
}

// log notes what a loop does.
type log struct {
	mu                 sync.Mutex
	verified, repaired int
	failed             int
}

func (l *log) Verified(*replicationv1.Stream, Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.verified++
}

func (l *log) Repaired(_ *replicationv1.Stream, _ Result, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed++
	} else {
		l.repaired++
	}
}

// The loop repairs what is owed at once, leaves a home that does not answer more and more alone, and finds by itself, within an
// interval, what nobody told it of.
func TestLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dublin)
		defer w.close()
		w.write(false, inLane(0, 300)...)
		ctx, stop := context.WithCancel(t.Context())
		notes := &log{}
		owed := []replication.Owed{{Stream: lane0(projections), Behind: true}}
		var mu sync.Mutex
		down := true
		w.between = func() error {
			mu.Lock()
			defer mu.Unlock()
			if down {
				return errors.New("no answer")
			}
			return nil
		}
		loop, err := NewLoop(LoopConfig{
			Reconciler: w.rec, Jitter: func() float64 { return 0.5 }, Observer: notes, Interval: time.Hour,
			Owed: func() []replication.Owed {
				mu.Lock()
				defer mu.Unlock()
				if w.watermark(projections).Complete {
					return nil
				}
				return owed
			},
		})
		must(t, err)
		done := make(chan error, 1)
		go func() { done <- loop.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		notes.mu.Lock()
		if notes.failed < 10 || notes.failed > 40 || notes.repaired != 0 {
			t.Errorf("in ten minutes %d attempts", notes.failed)
		}
		notes.mu.Unlock()
		mu.Lock()
		down = false
		mu.Unlock()
		time.Sleep(time.Minute)
		notes.mu.Lock()
		if notes.repaired != 1 {
			t.Errorf("%d repairs after the home was back", notes.repaired)
		}
		notes.mu.Unlock()
		w.spoil(projections, store.Op{Kind: store.Delete, Item: store.Item{Key: keyspace.Entity(acme, userID(inLane(0, 1)[0]))}})
		time.Sleep(2 * time.Hour)
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if result, err := w.rec.Compare(t.Context(), lane0(projections)); err != nil || result.Count != 0 {
			t.Errorf("%v, %v", found(result), err)
		}
		if notes.verified < 16 || notes.verified > 64 {
			t.Errorf("%d verifications in two hours", notes.verified)
		}
	})
}

// BenchmarkOneInAMillion finds one difference among a million entities of a tenant, and reports what that receives.
func BenchmarkOneInAMillion(b *testing.B) {
	w := newWorld(b, saoPaulo)
	defer w.close()
	for lane := range ident.Lane(ident.Lanes) {
		w.fill(125_000, lane)
	}
	w.spoil(projections, store.Op{Kind: store.Delete, Item: store.Item{Key: keyspace.Entity(acme, userID(inLane(0, 70_000)[69_999]))}})
	for b.Loop() {
		result, err := w.rec.VerifyAll(b.Context(), acme)
		if err != nil || result.GetDifferenceCount() != 1 || result.GetEntities() != 999_999 {
			b.Fatalf("%v, %v", result, err)
		}
		b.ReportMetric(float64(result.GetBytes()), "bytes")
	}
}
