package apidiff

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// walker goes through what two documents have in common of an operation, and compares what they state.
type walker struct {
	older, newer string
	operation    string
	seen         map[[2]*openapi3.Schema]bool
	changes      []Change
	err          error
}

func (w *walker) judge(statements []statement, older, newer side, what string) {
	older.document, newer.document = w.older, w.newer
	for _, st := range statements {
		change, err := st.judge(older, newer, what)
		if err != nil {
			w.err = errors.Join(w.err, err)
			continue
		}
		if change != nil {
			change.Operations = []string{w.operation}
			w.changes = append(w.changes, *change)
		}
	}
}

func (w *walker) compareOperation(older, newer *openapi3.Operation) {
	before, after := side{extensions: older.Extensions, origin: older.Origin}, side{extensions: newer.Extensions, origin: newer.Origin}
	w.judge(ofOperation(), before, after, "the operation")
	w.compareCost(before, after)
	w.compareAvailability(before, after)
	for _, p := range newer.Parameters {
		if old := older.Parameters.GetByInAndName(p.Value.In, p.Value.Name); old != nil {
			what := fmt.Sprintf("the %s parameter %s", p.Value.In, p.Value.Name)
			w.judge(ofProperty(), parameterSide(old, old.Schema), parameterSide(p.Value, p.Value.Schema), what)
			w.compareSchemas(old.Schema, p.Value.Schema, what)
		}
	}
	if older.RequestBody != nil && newer.RequestBody != nil {
		w.compareContent(older.RequestBody.Value.Content, newer.RequestBody.Value.Content, "the request")
	}
	for status, answer := range newer.Responses.Map() {
		if old := older.Responses.Value(status); old != nil {
			w.compareContent(old.Value.Content, answer.Value.Content, "the answer "+status)
		}
	}
}

// parameterSide takes a statement from the parameter, or from its schema.
func parameterSide(p *openapi3.Parameter, schema *openapi3.SchemaRef) side {
	s := side{extensions: p.Extensions, origin: p.Origin}
	if schema == nil {
		return s
	}
	inner := schemaSide(schema)
	s.extensions = union(inner.extensions, s.extensions)
	return s
}

// schemaSide takes a statement from beside a reference, or from the schema.
func schemaSide(ref *openapi3.SchemaRef) side {
	s := side{extensions: union(ref.Value.Extensions, ref.Extensions), origin: ref.Value.Origin}
	if len(ref.Extensions) > 0 && ref.Origin != nil {
		s.origin = ref.Origin
	}
	return s
}

func union(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, b)
	return all
}

func (w *walker) compareContent(older, newer openapi3.Content, what string) {
	for kind, media := range newer {
		if old := older[kind]; old != nil {
			w.compareSchemas(old.Schema, media.Schema, what)
		}
	}
}

// compareSchemas compares the properties of two schemas, however deep. where names the schema for people: a component by its name,
// so that a property has one name wherever it is met.
func (w *walker) compareSchemas(older, newer *openapi3.SchemaRef, where string) {
	if older == nil || newer == nil || older.Value == nil || newer.Value == nil {
		return
	}
	pair := [2]*openapi3.Schema{older.Value, newer.Value}
	if w.seen[pair] {
		return
	}
	w.seen[pair] = true
	if newer.Ref != "" {
		where = newer.Ref[strings.LastIndex(newer.Ref, "/")+1:]
	}
	for _, name := range slices.Sorted(maps.Keys(newer.Value.Properties)) {
		if old, now := older.Value.Properties[name], newer.Value.Properties[name]; old != nil {
			what := where + "." + name
			w.judge(ofProperty(), schemaSide(old), schemaSide(now), what)
			w.compareSchemas(old, now, what)
		}
	}
	w.compareSchemas(older.Value.Items, newer.Value.Items, where+"[]")
	w.compareSchemas(older.Value.AdditionalProperties.Schema, newer.Value.AdditionalProperties.Schema, where+".*")
	w.compareSchemas(older.Value.Not, newer.Value.Not, where)
	for _, lists := range [][2]openapi3.SchemaRefs{
		{older.Value.AllOf, newer.Value.AllOf}, {older.Value.AnyOf, newer.Value.AnyOf}, {older.Value.OneOf, newer.Value.OneOf},
	} {
		w.compareBranches(lists[0], lists[1], where)
	}
}

// compareBranches compares the branches of a composition: those of one name, and those without a name in their order.
func (w *walker) compareBranches(older, newer openapi3.SchemaRefs, where string) {
	unnamed := slices.DeleteFunc(slices.Clone(older), func(r *openapi3.SchemaRef) bool { return r.Ref != "" })
	for _, now := range newer {
		if now.Ref == "" {
			if len(unnamed) > 0 {
				w.compareSchemas(unnamed[0], now, where)
				unnamed = unnamed[1:]
			}
			continue
		}
		for _, old := range older {
			if old.Ref == now.Ref {
				w.compareSchemas(old, now, where)
			}
		}
	}
}

// costName is the extension that says how many units of the rate limit a call takes; 1 when it is not there.
const costName = "x-cost"

// compareCost reports a call that takes more of the rate limit than it did, or less.
func (w *walker) compareCost(older, newer side) {
	before, err := costOf(older)
	if err != nil {
		w.err = errors.Join(w.err, &InputError{Name: w.older, Line: line(older.origin, costName), Err: err})
		return
	}
	after, err := costOf(newer)
	if err != nil {
		w.err = errors.Join(w.err, &InputError{Name: w.newer, Line: line(newer.origin, costName), Err: err})
		return
	}
	if before == after {
		return
	}
	c := Change{Effect: Compatible, Rule: costName + "-lowered", Operations: []string{w.operation}, At: place(w.newer, line(newer.origin, costName))}
	if after > before {
		c.Effect, c.Rule = Risky, costName+"-raised"
	}
	c.Text = fmt.Sprintf("a call takes %v units of the rate limit; it took %v", after, before)
	w.changes = append(w.changes, c)
}

func costOf(s side) (float64, error) {
	raw, ok := s.extensions[costName]
	if !ok {
		return 1, nil
	}
	switch cost := raw.(type) {
	case float64:
		return cost, nil
	case int:
		return float64(cost), nil
	case uint64:
		return float64(cost), nil
	default:
		return 0, fmt.Errorf("%s: %v is not a number", costName, raw)
	}
}
