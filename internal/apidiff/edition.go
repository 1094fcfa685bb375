package apidiff

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// edition is a region's document, or the global one, as Parity compares it. The global one's region is "".
type edition struct {
	region     string
	name       string
	root       map[string]any
	operations map[string]map[string]any
}

func newEdition(d *Document, region string) (*edition, error) {
	raw, err := json.Marshal(d.Spec)
	if err != nil {
		return nil, fmt.Errorf("writing %s as JSON: %w", d.Name, err)
	}
	e := &edition{region: region, name: d.Name, operations: map[string]map[string]any{}}
	if err := json.Unmarshal(raw, &e.root); err != nil {
		return nil, fmt.Errorf("reading %s as JSON: %w", d.Name, err)
	}
	e.operations[outside] = rootOf(e.root)
	for path, item := range d.Spec.Paths.Map() {
		for method, operation := range item.Operations() {
			// Parameters of the path are parameters of each operation.
			merged := *operation
			merged.Parameters = inherit(item.Parameters, operation.Parameters)
			node, err := asNode(&merged)
			if err != nil {
				return nil, fmt.Errorf("reading %s of %s as JSON: %w", path, d.Name, err)
			}
			e.operations[method+" "+path] = node
		}
	}
	return e, nil
}

// outside is what documents say besides their operations. It is compared as if it were one.
const outside = "document"

func rootOf(root map[string]any) map[string]any {
	node := map[string]any{}
	for _, fields := range rootFields() {
		var value any = root
		for _, f := range fields {
			inner, _ := value.(map[string]any)
			value = inner[f]
		}
		if value != nil {
			node[fields[len(fields)-1]] = value
		}
	}
	return node
}

func inherit(path, own openapi3.Parameters) openapi3.Parameters {
	all := slices.Clone(own)
	for _, p := range path {
		if own.GetByInAndName(p.Value.In, p.Value.Name) == nil {
			all = append(all, p)
		}
	}
	return all
}

func asNode(operation *openapi3.Operation) (map[string]any, error) {
	raw, err := json.Marshal(operation)
	if err != nil {
		return nil, fmt.Errorf("writing an operation: %w", err)
	}
	var node map[string]any
	if err := json.Unmarshal(raw, &node); err != nil {
		return nil, fmt.Errorf("reading an operation: %w", err)
	}
	return node, nil
}
