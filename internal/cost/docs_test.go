package cost_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/cost"
	"github.com/domicile-api/domicile/internal/ident"
)

// page has tables that this package makes, each between two comments that name it.
const page = "../../docs/cost.md"

var update = flag.Bool("update", false, "write the tables of docs/cost.md anew")

// loads are those of the page, with as many tenants.
func loads() [][2]float64 { return [][2]float64{{10, 100}, {1000, 1000}, {10_000, 10_000}} }

// TestPageIsCurrent: the tables of docs/cost.md are what the model says today.
//
//	go test ./internal/cost -run TestPageIsCurrent -update
func TestPageIsCurrent(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	tables := map[string]string{
		"operations": operationsTable(t), "months": monthsTable(t), "dearest": dearestTable(t), "changes": changesTable(t), "prices": pricesTable(t),
	}
	for name, table := range tables {
		want = fill(t, want, name, table)
	}
	switch {
	case want == string(text):
	case *update:
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not current; run: go test ./internal/cost -run TestPageIsCurrent -update", page)
	}
}

// fill puts a table between its comments.
func fill(t *testing.T, text, name, table string) string {
	t.Helper()
	begin, end := "<!-- made by internal/cost: "+name+" -->\n", "<!-- end: "+name+" -->"
	before, rest, ok := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for %q", page, name)
	}
	return before + begin + table + end + after
}

// row writes a row of a table.
func row(b *strings.Builder, cells ...string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// cellsOf begins a row.
func cellsOf(first ...string) []string { return append(make([]string, 0, 16), first...) }

func header(b *strings.Builder, cells ...string) {
	row(b, cells...)
	b.WriteString("|---" + strings.Repeat("|---:", len(cells)-1) + "|\n")
}

// decimal writes a number with at most two decimals.
func decimal(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
}

// dollars writes whole dollars with thousands separated.
func dollars(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

func operationsTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	kilobytes := []float64{1, 10, 100}
	cells := cellsOf("operation", "calls")
	sizes := make([]cost.Operations, len(kilobytes))
	for i, kb := range kilobytes {
		cells = append(cells, fmt.Sprintf("%g KB: read units", kb), "write units", "bytes sent")
		in := cost.Default(0, 1)
		in.EntityKB, in.ProjectionKB, in.Creates = kb, kb/4, 0
		sizes[i] = cost.OperationsOf(&in)
	}
	header(&b, cells...)
	for i, o := range sizes[0].All() {
		cells := cellsOf(o.Name, decimal(o.Calls))
		for j := range sizes {
			at := sizes[j].All()[i]
			cells = append(cells, decimal(at.Reads), decimal(at.Writes), decimal(at.Bytes))
		}
		row(&b, cells...)
	}
	return b.String()
}

func reports(t *testing.T) []*cost.Report {
	t.Helper()
	all := make([]*cost.Report, 0, len(loads()))
	for _, load := range loads() {
		all = append(all, estimate(t, cost.Default(load[0], load[1])))
	}
	return all
}

func monthsTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, r := range reports(t) {
		fmt.Fprintf(&b, "%s calls a second, %s tenants: **US$ %s a month**, of which US$ %s are paid without calls; US$ %.2f for a million calls.\n\n",
			dollars(r.Input.RPS), dollars(r.Input.Tenants), dollars(r.Total), dollars(r.Fixed), r.PerMillion)
		cells := cellsOf("US$ a month")
		for _, id := range r.Regions() {
			cells = append(cells, string(id))
		}
		header(&b, append(cells, "all")...)
		for _, service := range append(r.Services(), "") {
			name := service
			if name == "" {
				name = "**all**"
			}
			cells := cellsOf(name)
			for _, id := range r.Regions() {
				cells = append(cells, dollars(r.Sum(service, id)))
			}
			row(&b, append(cells, dollars(r.Sum(service, ident.NoRegion)))...)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func dearestTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	header(&b, "calls a second", "1st", "2nd", "3rd", "4th", "5th")
	for _, r := range reports(t) {
		cells := cellsOf(dollars(r.Input.RPS))
		for _, l := range r.Dearest(5) {
			cells = append(cells, fmt.Sprintf("%s: %s, %.0f %%", l.Service, l.What, 100*l.Cost/r.Total))
		}
		row(&b, cells...)
	}
	return b.String()
}

func changesTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	cells := cellsOf("what is changed")
	for _, load := range loads() {
		cells = append(cells, dollars(load[0])+" calls a second")
	}
	header(&b, cells...)
	base := reports(t)
	for _, change := range []struct {
		name string
		do   func(*cost.Input)
	}{
		{"a heartbeat each 10 s instead of each second", func(i *cost.Input) { i.Heartbeat = 10 * time.Second }},
		{"processes look at other writers' logs each 5 s instead of each second", func(i *cost.Input) { i.Poll = 5 * time.Second }},
		{"no interface endpoints: all through the NAT gateways", func(i *cost.Input) { i.Endpoints = 0 }},
		{"one NAT gateway a region instead of two", func(i *cost.Input) { i.NATs = 1 }},
		{"all calls through Fargate, none through the HTTP API and Lambda", func(i *cost.Input) { i.Streams = 1 }},
		{"0.1 KB of logs a call instead of 0.5", func(i *cost.Input) { i.LogKB = 0.1 }},
		{"10 % writes instead of 20 %", func(i *cost.Input) { i.Writes = 0.1 }},
		{"no projections leave the home", func(i *cost.Input) { i.Everywhere, i.Jurisdiction = 0, 0 }},
		{"no standby", func(i *cost.Input) { i.Standby = 0 }},
		{"entities of 0.8 KB: 1 write unit less each", func(i *cost.Input) { i.EntityKB = 0.8 }},
		{"four events share each request, page and transaction", func(i *cost.Input) { i.RelayBatch, i.ApplyBatch, i.ReceiveBatch = 4, 4, 4 }},
		{"keys kept for an hour instead of 5 minutes", func(i *cost.Input) { i.KeyAge = time.Hour }},
	} {
		cells := cellsOf(change.name)
		for n, load := range loads() {
			in := cost.Default(load[0], load[1])
			change.do(&in)
			saved := estimate(t, in).Total - base[n].Total
			cells = append(cells, fmt.Sprintf("%s (%+.0f %%)", dollars(saved), 100*saved/base[n].Total))
		}
		row(&b, cells...)
	}
	return b.String()
}

func pricesTable(t *testing.T) string {
	t.Helper()
	prices, err := cost.ListPrices()
	if err != nil {
		t.Fatal(err)
	}
	regions := estimate(t, cost.Default(0, 0)).Regions()
	var b strings.Builder
	cells := cellsOf("what")
	for _, id := range regions {
		cells = append(cells, string(id))
	}
	header(&b, append(cells, "US$ for", "source")...)
	for _, price := range prices.All() {
		cells := cellsOf(price.Service + ": " + price.What)
		for _, id := range regions {
			_, amount, err := prices.Of(price.ID, id)
			if err != nil {
				t.Fatal(err)
			}
			cell := strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.10f", amount), "0"), ".")
			if day, seen := price.Seen[id]; seen {
				cell += " (" + day + ")"
			}
			cells = append(cells, cell)
		}
		row(&b, append(cells, price.Unit, price.Source)...)
	}
	return b.String()
}
