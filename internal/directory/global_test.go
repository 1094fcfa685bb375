package directory_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/globaltable"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// world is six regions, each with its replica of the global table and of the directory, on the clock of a synctest bubble.
type world struct {
	t        *testing.T
	tables   map[ident.RegionID]*globaltable.Table
	replicas map[ident.RegionID]*directory.Replica
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// deaf hears no doorbell.
type deaf struct{ directory.Table }

func (deaf) Changes(ctx context.Context, _ func([]store.Change) error) error {
	<-ctx.Done()
	return ctx.Err()
}

// newWorld starts the regions. Without bells the followers' intervals alone drive them.
func newWorld(t *testing.T, bells bool) *world {
	t.Helper()
	w := &world{
		t: t, tables: make(map[ident.RegionID]*globaltable.Table), replicas: make(map[ident.RegionID]*directory.Replica),
	}
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	for _, region := range regions() {
		db, err := pebblestore.OpenMemory(pebblestore.Config{ShuffleChanges: 1, SweepInterval: -1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		table, err := globaltable.Open(ctx, globaltable.Config{
			Region: region, Peers: others(region), Local: db.Table("directory"), Clock: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		w.tables[region] = table
	}
	for _, region := range regions() {
		for _, peer := range others(region) {
			link := w.tables[region].Connect(peer, w.tables[peer])
			w.running.Go(func() { _ = link.Run(ctx) })
		}
		table := directory.Table(w.tables[region])
		if !bells {
			table = deaf{table}
		}
		replica, err := directory.OpenReplica(ctx, directory.ReplicaConfig{
			Table: table, Topology: topo(), Clock: time.Now, HostSuffixes: []string{"localhost"},
			Path: filepath.Join(t.TempDir(), "directory"),
		})
		if err != nil {
			t.Fatal(err)
		}
		w.replicas[region] = replica
		w.running.Go(func() { _ = replica.Run(ctx) })
	}
	return w
}

func others(region ident.RegionID) []ident.RegionID {
	var peers []ident.RegionID
	for _, r := range regions() {
		if r != region {
			peers = append(peers, r)
		}
	}
	return peers
}

func (w *world) close() {
	w.stop()
	w.running.Wait()
}

// within waits until a region has all of a writer's records up to n, and returns how long it took.
func (w *world) within(region, writer ident.RegionID, n ident.Seq, limit time.Duration) (time.Duration, error) {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	err := w.replicas[region].Follower.WaitFor(ctx, writer, n)
	return time.Since(begin), err
}

// TestRoutableEverywhereWithinASecond makes tenants in the control region. With no lag injected each is routable in every region
// within a second, by the doorbell at once, and by the interval alone as well.
func TestRoutableEverywhereWithinASecond(t *testing.T) {
	t.Parallel()
	for name, bells := range map[string]bool{"with doorbell": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, bells)
				defer w.close()
				for i := range 5 {
					id := ident.TenantID(fmt.Sprintf("tenant-%d", i))
					host := string(id) + ".example"
					r := mustWrite(t, w.tables[control], control, tenantRecord(0, tenant(string(id), host)))
					begin := time.Now()
					for _, region := range regions() {
						if _, err := w.within(region, control, ident.Seq(r.GetWseq()), time.Second-time.Since(begin)); err != nil {
							t.Fatalf("%s after %v: %v", region, time.Since(begin), err)
						}
						if _, ok := w.replicas[region].Index.Tenant(string(id)); !ok {
							t.Errorf("%s does not know the tenant", region)
						}
						if got, _, ok := w.replicas[region].Index.Host(host); !ok || got != id {
							t.Errorf("%s takes the host for %q", region, got)
						}
					}
					if took := time.Since(begin); bells && took > 100*time.Millisecond {
						t.Errorf("took %v with the doorbell", took)
					}
				}
			})
		})
	}
}

// TestLagAndPartition delays one region's replica and cuts another off: what they do not know they call unknown, never something
// else, and they know it once the lag is over or the cut is mended.
func TestLagAndPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, true)
		defer w.close()
		w.tables[control].Link(singapore).Pause()
		w.tables[control].Link(dublin).SetLag(3 * time.Second)
		mustWrite(t, w.tables[control], control, tenantRecord(0, tenant("acme-eu", "acme.example")))
		mustWrite(t, w.tables[control], control, keyRecord(0, "acme-eu", "k1", false))
		if took, err := w.within(frankfurt, control, 2, time.Second); err != nil {
			t.Fatalf("frankfurt after %v: %v", took, err)
		}
		for _, region := range []ident.RegionID{singapore, dublin} {
			if _, _, ok, err := w.replicas[region].Resolver.ResolveHost(t.Context(), "acme.example"); ok || err != nil {
				t.Errorf("%s: %v %v, want unknown", region, ok, err)
			}
		}
		took, err := w.within(dublin, control, 2, time.Minute)
		if err != nil || took < 2*time.Second || took > 4*time.Second {
			t.Errorf("dublin after %v: %v; want about 3 s", took, err)
		}
		if _, err := w.within(singapore, control, 1, 5*time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("singapore, cut off: %v", err)
		}
		// A home's revocation goes its own way: it comes before the key that it revokes.
		mustWrite(t, w.tables[frankfurt], frankfurt, revocationRecord("", 0, "acme-eu", "k1"))
		for _, region := range regions() {
			if took, err := w.within(region, frankfurt, 1, time.Second); err != nil {
				t.Errorf("revocation in %s after %v: %v", region, took, err)
			}
		}
		w.tables[control].Link(singapore).Resume()
		if took, err := w.within(singapore, control, 2, time.Second); err != nil {
			t.Fatalf("singapore after %v: %v", took, err)
		}
		if v, ok, err := w.replicas[singapore].Resolver.KeyVerifier(t.Context(), "acme-eu", "k1"); !ok || err != nil || !v.Revoked {
			t.Errorf("key in singapore: %+v %v %v; want revoked", v, ok, err)
		}
	})
}

// TestCutOffBeyondPruning cuts a region off while the log is published and pruned twice over. When the cut is mended its items
// arrive in no order, deletes among them, and it still comes to the state that the whole log folds to.
func TestCutOffBeyondPruning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, true)
		defer w.close()
		w.tables[control].Link(singapore).Pause()
		writer := newWriter(w.tables[control], control)
		life := make([]*directoryv1.Record, 0, 90)
		for i := range 90 {
			r, err := writer.Write(t.Context(), always(tenantRecord(0, tenant(worldTenants[i%4], worldHosts[i%5]))))
			if err != nil {
				t.Fatal(err)
			}
			life = append(life, r)
			if _, err := writer.Sweep(t.Context(), 20); err != nil {
				t.Fatal(err)
			}
		}
		if log := readLog(t, w.tables[control], control); log[0].GetWseq() == 1 {
			t.Fatal("nothing was pruned")
		}
		w.tables[control].Link(singapore).Resume()
		for _, region := range regions() {
			if took, err := w.within(region, control, ident.Seq(len(life)), 10*time.Second); err != nil {
				t.Fatalf("%s after %v: %v", region, took, err)
			}
			fold(life).check(t, w.replicas[region].Index)
		}
	})
}
