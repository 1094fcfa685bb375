package cost

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/domicile-api/domicile/internal/ident"
)

// Line is one thing that is paid for in a region.
type Line struct {
	Region  ident.RegionID `json:"region"`
	Service string         `json:"service"`
	What    string         `json:"what"`
	// Quantity is a month's, in Unit; Price is US dollars a unit; Cost their product.
	Quantity float64 `json:"quantity"`
	Unit     string  `json:"unit"`
	Price    float64 `json:"price"`
	Cost     float64 `json:"cost"`
	// Fixed says that it is paid without a single call too.
	Fixed bool `json:"fixed"`
}

// Report is an estimate. Money is US dollars a month.
type Report struct {
	Sums

	Input      Input
	Operations []Operation
	Lines      []Line
}

// Sums are what a report comes to.
type Sums struct {
	Total float64 `json:"total"`
	// Fixed is the part of Total that is paid without calls, PerMillion what a million calls cost on average beyond it; 0 without calls.
	Fixed      float64 `json:"fixed"`
	PerMillion float64 `json:"per_million"`
	// Unseen is the share of Total that rests on prices which were not compared with AWS's own list (see prices.yaml).
	Unseen float64 `json:"unseen"`
}

func newReport(in *Input, o Operations, lines []Line) *Report {
	r := &Report{Input: *in, Operations: o.All(), Lines: lines}
	unseen := 0.0
	for i := range lines {
		r.Total += lines[i].Cost
		if lines[i].Fixed {
			r.Fixed += lines[i].Cost
		}
		if !in.Prices.seen(&lines[i]) {
			unseen += lines[i].Cost
		}
	}
	if r.Total > 0 {
		r.Unseen = unseen / r.Total
	}
	if calls := in.RPS * seconds; calls > 0 {
		r.PerMillion = (r.Total - r.Fixed) / calls * 1e6
	}
	return r
}

// seen tells whether a line's price was compared with AWS's list.
func (p *Prices) seen(l *Line) bool {
	for i := range p.list {
		if price := &p.list[i]; price.Service == l.Service && price.What == l.What {
			_, here := price.Seen[l.Region]
			return here || price.All != nil && len(price.Seen) > 0
		}
	}
	return false
}

// Services returns the services in the order of what they cost together, the dearest first.
func (r *Report) Services() []string {
	sums := make(map[string]float64)
	var names []string
	for i := range r.Lines {
		name := r.Lines[i].Service
		if _, known := sums[name]; !known {
			names = append(names, name)
		}
		sums[name] += r.Lines[i].Cost
	}
	slices.SortStableFunc(names, func(a, b string) int {
		if sums[a] != sums[b] {
			if sums[a] > sums[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	return names
}

// Regions returns the regions in the order of the topology.
func (r *Report) Regions() []ident.RegionID { return r.Input.Topology.IDs() }

// Sum adds up what a service costs in a region; "" stands for all services, ident.NoRegion for all regions.
func (r *Report) Sum(service string, region ident.RegionID) float64 {
	sum := 0.0
	for i := range r.Lines {
		l := &r.Lines[i]
		if (service == "" || l.Service == service) && (region == ident.NoRegion || l.Region == region) {
			sum += l.Cost
		}
	}
	return sum
}

// Dearest returns what costs most, all regions together: at most n.
func (r *Report) Dearest(n int) []Line {
	type key struct{ service, what string }
	sums := make(map[key]*Line)
	var all []*Line
	for i := range r.Lines {
		l := r.Lines[i]
		k := key{l.Service, l.What}
		if sums[k] == nil {
			sums[k] = &Line{Service: l.Service, What: l.What, Unit: l.Unit}
			all = append(all, sums[k])
		}
		sums[k].Quantity += l.Quantity
		sums[k].Cost += l.Cost
	}
	slices.SortStableFunc(all, func(a, b *Line) int {
		switch {
		case a.Cost > b.Cost:
			return -1
		case a.Cost < b.Cost:
			return 1
		}
		return 0
	})
	dearest := make([]Line, 0, n)
	for _, l := range all[:min(n, len(all))] {
		dearest = append(dearest, *l)
	}
	return dearest
}

// WriteText writes the report for people: services by regions, what costs most, and what it rests on.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	in := &r.Input
	fmt.Fprintf(&b, "%s calls a second, %s tenants, %d regions: US$ %s a month\n", count(in.RPS), count(in.Tenants), in.Topology.Len(), money(r.Total))
	fmt.Fprintf(&b, "of which US$ %s are paid without calls, and US$ %.2f for each million calls\n\n", money(r.Fixed), r.PerMillion)
	regions := r.Regions()
	fmt.Fprintf(&b, "%-14s", "US$ a month")
	for _, id := range regions {
		fmt.Fprintf(&b, " %14s", id)
	}
	fmt.Fprintf(&b, " %14s\n", "all")
	row := func(name, service string) {
		fmt.Fprintf(&b, "%-14s", name)
		for _, id := range regions {
			fmt.Fprintf(&b, " %14s", money(r.Sum(service, id)))
		}
		fmt.Fprintf(&b, " %14s\n", money(r.Sum(service, ident.NoRegion)))
	}
	for _, service := range r.Services() {
		row(service, service)
	}
	row("all", "")
	b.WriteString("\nWhat costs most:\n")
	for _, l := range r.Dearest(8) {
		fmt.Fprintf(&b, "%12s  %s, %s: %s × %s\n", money(l.Cost), l.Service, l.What, count(l.Quantity), l.Unit)
	}
	fmt.Fprintf(&b, "\nList prices before taxes, free tiers and discounts; prices behind %.0f %% of the sum were not compared with AWS's own list.\n",
		100*r.Unseen)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the estimate: %w", err)
	}
	return nil
}

// document is the form of a report as JSON.
type document struct {
	Sums

	Regions     []ident.RegionID `json:"regions"`
	Assumptions Assumptions      `json:"assumptions"`
	Operations  []Operation      `json:"operations"`
	Lines       []Line           `json:"lines"`
}

// WriteJSON writes the whole report with every line.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	d := document{Sums: r.Sums, Regions: r.Regions(), Assumptions: r.Input.Assumptions, Operations: r.Operations, Lines: r.Lines}
	if err := encoder.Encode(d); err != nil {
		return fmt.Errorf("writing the estimate: %w", err)
	}
	return nil
}

// money writes whole dollars with thousands separated, and cents below ten dollars.
func money(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.2f", v)
	}
	return count(v)
}

// count writes a number with thousands separated; one below ten with its decimals, as far as they say something.
func count(v float64) string {
	if v < 10 {
		return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
	}
	digits := fmt.Sprintf("%.0f", v)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
