package apidiff

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// variant is a node as one document has it, with the declaration that holds there: its own, or that of what it is in.
type variant struct {
	root     map[string]any
	node     any
	ref      string
	declared *Availability
}

// difference is a place where two documents are not alike.
type difference struct {
	// place is the way to it, from the operation or from the component that it is in.
	place []string
	// text says what is not alike, from the base to the other.
	text string
	// base and other are the declarations that hold there.
	base, other *Availability
}

// comparer compares parts of two documents, references resolved.
type comparer struct {
	known []string           // all regions
	seen  map[[4]string]bool // what was compared already: components by their names, under declarations
	found []difference
	err   error
}

// maxHops bounds the references that are followed one after the other; a document whose references go round has no more.
const maxHops = 32

// resolve follows references and reads the declaration of what it comes to. Fields beside a reference count over those behind it.
func (c *comparer) resolve(v variant) variant {
	for range maxHops {
		node, ok := v.node.(map[string]any)
		if !ok {
			return v
		}
		own, err := declared(node, c.known)
		if err != nil {
			c.err = errors.Join(c.err, err)
		}
		if own != nil {
			v.declared = own
		}
		ref, ok := node["$ref"].(string)
		if !ok {
			return v
		}
		target, ok := pointed(v.root, ref).(map[string]any)
		if !ok {
			return v
		}
		merged := maps.Clone(target)
		for field, value := range node {
			if field != "$ref" {
				merged[field] = value
			}
		}
		v.node, v.ref = merged, ref
	}
	return v
}

// pointed returns what a reference within the document points at, nil when it points nowhere.
func pointed(root map[string]any, ref string) any {
	rest, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil
	}
	var node any = root
	for step := range strings.SplitSeq(rest, "/") {
		fields, ok := node.(map[string]any)
		if !ok {
			return nil
		}
		node = fields[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
	}
	return node
}

// compare finds where two nodes are not alike. names tells that their fields have names of the API's own.
func (c *comparer) compare(place []string, a, b variant, names bool) {
	a, b = c.resolve(a), c.resolve(b)
	if a.ref != "" && b.ref != "" {
		pair := [4]string{a.ref, b.ref, a.declared.key(), b.declared.key()}
		if c.seen[pair] {
			return
		}
		c.seen[pair] = true
		if a.ref == b.ref {
			// A component has one place, wherever it is met.
			place = []string{a.ref[strings.LastIndex(a.ref, "/")+1:]}
		}
	}
	x, isMap := a.node.(map[string]any)
	y, isMapToo := b.node.(map[string]any)
	if isMap && isMapToo {
		c.compareFields(place, a, b, x, y, names)
		return
	}
	list, isList := a.node.([]any)
	other, isListToo := b.node.([]any)
	if isList && isListToo {
		c.compareLists(place, a, b, list, other)
		return
	}
	if !reflect.DeepEqual(a.node, b.node) {
		c.add(place, a, b, instead(a.node, b.node))
	}
}

func (c *comparer) compareFields(place []string, a, b variant, x, y map[string]any, names bool) {
	fields := map[string]bool{}
	for f := range x {
		fields[f] = true
	}
	for f := range y {
		fields[f] = true
	}
	for _, f := range slices.Sorted(maps.Keys(fields)) {
		if !names && isExpected(f) {
			continue
		}
		p := append(slices.Clone(place), f)
		va, vb := variant{root: a.root, node: x[f], declared: a.declared}, variant{root: b.root, node: y[f], declared: b.declared}
		_, inA := x[f]
		_, inB := y[f]
		switch {
		case !inB:
			c.add(p, c.resolve(va), vb, "missing")
		case !inA:
			c.add(p, va, c.resolve(vb), "only here")
		case names:
			c.compare(p, va, vb, false)
		default:
			c.compareField(p, f, va, vb)
		}
	}
}

// compareField compares a field by what OpenAPI means by its name.
func (c *comparer) compareField(place []string, field string, a, b variant) {
	switch {
	case slices.Contains(values(), field):
		if !reflect.DeepEqual(a.node, b.node) {
			c.add(place, a, b, instead(a.node, b.node))
		}
	case field == "required":
		// Names of properties, in no order; in a parameter or a body, a plain value.
		if !reflect.DeepEqual(sorted(a.node), sorted(b.node)) {
			c.add(place, a, b, instead(a.node, b.node))
		}
	default:
		c.compare(place, a, b, slices.Contains(named(), field) || strings.HasPrefix(field, "x-"))
	}
}

// instead says what a document has instead of what the base has.
func instead(base, other any) string { return short(other) + "; elsewhere " + short(base) }

func sorted(node any) any {
	list, ok := node.([]any)
	if !ok {
		return node
	}
	return slices.SortedFunc(slices.Values(list), func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
}

// compareLists compares parameters by their names and places, and other lists in their order.
func (c *comparer) compareLists(place []string, a, b variant, x, y []any) {
	if len(place) > 0 && place[len(place)-1] == "parameters" {
		byName := func(v variant, list []any) map[string]any {
			all := map[string]any{}
			for _, p := range list {
				if fields, ok := c.resolve(variant{root: v.root, node: p}).node.(map[string]any); ok {
					all[fmt.Sprintf("%v %v", fields["in"], fields["name"])] = p
				}
			}
			return all
		}
		c.compareFields(place, a, b, byName(a, x), byName(b, y), true)
		return
	}
	if len(x) != len(y) {
		c.add(place, a, b, instead(x, y))
		return
	}
	for i := range x {
		p := append(slices.Clone(place), strconv.Itoa(i))
		c.compare(p, variant{root: a.root, node: x[i], declared: a.declared}, variant{root: b.root, node: y[i], declared: b.declared}, false)
	}
}

func (c *comparer) add(place []string, a, b variant, text string) {
	c.found = append(c.found, difference{place, text, a.declared, b.declared})
}

// short is a value for a line of a table.
func short(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	const limit = 80
	if len(text) > limit {
		return strings.ToValidUTF8(string(text[:limit]), "") + "…"
	}
	return string(text)
}
