package apidoc

import (
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// Only returns the document without the operations of services that are not among the given ones, by full name, e.g.
// "domicile.profile.v1.ProfileService", and without the tags and components that only those needed.
func Only(doc *openapi3.T, services []string) (*openapi3.T, error) {
	out, err := clone(doc)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, path := range out.Paths.Keys() {
		item := out.Paths.Value(path)
		for method, op := range item.Operations() {
			if name, _ := op.Extensions[ExtService].(string); !slices.Contains(services, name) {
				item.SetOperation(method, nil)
				continue
			}
			for _, tag := range op.Tags {
				used[tag] = true
			}
		}
		if len(item.Operations()) == 0 {
			out.Paths.Delete(path)
		}
	}
	out.Tags = slices.DeleteFunc(out.Tags, func(tag *openapi3.Tag) bool { return !used[tag.Name] })
	if err := Prune(out); err != nil {
		return nil, err
	}
	return out, nil
}
