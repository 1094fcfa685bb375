package residency

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
)

// EntityOf returns the entity option of a message, and whether it has one.
func EntityOf(md protoreflect.MessageDescriptor) (*policyv1.EntityOptions, bool) {
	options := ReadOptions(md.Options(), &descriptorpb.MessageOptions{})
	if !proto.HasExtension(options, policyv1.E_Entity) {
		return nil, false
	}
	entity, ok := proto.GetExtension(options, policyv1.E_Entity).(*policyv1.EntityOptions)
	return entity, ok
}

// ProjectionOf returns the projection_of option of a message, and whether it has one.
func ProjectionOf(md protoreflect.MessageDescriptor) (*policyv1.ProjectionOptions, bool) {
	options := ReadOptions(md.Options(), &descriptorpb.MessageOptions{})
	if !proto.HasExtension(options, policyv1.E_ProjectionOf) {
		return nil, false
	}
	projection, ok := proto.GetExtension(options, policyv1.E_ProjectionOf).(*policyv1.ProjectionOptions)
	return projection, ok
}

// LookupFields returns the fields by whose value an entity can be found, in the order of the message.
func LookupFields(md protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	return planOf(md).lookups
}

// MergeOf returns how concurrent writes of a field merge; MERGE_UNSPECIFIED when its option does not say.
func MergeOf(fd protoreflect.FieldDescriptor) policyv1.Merge {
	options := ReadOptions(fd.Options(), &descriptorpb.FieldOptions{})
	merge, _ := proto.GetExtension(options, policyv1.E_Merge).(policyv1.Merge)
	return merge
}

// IsClassified tells whether a field declares a class.
func IsClassified(fd protoreflect.FieldDescriptor) bool {
	return readClass(fd) != policyv1.DataClass_DATA_CLASS_UNSPECIFIED
}

// readClass reads a field's class option.
func readClass(fd protoreflect.FieldDescriptor) policyv1.DataClass {
	options := ReadOptions(fd.Options(), &descriptorpb.FieldOptions{})
	class, _ := proto.GetExtension(options, policyv1.E_Class).(policyv1.DataClass)
	return class
}

// readLookup reads a field's lookup option.
func readLookup(fd protoreflect.FieldDescriptor) policyv1.Lookup {
	options := ReadOptions(fd.Options(), &descriptorpb.FieldOptions{})
	lookup, _ := proto.GetExtension(options, policyv1.E_Lookup).(policyv1.Lookup)
	return lookup
}

// ReadOptions parses options into the linked-in type of its second argument, and returns that. Descriptors that were not made
// by generated code carry custom options as unknown bytes or as dynamic messages, depending on who made them; serialized, they
// are all alike. Options that do not parse are as good as none, and what has no class is personal data.
func ReadOptions[M proto.Message](options proto.Message, into M) M {
	raw, err := proto.MarshalOptions{AllowPartial: true}.Marshal(options)
	if err != nil || len(raw) == 0 {
		return into
	}
	if err := (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(raw, into); err != nil {
		proto.Reset(into)
	}
	return into
}
