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
		seed, failure := uint64(1), ""
		for ; seed <= mostSeeds && failure == ""; seed++ {
			failure = newWorld(seed, each.off).run(steps)
		}
		if failure == "" {
			t.Errorf("%s: %d seeds do not notice that it is off", each.name, mostSeeds)
			continue
		}
		fmt.Fprintf(&table, "| %s | %d | %s |\n", each.name, seed-1, failure)
	}
	t.Logf("seeds until it is noticed:\n%s", table.String())
}
