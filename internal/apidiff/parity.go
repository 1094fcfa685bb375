package apidiff

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Gap is a place where regions are not alike.
type Gap struct {
	// Declared tells whether the documents give a reason.
	Declared bool `json:"declared"`
	// Operations are those it is seen in, as "GET /v1/users/{id}", sorted; "document" stands for what is outside of operations.
	Operations []string `json:"operations"`
	// Regions are the ones that are not as the others, sorted.
	Regions []string `json:"regions"`
	// Place is the way to it within the operation, e.g. "parameters > query pageSize", or from the component that it is in; empty for
	// the operation as a whole.
	Place string `json:"place,omitempty"`
	// Text says what is not alike.
	Text string `json:"text"`
	// Reason and Note are as declared.
	Reason string `json:"reason,omitempty"`
	Note   string `json:"note,omitempty"`
}

// ParityReport is what the documents of a version's regions do not have in common.
type ParityReport struct {
	// Regions are those whose documents were compared, sorted.
	Regions []string `json:"regions"`
	// Operations counts those that at least one document has.
	Operations int `json:"operations"`
	// Undeclared counts the gaps without a reason.
	Undeclared int `json:"undeclared"`
	// Gaps are sorted, those without a reason first.
	Gaps []Gap `json:"gaps"`
}

// Parity compares the documents of a version's regions, each of another region. global, the document that they were made from, may be
// nil; without it the variant that most regions have is what the others are held against. Documents that are no region's, two of one
// region, and declarations that make no sense are an *InputError.
func Parity(global *Document, regional []*Document) (*ParityReport, error) {
	if len(regional) < 2 && global == nil {
		return nil, errors.New("parity needs the documents of two regions at least")
	}
	p := parity{}
	for _, d := range regional {
		region, ok := d.Spec.Extensions["x-region"].(string)
		if !ok || region == "" {
			return nil, &InputError{Name: d.Name, Err: errors.New("not a region's document: it has no x-region")}
		}
		if err := p.take(d, region); err != nil {
			return nil, err
		}
	}
	if global != nil {
		if err := p.take(global, ""); err != nil {
			return nil, err
		}
	}
	if err := p.compareAll(); err != nil {
		return nil, err
	}
	return p.report(), nil
}

type parity struct {
	editions []*edition
	known    []string
	gaps     []Gap
}

func (p *parity) take(d *Document, region string) error {
	for _, e := range p.editions {
		if e.region == region {
			return &InputError{Name: d.Name, Err: fmt.Errorf("it is of region %s, and so is %s", region, e.name)}
		}
	}
	regions, err := d.Regions()
	if err != nil {
		return err
	}
	for _, r := range regions {
		if !slices.Contains(p.known, r.ID) {
			p.known = append(p.known, r.ID)
		}
	}
	e, err := newEdition(d, region)
	if err != nil {
		return err
	}
	p.editions = append(p.editions, e)
	return nil
}

func (p *parity) compareAll() error {
	names := map[string]bool{}
	for _, e := range p.editions {
		for name := range e.operations {
			names[name] = true
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(names), compareOperations) {
		if err := p.compareOperation(name); err != nil {
			return err
		}
	}
	return nil
}

// compareOperation holds the operation in each region against the base's.
func (p *parity) compareOperation(name string) error {
	having, err := p.having(name)
	if err != nil {
		return err
	}
	base, err := p.base(name, having)
	if err != nil {
		return err
	}
	reason, err := p.declared(name, base)
	if err != nil {
		return err
	}
	for _, e := range p.editions {
		if e == base {
			continue
		}
		if e.operations[name] == nil {
			g := Gap{Text: "the operation is missing"}
			if reason != nil && e.region != "" && !reason.covers(e.region) {
				g.Declared, g.Reason, g.Note = true, reason.Reason, reason.Note
			}
			p.add(name, e.region, g)
			continue
		}
		found, err := p.differences(name, base, e)
		if err != nil {
			return err
		}
		for _, d := range found {
			p.add(name, e.region, explain(d, base.region, e.region))
		}
	}
	return nil
}

// having returns the editions that have an operation, and finds those that have it though it is declared for others alone.
func (p *parity) having(name string) ([]*edition, error) {
	var having []*edition
	for _, e := range p.editions {
		if e.operations[name] == nil {
			continue
		}
		having = append(having, e)
		own, err := p.declared(name, e)
		if err != nil {
			return nil, err
		}
		if own != nil && e.region != "" && !own.covers(e.region) {
			p.add(name, e.region, Gap{Text: "it is here, and declared for " + strings.Join(own.Regions, ", ") + " alone"})
		}
	}
	return having, nil
}

func (p *parity) declared(name string, e *edition) (*Availability, error) {
	own, err := declared(e.operations[name], p.known)
	if err != nil {
		return nil, &InputError{Name: e.name, Err: fmt.Errorf("%s: %w", name, err)}
	}
	return own, nil
}

// explain finds the declared reason of a difference: the base's variant is declared, and not for this region, or this region's is, and
// not for the base's.
func explain(d difference, base, region string) Gap {
	g := Gap{Place: strings.Join(d.place, " > "), Text: d.text}
	var why *Availability
	switch {
	case d.base != nil && !d.base.covers(region):
		why = d.base
	case d.other.covers(region) && !d.other.covers(base) && !reflect.DeepEqual(d.other, d.base):
		why = d.other
	}
	if why != nil {
		g.Declared, g.Reason, g.Note = true, why.Reason, why.Note
	}
	return g
}

// base chooses what the others are held against: the global document, or else the first of the largest group of regions that are alike.
func (p *parity) base(name string, having []*edition) (*edition, error) {
	if i := slices.IndexFunc(having, func(e *edition) bool { return e.region == "" }); i >= 0 {
		return having[i], nil
	}
	slices.SortFunc(having, func(a, b *edition) int { return cmp.Compare(a.region, b.region) })
	var best *edition
	most := 0
	for _, candidate := range having {
		alike := 0
		for _, e := range having {
			found, err := p.differences(name, candidate, e)
			if err != nil {
				return nil, err
			}
			if len(found) == 0 {
				alike++
			}
		}
		if alike > most {
			best, most = candidate, alike
		}
	}
	return best, nil
}

func (p *parity) differences(name string, a, b *edition) ([]difference, error) {
	c := comparer{known: p.known, seen: map[[4]string]bool{}}
	c.compare(nil, variant{root: a.root, node: a.operations[name]}, variant{root: b.root, node: b.operations[name]}, false)
	if c.err != nil {
		return nil, &InputError{Name: b.name, Err: fmt.Errorf("%s: %w", name, c.err)}
	}
	return c.found, nil
}

// add keeps a gap, with those that say the same of other regions.
func (p *parity) add(operation, region string, g Gap) {
	g.Operations, g.Regions = []string{operation}, []string{where(region)}
	for i, other := range p.gaps {
		if other.Operations[0] == operation && other.says(g) {
			p.gaps[i].Regions = append(p.gaps[i].Regions, g.Regions...)
			slices.Sort(p.gaps[i].Regions)
			return
		}
	}
	p.gaps = append(p.gaps, g)
}

// says tells whether two gaps say the same, of whichever regions and operations.
func (g Gap) says(o Gap) bool {
	return g.Place == o.Place && g.Text == o.Text && g.Declared == o.Declared && g.Reason == o.Reason && g.Note == o.Note
}

// mergedGaps makes one gap of those that say the same of several operations, as they do of a component that differs.
func mergedGaps(gaps []Gap) []Gap {
	merged := []Gap{}
	for _, g := range gaps {
		same := func(o Gap) bool { return g.Place != "" && o.says(g) && slices.Equal(o.Regions, g.Regions) }
		if i := slices.IndexFunc(merged, same); i >= 0 {
			merged[i].Operations = append(merged[i].Operations, g.Operations...)
			continue
		}
		merged = append(merged, g)
	}
	return merged
}

func where(region string) string { return cmp.Or(region, "global") }

func (p *parity) report() *ParityReport {
	r := &ParityReport{}
	names := map[string]bool{}
	for _, e := range p.editions {
		if e.region != "" {
			r.Regions = append(r.Regions, e.region)
		}
		for name := range e.operations {
			names[name] = true
		}
	}
	slices.Sort(r.Regions)
	r.Operations = len(names) - 1 // without what is outside them
	r.Gaps = mergedGaps(p.gaps)
	for _, g := range r.Gaps {
		if !g.Declared {
			r.Undeclared++
		}
	}
	slices.SortStableFunc(r.Gaps, func(a, b Gap) int {
		switch {
		case a.Declared == b.Declared:
			return 0
		case b.Declared:
			return -1
		default:
			return 1
		}
	})
	return r
}
