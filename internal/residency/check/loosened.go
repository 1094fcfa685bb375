package check

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/residency"
)

// classKept: what tenants were promised when they gave the data can be taken back only by a decision that stands in the
// repository. A tightened class passes. A field is the same field when its message's name and its number are.
func classKept(c *Contract) []Finding {
	var found []Finding
	before := map[protoreflect.FullName]protoreflect.MessageDescriptor{}
	for _, md := range (&Contract{Files: c.Against}).messages() {
		before[md.FullName()] = md
	}
	for _, md := range c.messages() {
		old := before[md.FullName()]
		if old == nil {
			continue
		}
		for i := range md.Fields().Len() {
			fd := md.Fields().Get(i)
			was := old.Fields().ByNumber(fd.Number())
			if was == nil || !loosened(was, fd) || (c.Decided != nil && c.Decided(fd.FullName())) {
				continue
			}
			found = append(found, Finding{At: fd, Before: was, Text: fmt.Sprintf(
				"field %q was %s in the last release and is %s now; tenants were promised the former. "+
					"To loosen it, write the decision docs/decisions/NNNN-loosen-%s.md",
				fd.FullName(), residency.Label(residency.ClassOf(was)), residency.Label(residency.ClassOf(fd)), fd.FullName())})
		}
	}
	return found
}

// loosened tells whether a field's class may let more of it leave than before. One that had no class promised nothing.
func loosened(was, is protoreflect.FieldDescriptor) bool {
	return residency.ClassOf(was) != policyv1.DataClass_DATA_CLASS_UNSPECIFIED && residency.Effective(is) < residency.ClassOf(was)
}
