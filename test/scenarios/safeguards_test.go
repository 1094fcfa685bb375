//go:build scenario_unsafe

package scenarios

import (
	"fmt"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/internal/replication"
)

// mostSeeds is within how many seeds a safeguard that is off must be noticed.
const mostSeeds = 100

// With any one safeguard off, the scenarios fail within a few seeds.
func TestSafeguards(t *testing.T) {
	t.Parallel()
	apply := func(name string) off {
		return off{applier: func(a *replication.Applier) { a.SwitchOff(name) }}
	}
	var table strings.Builder
	for _, each := range []struct {
		name string
		off  off
	}{
		{"version check", apply("version")}, {"gap check", apply("gap")}, {"class check", apply("class")}, {"as-of check", apply("as-of")},
		{"idempotency record", off{record: true}}, {"second look before a failure", off{look: true}}, {"increment key", off{increment: true}},
	} {
		first, noticed, why := uint64(0), 0, ""
		for seed := uint64(1); seed <= mostSeeds; seed++ {
			failure := newWorld(seed, each.off).run()
			if failure == "" {
				continue
			}
			if noticed++; noticed == 1 {
				first, why = seed, failure
			}
		}
		if noticed == 0 {
			t.Errorf("%s: %d seeds do not notice that it is off", each.name, mostSeeds)
			continue
		}
		fmt.Fprintf(&table, "| %s | %d | %d of %d | %s |\n", each.name, first, noticed, mostSeeds, why)
	}
	t.Logf("safeguard, first seed that notices that it is off, how many do, and what the first sees:\n%s", table.String())
}
