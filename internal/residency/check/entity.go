package check

import (
	"fmt"
	"regexp"

	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/residency"
)

// idPrefix is what policy.proto says of EntityOptions.id_prefix.
var idPrefix = regexp.MustCompile(`^[a-z]{1,8}$`)

// entityKey: ids are parts of keys, URLs and logs everywhere, and their prefix tells one entity from another.
func entityKey(c *Contract) []Finding {
	var found []Finding
	owners := map[string]protoreflect.FullName{}
	for _, md := range (&Contract{Files: c.Imports}).messages() {
		if options, ok := residency.EntityOf(md); ok {
			owners[options.GetIdPrefix()] = md.FullName()
		}
	}
	for _, e := range c.entities() {
		options, _ := residency.EntityOf(e.message)
		prefix := options.GetIdPrefix()
		switch owner, taken := owners[prefix]; {
		case !idPrefix.MatchString(prefix):
			found = append(found, Finding{At: e.at, Text: fmt.Sprintf(
				"entity %q has the id_prefix %q; it must be 1 to 8 lower-case letters", e.message.FullName(), prefix)})
		case taken:
			found = append(found, Finding{At: e.at, Text: fmt.Sprintf(
				"entity %q has the id_prefix %q, which %q has already", e.message.FullName(), prefix, owner)})
		default:
			owners[prefix] = e.message.FullName()
		}
		if text := wrongKey(e.message, options.GetKey()); text != "" {
			found = append(found, Finding{At: e.at, Text: text})
		}
	}
	return found
}

// wrongKey returns what is wrong with an entity's key; nothing when it is right.
func wrongKey(md protoreflect.MessageDescriptor, key string) string {
	if key == "" {
		return fmt.Sprintf("entity %q has no key; name the string field that holds its id", md.FullName())
	}
	fd := md.Fields().ByName(protoreflect.Name(key))
	switch {
	case fd == nil:
		return fmt.Sprintf("entity %q has the key %q, which is not one of its fields", md.FullName(), key)
	case fd.Kind() != protoreflect.StringKind || fd.IsList() || fd.ContainingOneof() != nil:
		return fmt.Sprintf("key %q of an entity must be a single string field, without optional and outside oneofs", fd.FullName())
	case residency.ClassOf(fd) != policyv1.DataClass_DATA_CLASS_GLOBAL:
		return fmt.Sprintf("key %q of an entity is %s; it must be GLOBAL", fd.FullName(), residency.Label(residency.ClassOf(fd)))
	default:
		return ""
	}
}
