package directory

import (
	"fmt"
	"slices"
	"testing"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// TestHostTableForgets checks that hosts that tenants gave up leave nothing behind, and that growing keeps the others.
func TestHostTableForgets(t *testing.T) {
	t.Parallel()
	x := NewIndex(IndexConfig{Topology: topologyfile.Default()})
	const tenants, rounds = 300, 20
	n := uint64(0)
	for round := range rounds {
		records := make([]*directoryv1.Record, 0, tenants)
		for i := range tenants {
			n++
			records = append(records, &directoryv1.Record{Wseq: n, Subject: &directoryv1.Record_Tenant{Tenant: &tenancyv1.Tenant{
				Id: fmt.Sprintf("t%d", i), Hosts: []string{fmt.Sprintf("t%d.example", i), fmt.Sprintf("r%d.t%d.example", round, i)},
			}}})
		}
		x.Apply(records)
	}
	if got := len(slices.Collect(x.claims())); got != 2*tenants {
		t.Fatalf("%d claims, want %d", got, 2*tenants)
	}
	if x.hosts.count > 2*tenants || x.hosts.buckets.size()*claimsPerBucket > 8*tenants {
		t.Fatalf("%d claims in %d buckets, want at most %d", x.hosts.count, x.hosts.buckets.size(), 2*tenants)
	}
	for i := range tenants {
		for host, want := range map[string]bool{
			fmt.Sprintf("t%d.example", i):                 true,
			fmt.Sprintf("r%d.t%d.example", rounds-1, i):   true,
			fmt.Sprintf("r%d.t%d.example", rounds-2, i):   false,
			fmt.Sprintf("r%d.t%d.example", rounds, i):     false,
			fmt.Sprintf("other%d.t%d.example", rounds, i): false,
		} {
			if id, _, ok := x.Host(host); ok != want || ok && string(id) != fmt.Sprintf("t%d", i) {
				t.Fatalf("host %s is %q, %v", host, id, ok)
			}
		}
	}
}
