package apigen

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// givenFields are the fields that package entity gives an entity, beside its key, when it has them. What a client sends in them is ignored.
// The etag is not among them, though it is given, too: a client sends it back with a change.
//
//nolint:gochecknoglobals // an immutable list
var givenFields = []protoreflect.Name{"create_time", "update_time"}

// isReadOnly tells whether the server gives a field, whatever a client sends.
func (s *schemas) isReadOnly(field protoreflect.FieldDescriptor) bool {
	if slices.Contains(s.said[string(field.ContainingMessage().FullName())].ReadOnly, field.JSONName()) {
		return true
	}
	entity, options := s.contracts.entityOf(field.ContainingMessage())
	return entity != nil && entity.FullName() == field.ContainingMessage().FullName() &&
		(string(field.Name()) == options.GetKey() || slices.Contains(givenFields, field.Name()))
}
