package apidiff

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// statement is something that documents say of a property or an operation and that oasdiff does not know.
type statement struct {
	// name is the extension's.
	name string
	// order has the values from the strictest to the loosest. Without one every other value is a break.
	order []string
	// down and up say what a move towards the strict and towards the loose end is called.
	down, up string
}

// The statements of residency. A class that is tightened breaks no promise; what a client no longer gets because of it is seen in the
// properties.
func dataClass() statement {
	return statement{"x-data-class", []string{"SECRET", "PII", "REGIONAL", "GLOBAL"}, "tightened", "loosened"}
}

func leavesRegion() statement {
	return statement{"x-leaves-region", []string{"never", "jurisdiction", "anywhere"}, "narrowed", "widened"}
}

// ofProperty and ofOperation are what is looked at in each.
func ofProperty() []statement { return []statement{dataClass(), leavesRegion()} }

func ofOperation() []statement {
	return []statement{
		dataClass(), leavesRegion(),
		{name: "x-route", order: nil},
		{name: "x-idempotency", order: nil},
	}
}

// side is one document's part of a pair: an object's extensions and where they stand.
type side struct {
	document   string
	extensions map[string]any
	origin     *openapi3.Origin
}

// say returns what a side says, "" when it says nothing.
func (s side) say(st statement) (string, error) {
	raw, ok := s.extensions[st.name]
	if !ok {
		return "", nil
	}
	value, ok := raw.(string)
	if !ok || value == "" || st.order != nil && !slices.Contains(st.order, value) {
		err := fmt.Errorf("%s: %v is not known; it is one of %s", st.name, raw, strings.Join(st.order, ", "))
		if st.order == nil {
			err = fmt.Errorf("%s: %v is not a word", st.name, raw)
		}
		return "", &InputError{Name: s.document, Line: line(s.origin, st.name), Err: err}
	}
	return value, nil
}

// judge compares what two documents say of one thing; what says which it is. A nil change is none.
func (st statement) judge(older, newer side, what string) (*Change, error) {
	before, err := older.say(st)
	if err != nil {
		return nil, err
	}
	after, err := newer.say(st)
	if err != nil || before == after {
		return nil, err
	}
	at := place(newer.document, line(newer.origin, st.name))
	change := func(effect Effect, verb, format string, args ...any) (*Change, error) {
		return &Change{Effect: effect, Rule: st.name + "-" + verb, Text: fmt.Sprintf(format, args...) + " for " + what, At: at}, nil
	}
	switch {
	case before == "":
		return change(Compatible, "stated", "%s is stated: %s", st.name, after)
	case after == "":
		return change(Breaking, "removed", "%s is stated no more; it was %s", st.name, before)
	case st.order == nil:
		return change(Breaking, "changed", "%s changed from %s to %s", st.name, before, after)
	case slices.Index(st.order, after) > slices.Index(st.order, before):
		return change(Breaking, st.up, "%s was %s from %s to %s", st.name, st.up, before, after)
	default:
		return change(Compatible, st.down, "%s was %s from %s to %s", st.name, st.down, before, after)
	}
}

// residencyChanges compares what two documents say about where data and calls go.
func residencyChanges(older, newer *Document) ([]Change, error) {
	changes, err := regionChanges(older, newer)
	if err != nil {
		return nil, err
	}
	for path, item := range newer.Spec.Paths.Map() {
		for method, operation := range item.Operations() {
			before := operationAt(older.Spec, method, path)
			if before == nil {
				continue
			}
			w := walker{older: older.Name, newer: newer.Name, operation: method + " " + path, seen: map[[2]*openapi3.Schema]bool{}}
			w.compareOperation(before, operation)
			if w.err != nil {
				return nil, w.err
			}
			changes = append(changes, w.changes...)
		}
	}
	return changes, nil
}

func operationAt(spec *openapi3.T, method, path string) *openapi3.Operation {
	item := spec.Paths.Find(path)
	if item == nil {
		return nil
	}
	return item.GetOperation(method)
}

// Region is what a document's x-regions says of a region.
type Region struct {
	// ID is the region's, e.g. "eu-central-1".
	ID string `json:"id"`
	// Jurisdiction is whose law holds there, e.g. "EU".
	Jurisdiction string `json:"jurisdiction"`
}

// Regions are those that the document's x-regions lists; none when it has no such list.
func (d *Document) Regions() ([]Region, error) {
	list, ok := d.Spec.Extensions["x-regions"]
	if !ok {
		return nil, nil
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return nil, &InputError{Name: d.Name, Line: line(d.Spec.Origin, "x-regions"), Err: fmt.Errorf("reading x-regions: %w", err)}
	}
	var regions []Region
	if err := json.Unmarshal(raw, &regions); err != nil {
		return nil, &InputError{Name: d.Name, Line: line(d.Spec.Origin, "x-regions"), Err: fmt.Errorf("reading x-regions: %w", err)}
	}
	return regions, nil
}

// regionChanges compares the regions that there are, and the jurisdiction of the documents' own.
func regionChanges(older, newer *Document) ([]Change, error) {
	before, err := older.Regions()
	if err != nil {
		return nil, err
	}
	after, err := newer.Regions()
	if err != nil {
		return nil, err
	}
	var changes []Change
	add := func(effect Effect, rule, format string, args ...any) {
		at := place(newer.Name, line(newer.Spec.Origin, "x-regions"))
		changes = append(changes, Change{Effect: effect, Rule: rule, Text: fmt.Sprintf(format, args...), At: at})
	}
	named := func(id string) func(Region) bool { return func(r Region) bool { return r.ID == id } }
	for _, r := range before {
		switch i := slices.IndexFunc(after, named(r.ID)); {
		case i < 0:
			add(Breaking, "region-removed", "region %s is there no more", r.ID)
		case after[i].Jurisdiction != r.Jurisdiction:
			add(Breaking, "region-jurisdiction-changed", "region %s was in jurisdiction %s and is in %s", r.ID, r.Jurisdiction, after[i].Jurisdiction)
		}
	}
	for _, r := range after {
		if !slices.ContainsFunc(before, named(r.ID)) {
			add(Compatible, "region-added", "region %s is new, in jurisdiction %s", r.ID, r.Jurisdiction)
		}
	}
	own, now := older.Spec.Extensions["x-jurisdiction"], newer.Spec.Extensions["x-jurisdiction"]
	if own != nil && now != nil && own != now {
		add(Breaking, "x-jurisdiction-changed", "the document is of jurisdiction %v; it was of %v", now, own)
	}
	return changes, nil
}
