package cost

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
)

// TestLimitsPage: what docs/limits.md says of bounds and rates is what the code has.
func TestLimitsPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	perBatch := math.Floor((store.MaxOps - 1) / 4.0) // of a creation: entity, outbox and idempotency record, one unique value
	say := make([]string, 0, 16)
	say = append(say,
		fmt.Sprintf("any other item %d KiB (`store.MaxItemBytes`)", store.MaxItemBytes>>10),
		fmt.Sprintf("%d items and 4 MB a transaction", store.MaxOps),
		fmt.Sprintf("a message has at most %d KiB (`queue.MaxMessageBytes`)", queue.MaxMessageBytes>>10),
		fmt.Sprintf("%d messages a request", queue.MaxBatch),
		fmt.Sprintf("known for %.0f minutes", queue.DeduplicationWindow.Minutes()),
		fmt.Sprintf("remembered for %.0f minutes", store.TokenLife.Minutes()),
		fmt.Sprintf("a page of up to %s items", count(store.MaxPage)),
		fmt.Sprintf("%d regions", topology.MaxRegions),
		fmt.Sprintf("%s tenants' keys in a process's memory, for %.0f minutes", count(seal.DefaultMaxCached), seal.DefaultMaxAge.Minutes()),
		fmt.Sprintf("at most %d KiB (`entity`)", maxEntityKB),
		fmt.Sprintf("⌊99 / items⌋: %.0f for a creation", perBatch),
	)
	const latency = 0.010
	for _, kb := range []float64{1, 10, 100} {
		in := Default(0, 1)
		in.EntityKB = kb
		s := sizesOf(&in)
		// The entity, the outbox record and its deletion, in transactions; the counter, once a batch; six cursors, once a page.
		u := transacted*(writes(s.entity)+writes(s.outbox)+writes(s.outbox)) + (transacted*writes(s.counter)+6*writes(s.cursor))/perBatch
		table := ident.Lanes * 1000 / u
		row := fmt.Sprintf("| %s | %s writes/s | %.0f writes/s | %s writes/s |",
			trimmed(u), count(round(table)), ident.Lanes/latency, count(ident.Lanes*perBatch/latency))
		say = append(say, row)
	}
	for _, want := range say {
		if !strings.Contains(page, want) {
			t.Errorf("docs/limits.md does not say %q", want)
		}
	}
}

// round rounds to two digits that count, as the page does.
func round(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v))-1)
	return math.Round(v/unit) * unit
}

// trimmed writes one decimal below a hundred, none above.
func trimmed(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}
