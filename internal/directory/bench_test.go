package directory_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

const million = 1_000_000

// tenantID is the id of the i-th tenant of a benchmark: 14 to 20 bytes, as people choose them.
func tenantID(i int) string {
	return fmt.Sprintf("customer-%d-%s", i, []string{"eu", "us", "sg", "br"}[i%4])
}

// fill applies n tenants, each with a host of its own if hosts is set, and returns the bytes of memory that they take.
func fill(n int, hosts bool) (*directory.Index, float64) {
	before := heap()
	x := newIndex()
	const batch = 100_000
	for from := 0; from < n; from += batch {
		records := make([]*directoryv1.Record, 0, batch)
		for i := from; i < min(n, from+batch); i++ {
			t := tenant(tenantID(i))
			if hosts {
				t.Hosts = []string{"api." + tenantID(i) + ".com"}
			}
			records = append(records, tenantRecord(uint64(i+1), t))
		}
		x.Apply(records)
	}
	return x, float64(heap()-before) / float64(n)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// million tenants, made once for all benchmarks that read them.
var millionTenants = sync.OnceValues(func() (*directory.Index, float64) { return fill(million, false) })

// edge decides as an edge in Frankfurt would.
type edge struct {
	x        *directory.Index
	topology *topology.Topology
	here     topology.Index
}

func newEdge(x *directory.Index) edge {
	here, _ := topo().Index(frankfurt)
	return edge{x: x, topology: topo(), here: here}
}

func (e *edge) decide(id []byte) routing.Decision {
	t, known := e.x.TenantBytes(id)
	return routing.Decide(e.topology, routing.Input{Tenant: t, Known: known, Route: policyv1.Route_ROUTE_HOME, Edge: e.here})
}

// BenchmarkBytesPerTenant measures the memory of the routing part: with ids alone, and with a host of 22 to 28 bytes each.
func BenchmarkBytesPerTenant(b *testing.B) {
	for name, hosts := range map[string]bool{"ids": false, "ids-and-hosts": true} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				x, bytes := fill(million, hosts)
				b.ReportMetric(bytes, "bytes/tenant")
				runtime.KeepAlive(x)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// callers returns ids of tenants drawn at random. They lie one after another in memory, as a request's id lies in a buffer that is
// warm, so that what is measured is the look-up.
func callers() [][]byte {
	ids := make([][]byte, 1<<16)
	all := make([]byte, 0, len(ids)*24)
	for i := range ids {
		from := len(all)
		all = append(all, tenantID(rand.IntN(million))...)
		ids[i] = all[from:len(all):len(all)]
	}
	return ids
}

// BenchmarkRoute looks a random one of a million tenants up and decides.
func BenchmarkRoute(b *testing.B) {
	x, bytes := millionTenants()
	ids := callers()
	e := newEdge(x)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if d := e.decide(ids[i&(len(ids)-1)]); d.Action != routing.Local {
			b.Fatalf("decided %v", d.Action)
		}
		i++
	}
	b.ReportMetric(bytes, "bytes/tenant")
}

// BenchmarkRouteParallel is BenchmarkRoute on all processors.
func BenchmarkRouteParallel(b *testing.B) {
	x, _ := millionTenants()
	ids := callers()
	e := newEdge(x)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(len(ids)); pb.Next(); i++ {
			if d := e.decide(ids[i&(len(ids)-1)]); d.Action != routing.Local {
				b.Errorf("decided %v", d.Action)
			}
		}
	})
}

// BenchmarkHost looks up one of a hundred thousand hosts.
func BenchmarkHost(b *testing.B) {
	x, _ := fill(million/10, true)
	hosts := make([]string, 1<<14)
	for i := range hosts {
		hosts[i] = "api." + tenantID(rand.IntN(million/10)) + ".com"
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, _, ok := x.Host(hosts[i&(len(hosts)-1)]); !ok {
			b.Fatal("unknown host")
		}
		i++
	}
}

// BenchmarkKeyVerifier looks up one of a hundred thousand keys.
func BenchmarkKeyVerifier(b *testing.B) {
	x := newIndex()
	before := heap()
	const keys = million / 10
	for from := 0; from < keys; from += 10_000 {
		var records []*directoryv1.Record
		for i := from; i < from+10_000; i++ {
			records = append(records, keyRecord(uint64(i+1), tenantID(i), "3k7mabcdefgh2345", false))
		}
		x.Apply(records)
	}
	bytes := float64(heap()-before) / keys
	ids := make([]ident.TenantID, 1<<14)
	for i := range ids {
		ids[i] = ident.TenantID(tenantID(rand.IntN(keys)))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok := x.KeyVerifier(ids[i&(len(ids)-1)], "3k7mabcdefgh2345"); !ok {
			b.Fatal("unknown key")
		}
		i++
	}
	b.ReportMetric(bytes, "bytes/key")
}

// BenchmarkApply changes one of a million tenants.
func BenchmarkApply(b *testing.B) {
	x, _ := millionTenants()
	b.ReportAllocs()
	n := uint64(million)
	for b.Loop() {
		n++
		x.Apply([]*directoryv1.Record{tenantRecord(n, tenant(tenantID(rand.IntN(million))))})
	}
}

// BenchmarkSnapshotFile saves and loads a hundred thousand tenants.
func BenchmarkSnapshotFile(b *testing.B) {
	x, _ := fill(million/10, true)
	path := filepath.Join(b.TempDir(), "directory")
	b.Run("save", func(b *testing.B) {
		for b.Loop() {
			if err := directory.SaveSnapshot(path, positions(1), x.Records()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			if _, err := directory.LoadSnapshot(path, newIndex()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkWrite appends to a log on a store in memory.
func BenchmarkWrite(b *testing.B) {
	w := newWriter(openTable(b), control)
	records := make([]*directoryv1.Record, 1000)
	for i := range records {
		records[i] = tenantRecord(0, tenant(tenantID(i), tenantID(i)+".example"))
	}
	records = slices.Clip(records)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := w.Write(b.Context(), always(records[i%len(records)])); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
