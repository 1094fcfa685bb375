package residency

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
)

// Holds tells whether a projection of a scope may hold a field of a class.
func Holds(scope policyv1.Scope, class policyv1.DataClass) bool {
	switch scope {
	case policyv1.Scope_SCOPE_GLOBAL:
		return class == policyv1.DataClass_DATA_CLASS_GLOBAL
	case policyv1.Scope_SCOPE_JURISDICTION:
		return class == policyv1.DataClass_DATA_CLASS_GLOBAL || class == policyv1.DataClass_DATA_CLASS_REGIONAL
	case policyv1.Scope_SCOPE_UNSPECIFIED:
		return false
	default:
		return false
	}
}

// Difference is a way in which a projection is not exactly the fields of an entity that its scope may hold.
type Difference struct {
	// Field is the field at fault: of the projection, or of the entity when the projection lacks it.
	Field protoreflect.FieldDescriptor
	// Text says what is wrong with it, in full.
	Text string
}

// CompareProjection returns all differences between a projection and the fields of the entity that the scope may hold: same
// names, numbers, types and classes, none missing, none more.
func CompareProjection(entity, projection protoreflect.MessageDescriptor, scope policyv1.Scope) []Difference {
	var found []Difference
	for i := range projection.Fields().Len() {
		field := projection.Fields().Get(i)
		if text := compareField(entity, field, scope); text != "" {
			found = append(found, Difference{Field: field, Text: text})
		}
	}
	for i := range entity.Fields().Len() {
		field := entity.Fields().Get(i)
		if Holds(scope, Effective(field)) && projection.Fields().ByName(field.Name()) == nil {
			found = append(found, Difference{Field: field, Text: fmt.Sprintf(
				"projection %q lacks the field %q = %d of %q, which is %s", projection.FullName(), field.Name(), field.Number(),
				entity.FullName(), Label(ClassOf(field)))})
		}
	}
	return found
}

// compareField returns what is wrong with one field of a projection; nothing when it is right.
func compareField(entity protoreflect.MessageDescriptor, field protoreflect.FieldDescriptor, scope policyv1.Scope) string {
	source := entity.Fields().ByName(field.Name())
	if source == nil {
		return fmt.Sprintf("field %q is not a field of %q", field.FullName(), entity.FullName())
	}
	switch class := Effective(source); {
	case !Holds(scope, class):
		return fmt.Sprintf("field %q is %s in %q, more than a projection of %s may hold", field.FullName(), Label(class),
			entity.FullName(), scope)
	case field.Number() != source.Number():
		return fmt.Sprintf("field %q has number %d, and %d in %q", field.FullName(), field.Number(), source.Number(), entity.FullName())
	case typeName(field) != typeName(source):
		return fmt.Sprintf("field %q has type %s, and %s in %q", field.FullName(), typeName(field), typeName(source), entity.FullName())
	case ClassOf(field) != ClassOf(source):
		return fmt.Sprintf("field %q is %s, and %s in %q", field.FullName(), Label(ClassOf(field)), Label(ClassOf(source)), entity.FullName())
	default:
		return ""
	}
}

// typeName writes a field's type as a .proto file does, with its presence and its oneof.
func typeName(fd protoreflect.FieldDescriptor) string {
	if fd.IsMap() {
		return fmt.Sprintf("map<%s, %s>", typeName(fd.MapKey()), typeName(fd.MapValue()))
	}
	name := fd.Kind().String()
	switch {
	case fd.Message() != nil:
		name = string(fd.Message().FullName())
	case fd.Enum() != nil:
		name = string(fd.Enum().FullName())
	}
	switch oneof := fd.ContainingOneof(); {
	case fd.IsList():
		return "repeated " + name
	case oneof != nil && !oneof.IsSynthetic():
		return fmt.Sprintf("%s in oneof %s", name, oneof.Name())
	case fd.HasOptionalKeyword():
		return "optional " + name
	default:
		return name
	}
}

// Label is how a class is called in texts, e.g. "PII"; "unclassified" when there is none.
func Label(class policyv1.DataClass) string {
	switch class {
	case policyv1.DataClass_DATA_CLASS_GLOBAL:
		return "GLOBAL"
	case policyv1.DataClass_DATA_CLASS_REGIONAL:
		return "REGIONAL"
	case policyv1.DataClass_DATA_CLASS_PII:
		return "PII"
	case policyv1.DataClass_DATA_CLASS_SECRET:
		return "SECRET"
	case policyv1.DataClass_DATA_CLASS_UNSPECIFIED:
		return "unclassified"
	default:
		return "unclassified"
	}
}
