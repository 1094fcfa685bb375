package check

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/residency"
)

// projectionExact: a projection is the only form in which an entity is readable outside its home, so the compiler says what may
// leave. A field that it lacks would be a reader's surprise, one that it has more a leak.
func projectionExact(c *Contract) []Finding {
	var found []Finding
	for _, md := range c.messages() {
		options, ok := residency.ProjectionOf(md)
		if !ok {
			continue
		}
		if _, both := residency.EntityOf(md); both {
			found = append(found, Finding{At: md, Text: fmt.Sprintf("message %q is both an entity and a projection", md.FullName())})
			continue
		}
		if options.GetScope() == policyv1.Scope_SCOPE_UNSPECIFIED {
			found = append(found, Finding{At: md, Text: fmt.Sprintf(
				"projection %q has no scope; say SCOPE_GLOBAL or SCOPE_JURISDICTION", md.FullName())})
			continue
		}
		entity := find(slices.Concat(c.Files, c.Imports), protoreflect.FullName(options.GetEntity()))
		if entity == nil || !isEntity(entity) {
			found = append(found, Finding{At: md, Text: fmt.Sprintf(
				"projection %q is of %q, which is not an entity in this file or its imports", md.FullName(), options.GetEntity())})
			continue
		}
		for _, d := range residency.CompareProjection(entity, md, options.GetScope()) {
			at := protoreflect.Descriptor(md)
			if d.Field.ContainingMessage().FullName() == md.FullName() {
				at = d.Field
			}
			found = append(found, Finding{At: at, Text: d.Text})
		}
	}
	return found
}

func isEntity(md protoreflect.MessageDescriptor) bool {
	_, ok := residency.EntityOf(md)
	return ok
}

// nearestProjection: a region that is not the home has projections, and nothing else to answer with.
func nearestProjection(c *Contract) []Finding {
	var found []Finding
	for _, m := range c.methods() {
		if residency.MethodPolicyOf(m).Route != policyv1.Route_ROUTE_NEAREST {
			continue
		}
		if fd := beyondProjections(m.Output(), map[protoreflect.FullName]bool{}); fd != nil {
			found = append(found, Finding{At: m, Text: fmt.Sprintf(
				"method %q is ROUTE_NEAREST and its answer reaches %q, which is %s and not in a projection; answer a projection or use ROUTE_HOME",
				m.FullName(), fd.FullName(), residency.Label(residency.ClassOf(fd)))})
		}
	}
	return found
}

// beyondProjections returns the first field that a message reaches, not through a projection, and that is not GLOBAL.
func beyondProjections(md protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) protoreflect.FieldDescriptor {
	if _, ok := residency.ProjectionOf(md); ok || seen[md.FullName()] || residency.IsLeaf(md) {
		return nil
	}
	seen[md.FullName()] = true
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		sub := residency.Element(fd)
		if sub != nil {
			if _, ok := residency.ProjectionOf(sub); ok {
				continue
			}
		}
		if residency.Effective(fd) != policyv1.DataClass_DATA_CLASS_GLOBAL {
			return fd
		}
		if sub != nil {
			if beyond := beyondProjections(sub, seen); beyond != nil {
				return beyond
			}
		}
	}
	return nil
}
