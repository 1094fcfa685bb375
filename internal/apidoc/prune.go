package apidoc

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Prune takes out of a document the components that no operation reaches. Security schemes are not reached by references; they stay.
func Prune(doc *openapi3.T) error {
	data, err := doc.MarshalJSON()
	if err != nil {
		return fmt.Errorf("looking for unused components: %w", err)
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		return fmt.Errorf("looking for unused components: %w", err)
	}
	components, _ := tree["components"].(map[string]any)
	reached := map[string]bool{}
	for part, value := range tree {
		if part != "components" {
			follow(components, value, reached)
		}
	}
	keep := func(kind, name string) bool { return reached[kind+"/"+name] }
	c := doc.Components
	deleteUnused(c.Schemas, "schemas", keep)
	deleteUnused(c.Responses, "responses", keep)
	deleteUnused(c.Parameters, "parameters", keep)
	deleteUnused(c.Headers, "headers", keep)
	deleteUnused(c.Examples, "examples", keep)
	deleteUnused(c.RequestBodies, "requestBodies", keep)
	return nil
}

func deleteUnused[V any](components map[string]V, kind string, keep func(kind, name string) bool) {
	for name := range components {
		if !keep(kind, name) {
			delete(components, name)
		}
	}
}

// follow notes the components that a value refers to, as "schemas/Name", and what they refer to in turn.
func follow(components map[string]any, value any, reached map[string]bool) {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			follow(components, element, reached)
		}
	case map[string]any:
		for key, element := range v {
			ref, isRef := element.(string)
			if key != "$ref" || !isRef {
				follow(components, element, reached)
				continue
			}
			name := strings.TrimPrefix(ref, "#/components/")
			if reached[name] {
				continue
			}
			reached[name] = true
			kind, last, _ := strings.Cut(name, "/")
			named, _ := components[kind].(map[string]any)
			follow(components, named[last], reached)
		}
	}
}
