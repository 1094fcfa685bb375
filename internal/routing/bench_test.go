package routing_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

const (
	million = 1 << 20
	// idFormat gives each id the same length, so that ids can lie in one string.
	idFormat = "tenant-%07d"
	idLength = len("tenant-0000000")
)

// randomTenant is a tenant at one of the default topology's homes.
func randomTenant(random *rand.Rand) routing.Tenant {
	homes := []topology.Index{frankfurt, virginia, singapore, saoPaulo}
	return routing.Tenant{
		Home: homes[random.IntN(len(homes))], Standby: topology.NoRegion,
		Transit: forward + uint8(random.IntN(2)), State: active, Epoch: 1,
	}
}

// randomCalls are calls without their tenants, enough that the branches of Decide cannot be learnt.
func randomCalls(random *rand.Rand) []routing.Input {
	calls := make([]routing.Input, 1<<12)
	for i := range calls {
		calls[i] = routing.Input{
			Known: true, Route: routeHome + policyv1.Route(random.IntN(3)), Edge: topology.Index(random.IntN(6)),
			Strict: random.IntN(8) == 0, Health: routing.Health{Draining: set(oregon)},
		}
	}
	return calls
}

// BenchmarkDecide is the decision alone, the tenant's record at hand.
func BenchmarkDecide(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	d, calls := topologyfile.Default(), randomCalls(random)
	for i := range calls {
		calls[i].Tenant = randomTenant(random)
	}
	sum, i := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		sum += int(routing.Decide(d, calls[i%len(calls)]).Region)
		i++
	}
	if sum == 0 {
		b.Error("nothing was decided")
	}
}

// BenchmarkDecideOverMillion is what an edge does for a call: it looks the tenant up among a million, and decides. Where each
// tenant calls as often as any other, the records are in no cache and the time is that of the memory: a dependent read of it
// takes 100 to 200 ns on a small machine. Where few tenants make most calls, as is usual, it is that of the code. The id was
// just read from the request, so that it is in a cache.
func BenchmarkDecideOverMillion(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	d, calls := topologyfile.Default(), randomCalls(random)
	index := directory.NewIndex(directory.IndexConfig{Topology: d})
	fill(index, d, random)
	zipf, shuffled := rand.NewZipf(random, 1.1, 1, million-1), random.Perm(million)
	for name, next := range map[string]func() int{
		"zipf":    func() int { return shuffled[zipf.Uint64()] },
		"uniform": func() int { return random.IntN(million) },
	} {
		requests := make([]byte, 0, million*idLength)
		for range million {
			requests = fmt.Appendf(requests, idFormat, next())
		}
		runtime.GC() // What filling left behind is not to be swept meanwhile.
		b.Run(name, func(b *testing.B) {
			sum, i := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				in, at := calls[i%len(calls)], i%million*idLength
				in.Tenant, in.Known = index.TenantBytes(requests[at : at+idLength])
				sum += int(routing.Decide(d, in).Region)
				i++
			}
			if sum == 0 {
				b.Error("nothing was decided")
			}
		})
	}
}

// fill puts a million tenants into a directory's index.
func fill(index *directory.Index, d *topology.Topology, random *rand.Rand) {
	const batch = 1 << 14
	for from := 0; from < million; from += batch {
		records := make([]*directoryv1.Record, 0, batch)
		for i := from; i < from+batch; i++ {
			tenant := randomTenant(random)
			records = append(records, &directoryv1.Record{
				Writer: string(d.ID(d.Control())), Wseq: uint64(i + 1),
				Subject: &directoryv1.Record_Tenant{Tenant: &tenancyv1.Tenant{
					Id: fmt.Sprintf(idFormat, i), Home: string(d.ID(tenant.Home)), Standby: "none",
					Transit: tenancyv1.Transit(tenant.Transit), Projections: tenancyv1.Projections_PROJECTIONS_EVERYWHERE,
					State: tenancyv1.TenantState_TENANT_STATE_ACTIVE, Epoch: 1,
				}},
			})
		}
		index.Apply(records)
	}
}

func BenchmarkRouteOfProcedure(b *testing.B) {
	m, err := routing.NewMethods(platformServices()...)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := m.Route("/domicile.profile.v1.ProfileService/GetUser"); !ok {
			b.Fatal("no such method")
		}
	}
}

func TestDecideDoesNotAllocate(t *testing.T) { //nolint:paralleltest // It counts allocations.
	d := topologyfile.Default()
	m, err := routing.NewMethods(platformServices()...)
	if err != nil {
		t.Fatal(err)
	}
	var sum int
	n := testing.AllocsPerRun(100, func() {
		for edge := range topology.Index(7) {
			everyCall(routing.Input{Tenant: routing.Tenant{Home: frankfurt, Standby: dublin, Transit: strict}, Edge: edge}, func(in routing.Input) {
				sum += int(routing.Decide(d, in).Reason)
			})
		}
		route, _ := m.Route("/domicile.profile.v1.ProfileService/GetUser")
		sum += int(route)
	})
	if n != 0 || sum == 0 {
		t.Errorf("%v allocations, sum %d", n, sum)
	}
}
