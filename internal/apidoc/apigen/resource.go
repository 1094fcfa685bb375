package apigen

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/residency"
)

// idDigits match the digits of a TypeID, the first of which has but three bits.
const idDigits = "_[0-7][0-9a-hjkmnp-tv-z]{25}$"

// entityOf returns the entity that a message is, or is a projection of, and its options; nil if it is neither, or an entity whose key the
// clients choose.
func (c *contracts) entityOf(md protoreflect.MessageDescriptor) (protoreflect.MessageDescriptor, *policyv1.EntityOptions) {
	if projection, is := residency.ProjectionOf(md); is {
		if md = findMessage(c.files, protoreflect.FullName(projection.GetEntity())); md == nil {
			return nil, nil
		}
	}
	options, is := residency.EntityOf(md)
	if !is || options.GetOwnership() == policyv1.Ownership_OWNERSHIP_MULTI_PRIMARY {
		return nil, nil
	}
	return md, options
}

// keyPattern returns the pattern of a field's values if it is the id of an entity that the server gives; else nothing.
func (c *contracts) keyPattern(field protoreflect.FieldDescriptor) string {
	entity, options := c.entityOf(field.ContainingMessage())
	if entity == nil || string(field.Name()) != options.GetKey() || options.GetIdPrefix() == "" {
		return ""
	}
	return "^" + options.GetIdPrefix() + idDigits
}

// pathPatterns returns the patterns of ids in paths, by the path up to the parameter: what is read at /v1/users/{id} is a user, so that
// everything below is of a user.
func (c *contracts) pathPatterns(methods []*method) map[string]string {
	patterns := map[string]string{}
	for _, m := range methods {
		if m.verb != "GET" || !strings.HasSuffix(m.path, "}") || strings.Count(m.path, "{") == 0 {
			continue
		}
		resource := resourceOf(m.Output())
		if resource == nil {
			continue
		}
		entity, options := c.entityOf(resource)
		if entity == nil {
			continue
		}
		_, last, _ := strings.Cut(m.path[strings.LastIndex(m.path, "{"):], "{")
		if strings.TrimSuffix(last, "}") == options.GetKey() {
			patterns[m.path] = c.keyPattern(entity.Fields().ByName(protoreflect.Name(options.GetKey())))
		}
	}
	return patterns
}

// patternAt returns the pattern of a parameter of a path.
func patternAt(patterns map[string]string, m *method, parameter string) string {
	before, _, found := strings.Cut(m.path, "{"+parameter+"}")
	if !found {
		return ""
	}
	return patterns[before+"{"+parameter+"}"]
}

// isUnique tells whether a message is an entity with a value that no two of a tenant have.
func (c *contracts) isUnique(md protoreflect.MessageDescriptor) bool {
	entity, _ := c.entityOf(md)
	return entity != nil && len(residency.LookupFields(entity)) > 0
}
