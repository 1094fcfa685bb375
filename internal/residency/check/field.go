package check

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/residency"
)

// fieldClassified: what has no class would be personal data to the stores and logs, and the author would not know.
func fieldClassified(c *Contract) []Finding {
	var found []Finding
	c.walk(c.reached(), func(fd protoreflect.FieldDescriptor, at protoreflect.Descriptor) {
		if residency.ClassOf(fd) == policyv1.DataClass_DATA_CLASS_UNSPECIFIED {
			found = append(found, Finding{At: at, Text: fmt.Sprintf(
				"field %q has no data class; give it [(domicile.policy.v1.class) = DATA_CLASS_...]", fd.FullName())})
		}
	})
	return found
}

// fieldReach: a projection or log takes a field of its class with all that is in it. Fields of the class PII or SECRET stay at
// home whole, whatever is in them.
func fieldReach(c *Contract) []Finding {
	var found []Finding
	c.walk(c.reached(), func(fd protoreflect.FieldDescriptor, at protoreflect.Descriptor) {
		class, reach := residency.ClassOf(fd), residency.Reach(fd)
		if class == policyv1.DataClass_DATA_CLASS_UNSPECIFIED || class >= policyv1.DataClass_DATA_CLASS_PII || reach <= class {
			return
		}
		sub := residency.Element(fd)
		why := fmt.Sprintf("reaches a %s field in %q", residency.Label(reach), sub.FullName())
		if residency.IsFreeForm(sub) {
			why = fmt.Sprintf("holds a %s, which can hold anything and counts as %s", sub.FullName(), residency.Label(reach))
		}
		found = append(found, Finding{At: at, Text: fmt.Sprintf("field %q is %s and %s; class the field %s",
			fd.FullName(), residency.Label(class), why, residency.Label(reach))})
	})
	return found
}

// entityTyped: no class is true of a field that can hold anything.
func entityTyped(c *Contract) []Finding {
	var found []Finding
	c.walk(c.entities(), func(fd protoreflect.FieldDescriptor, at protoreflect.Descriptor) {
		if sub := residency.Element(fd); sub != nil && residency.IsFreeForm(sub) {
			found = append(found, Finding{At: at, Text: fmt.Sprintf(
				"field %q of an entity has type %s, which can hold anything; use a message with classified fields", fd.FullName(), sub.FullName())})
		}
	})
	return found
}

// lookupString: the index holds a keyed hash of one normalised text.
func lookupString(c *Contract) []Finding {
	var found []Finding
	for _, md := range c.messages() {
		_, isEntity := residency.EntityOf(md)
		for _, fd := range residency.LookupFields(md) {
			switch {
			case !isEntity:
				found = append(found, Finding{At: fd, Text: fmt.Sprintf(
					"field %q has a lookup, and %q is not an entity; only entities are looked up", fd.FullName(), md.FullName())})
			case fd.Kind() != protoreflect.StringKind || fd.IsList() || fd.IsMap():
				found = append(found, Finding{At: fd, Text: fmt.Sprintf("field %q has a lookup and is not a single string", fd.FullName())})
			}
		}
	}
	return found
}
