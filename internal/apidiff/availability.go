package apidiff

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// availabilityName is the extension that declares why something is not the same in every region:
//
//	x-availability:
//	  regions: [eu-central-1, eu-west-1]   # where this is, as it stands here
//	  reason: law                          # law, rollout or since
//	  note: Directive 2019/1024 is in force there
//
// It stands on an operation, or on anything within one: a parameter, an answer, a property. What is not in a region at all is declared in
// the documents that have it; what is another way there is declared in both.
const availabilityName = "x-availability"

// reasons are why a region may lack something.
func reasons() []string { return []string{"law", "rollout", "since"} }

// Availability is such a declaration.
type Availability struct {
	// Regions are where the thing is; at least one.
	Regions []string `json:"regions"`
	// Reason is law, rollout (it is on its way) or since (a region that came later or stays behind).
	Reason string `json:"reason"`
	// Note is for people.
	Note string `json:"note,omitempty"`
}

// declared reads the declaration on a node of a document, nil when it has none. known are the regions that there are.
func declared(node map[string]any, known []string) (*Availability, error) {
	raw, ok := node[availabilityName]
	if !ok {
		return nil, nil //nolint:nilnil // No declaration is the common case and no error.
	}
	fields, ok := raw.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: it has the fields regions, reason and note", availabilityName)
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains([]string{"regions", "reason", "note"}, field) {
			return nil, fmt.Errorf("%s: field %s is not known; it has regions, reason and note", availabilityName, field)
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", availabilityName, err)
	}
	var a Availability
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, fmt.Errorf("%s: %w", availabilityName, err)
	}
	if len(a.Regions) == 0 {
		return nil, fmt.Errorf("%s: it names no regions", availabilityName)
	}
	if !slices.Contains(reasons(), a.Reason) {
		return nil, fmt.Errorf("%s: reason %q is not known; it is one of %s", availabilityName, a.Reason, strings.Join(reasons(), ", "))
	}
	for _, r := range a.Regions {
		if len(known) > 0 && !slices.Contains(known, r) {
			return nil, fmt.Errorf("%s: there is no region %q; there are %s", availabilityName, r, strings.Join(known, ", "))
		}
	}
	return &a, nil
}

// covers tells whether the thing is in a region.
func (a *Availability) covers(region string) bool {
	return a != nil && slices.Contains(a.Regions, region)
}

// key tells declarations apart.
func (a *Availability) key() string {
	if a == nil {
		return ""
	}
	return a.Reason + " " + strings.Join(a.Regions, " ")
}

// compareAvailability reports an operation that is no longer in a region, or is in one more. The regions' own documents show it as well;
// the global one has the operation either way.
func (w *walker) compareAvailability(older, newer side) {
	before, err := declared(older.extensions, nil)
	if err != nil {
		w.err = errors.Join(w.err, &InputError{Name: w.older, Line: line(older.origin, availabilityName), Err: err})
		return
	}
	after, err := declared(newer.extensions, nil)
	if err != nil {
		w.err = errors.Join(w.err, &InputError{Name: w.newer, Line: line(newer.origin, availabilityName), Err: err})
		return
	}
	add := func(effect Effect, verb, text string) {
		at := place(w.newer, line(newer.origin, availabilityName))
		w.changes = append(w.changes, Change{Effect: effect, Rule: availabilityName + "-" + verb, Operations: []string{w.operation}, Text: text, At: at})
	}
	switch {
	case before == nil && after != nil:
		add(Breaking, "narrowed", "the operation was in every region and is in "+strings.Join(after.Regions, ", ")+" alone")
	case before != nil && after == nil:
		add(Compatible, "widened", "the operation is in every region; it was in "+strings.Join(before.Regions, ", ")+" alone")
	case before != nil && after != nil:
		if gone := beyond(before.Regions, after); len(gone) > 0 {
			add(Breaking, "narrowed", "the operation is no longer in "+strings.Join(gone, ", "))
		}
		if more := beyond(after.Regions, before); len(more) > 0 {
			add(Compatible, "widened", "the operation is now in "+strings.Join(more, ", "))
		}
	}
}

// beyond returns the regions that a declaration does not cover.
func beyond(regions []string, a *Availability) []string {
	return slices.DeleteFunc(slices.Clone(regions), a.covers)
}
