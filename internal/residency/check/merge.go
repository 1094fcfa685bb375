package check

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/residency"
)

// mergeDeclared: every region writes a multi-primary entity, so each of its fields is in every region, and two regions write it at the
// same time: what becomes of that is a decision, with no default. An entity of one writer has nothing to merge.
func mergeDeclared(c *Contract) []Finding {
	var found []Finding
	refuse := func(at protoreflect.Descriptor, fd protoreflect.FieldDescriptor, text string) {
		found = append(found, Finding{At: at, Text: fmt.Sprintf("field %q %s", fd.FullName(), text)})
	}
	known := map[protoreflect.FullName]bool{}
	c.eachMerged(func(m merged, fd protoreflect.FieldDescriptor, at protoreflect.Descriptor) {
		known[m.message.FullName()] = true
		has := residency.MergeOf(fd) != policyv1.Merge_MERGE_UNSPECIFIED
		isKey := string(fd.Name()) == m.key
		switch {
		case isKey && has:
			refuse(at, fd, "is the key of an entity and has a merge; a key never changes, leave the merge out")
		case residency.ClassOf(fd) != policyv1.DataClass_DATA_CLASS_GLOBAL:
			refuse(at, fd, fmt.Sprintf("of a multi-primary entity is %s; every region holds it, so it must be GLOBAL",
				residency.Label(residency.ClassOf(fd))))
		case !isKey && !has && !fd.IsMap():
			refuse(at, fd, "of a multi-primary entity has no merge; give it [(domicile.policy.v1.merge) = MERGE_...]")
		}
	})
	for _, md := range c.messages() {
		for i := range md.Fields().Len() {
			fd := md.Fields().Get(i)
			if !known[md.FullName()] && residency.MergeOf(fd) != policyv1.Merge_MERGE_UNSPECIFIED {
				refuse(fd, fd, fmt.Sprintf("has a merge, and %q is not written by several regions; leave the merge out, "+
					"or make the entity OWNERSHIP_MULTI_PRIMARY", md.FullName()))
			}
		}
	}
	return found
}

// mergeFits: a merge makes sense of some types only.
func mergeFits(c *Contract) []Finding {
	var found []Finding
	c.eachMerged(func(_ merged, fd protoreflect.FieldDescriptor, at protoreflect.Descriptor) {
		if text := wrongMerge(fd); text != "" {
			found = append(found, Finding{At: at, Text: fmt.Sprintf("field %q %s", fd.FullName(), text)})
		}
	})
	return found
}

// wrongMerge returns what is wrong with a field's merge; nothing when it fits, or when there is none.
func wrongMerge(fd protoreflect.FieldDescriptor) string {
	merge := residency.MergeOf(fd)
	switch oneof := fd.ContainingOneof(); {
	case fd.IsMap() && merge != policyv1.Merge_MERGE_UNSPECIFIED:
		return fmt.Sprintf("is a map and has %s; a map merges by key, leave it out", merge)
	case fd.IsMap() && fd.MapValue().Message() == nil, fd.IsMap() && residency.IsLeaf(fd.MapValue().Message()):
		return "is a map of values that have no merges; make its values a message whose fields have them"
	case merge == policyv1.Merge_MERGE_UNSPECIFIED:
		return ""
	case oneof != nil && !oneof.IsSynthetic():
		return fmt.Sprintf("has %s in a oneof, whose fields would be merged apart; put the oneof into a message with MERGE_LWW", merge)
	}
	return wrongType(fd, merge)
}

// wrongType returns what is wrong with a merge of a field outside maps and oneofs.
func wrongType(fd protoreflect.FieldDescriptor, merge policyv1.Merge) string {
	switch merge {
	case policyv1.Merge_MERGE_LWW:
		if fd.IsList() {
			return "is repeated and has MERGE_LWW, which is for single fields; use MERGE_OR_SET or a message"
		}
	case policyv1.Merge_MERGE_MAX, policyv1.Merge_MERGE_COUNTER:
		if fd.IsList() || !isInteger(fd.Kind()) {
			return fmt.Sprintf("has %s, which is for single integers", merge)
		}
	case policyv1.Merge_MERGE_OR_SET:
		if !fd.IsList() || fd.Message() != nil {
			return "has MERGE_OR_SET, which is for repeated scalars"
		}
	case policyv1.Merge_MERGE_UNSPECIFIED:
	default:
		return fmt.Sprintf("has the merge %d, which this release does not know", merge)
	}
	return ""
}

func isInteger(kind protoreflect.Kind) bool {
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind, protoreflect.Uint32Kind, protoreflect.Fixed32Kind,
		protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return true
	default:
		return false
	}
}

// merged is a message whose fields are merged one by one: a multi-primary entity, or the values of a map of one.
type merged struct {
	message protoreflect.MessageDescriptor
	// key is the name of the entity's key.
	key string
	// at is what in the checked files leads to it.
	at protoreflect.Descriptor
}

// eachMerged visits the fields of all merged messages that the checked files lead to, with where to report them.
func (c *Contract) eachMerged(visit func(m merged, fd protoreflect.FieldDescriptor, at protoreflect.Descriptor)) {
	own, seen := map[string]bool{}, map[protoreflect.FullName]bool{}
	for _, f := range c.Files {
		own[f.Path()] = true
	}
	var walk func(m merged)
	walk = func(m merged) {
		if seen[m.message.FullName()] || residency.IsLeaf(m.message) {
			return
		}
		seen[m.message.FullName()] = true
		for i := range m.message.Fields().Len() {
			fd, at := m.message.Fields().Get(i), m.at
			if own[m.message.ParentFile().Path()] {
				at = fd
			}
			if at != nil {
				visit(m, fd, at)
			}
			if fd.IsMap() && fd.MapValue().Message() != nil {
				walk(merged{message: fd.MapValue().Message(), at: at})
			}
		}
	}
	for _, files := range [][]protoreflect.FileDescriptor{c.Files, c.Imports} {
		for _, md := range (&Contract{Files: files}).messages() {
			if options, ok := residency.EntityOf(md); ok && options.GetOwnership() == policyv1.Ownership_OWNERSHIP_MULTI_PRIMARY {
				walk(merged{message: md, key: options.GetKey()})
			}
		}
	}
}
