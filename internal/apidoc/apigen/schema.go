package apigen

import (
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/domicile-api/domicile/internal/apidoc"
	"github.com/domicile-api/domicile/internal/residency"
)

// schemas makes the schemas of messages out of what the generator made of them.
type schemas struct {
	raw  openapi3.Schemas
	made openapi3.Schemas
	// said is what the overlay says of messages.
	said      map[string]schemaOverlay
	contracts *contracts
	// patterns are those of contracts.patternsOf.
	patterns map[protoreflect.FullName]string
	// masks has, by the field of a request that holds changes, the properties that can be changed, where the overlay says them.
	masks map[protoreflect.FullName][]string
}

const componentPrefix = "#/components/schemas/"

// ref returns a reference to the schema of a message or an enum, which it makes with the first.
func (s *schemas) ref(d protoreflect.Descriptor) *openapi3.SchemaRef {
	name := string(d.FullName())
	if s.made[name] == nil {
		s.made[name] = &openapi3.SchemaRef{Value: &openapi3.Schema{}} // a message may hold itself
		switch d := d.(type) {
		case protoreflect.MessageDescriptor:
			s.made[name].Value = s.message(d, nil)
		case protoreflect.EnumDescriptor:
			s.made[name].Value = enumSchema(d)
		}
	}
	return &openapi3.SchemaRef{Ref: componentPrefix + name, Value: s.made[name].Value}
}

// message makes the schema of a message, without the fields that skip has.
func (s *schemas) message(md protoreflect.MessageDescriptor, skip []string) *openapi3.Schema {
	out := openapi3.NewObjectSchema()
	out.Title = string(md.Name())
	out.Description = comment(md)
	out.AdditionalProperties = openapi3.BoolSchema{Has: new(false)}
	for i := range md.Fields().Len() {
		field := md.Fields().Get(i)
		if slices.Contains(skip, string(field.Name())) {
			continue
		}
		if out.Properties == nil {
			out.Properties = openapi3.Schemas{}
		}
		property := s.property(field)
		if isMask(field) {
			property.Value.Pattern = orEmpty(property.Value.Pattern)
		}
		out.Properties[field.JSONName()] = property
		if s.isRequired(field) {
			out.Required = append(out.Required, field.JSONName())
		}
	}
	exclusive(out, md)
	for _, rule := range messageRules(md) {
		out.Description = strings.Join([]string{out.Description, "Rule: " + rule + "."}, "\n\n")
	}
	return out
}

// isRequired tells whether a request without the field is refused.
func (s *schemas) isRequired(field protoreflect.FieldDescriptor) bool {
	return mustBeGiven(field) || slices.Contains(s.said[string(field.ContainingMessage().FullName())].Required, field.JSONName())
}

// exclusive says which properties of a oneof go together.
func exclusive(out *openapi3.Schema, md protoreflect.MessageDescriptor) {
	for i := range md.Oneofs().Len() {
		oneof := md.Oneofs().Get(i)
		if oneof.IsSynthetic() {
			continue
		}
		required := oneofRequired(oneof)
		if n := len(out.Required) + oneof.Fields().Len(); required && md.Oneofs().Len() == 1 && n == len(out.Properties) {
			// All others are always there: exactly one more property says it, in a form that every tool understands.
			count := uint64(len(out.Required)) + 1
			out.MinProps, out.MaxProps = count, &count
			continue
		}
		names := make([]string, oneof.Fields().Len())
		for j := range names {
			names[j] = oneof.Fields().Get(j).JSONName()
		}
		if required {
			one := &openapi3.Schema{}
			for _, name := range names {
				one.OneOf = append(one.OneOf, given(name))
			}
			out.AllOf = append(out.AllOf, one.NewRef())
			continue
		}
		for j, name := range names {
			for _, other := range names[j+1:] {
				out.AllOf = append(out.AllOf, (&openapi3.Schema{Not: given(name, other)}).NewRef())
			}
		}
	}
}

// given matches an object that has all of the properties.
func given(names ...string) *openapi3.SchemaRef {
	out := &openapi3.Schema{Required: names, Properties: openapi3.Schemas{}}
	for _, name := range names {
		out.Properties[name] = openapi3.NewSchema().NewRef()
	}
	return out.NewRef()
}

// property makes the schema of a field, with what a client must know of it.
func (s *schemas) property(field protoreflect.FieldDescriptor) *openapi3.SchemaRef {
	ref := s.value(field)
	description := strings.Join(append([]string{comment(field)}, fieldRules(field)...), " ")
	class := residency.Effective(field)
	annotate(ref, map[string]any{apidoc.ExtClass: className(class), apidoc.ExtLeaves: leaves(class)})
	if ref.Ref == "" && field.Enum() != nil && !field.IsList() && !field.IsMap() {
		description += "\n\n" + enumWords(field.Enum(), nothing(field.Enum()))
	}
	if ref.Ref != "" {
		ref.Extensions["description"] = description
		if s.isReadOnly(field) {
			ref.Extensions["readOnly"] = true
		}
		return ref
	}
	ref.Value.Description = description
	ref.Value.ReadOnly = s.isReadOnly(field)
	if pattern := s.contracts.keyPattern(field); pattern != "" {
		ref.Value.Pattern = pattern
	}
	if pattern := s.patterns[field.FullName()]; pattern != "" {
		ref.Value.Pattern = pattern
	}
	if pattern := s.said[string(field.ContainingMessage().FullName())].Patterns[field.JSONName()]; pattern != "" {
		ref.Value.Pattern = pattern
	}
	return ref
}

// annotate adds extensions beside a reference, or to the schema itself.
func annotate(ref *openapi3.SchemaRef, extensions map[string]any) {
	into := &ref.Extensions
	if ref.Ref == "" {
		into = &ref.Value.Extensions
	}
	if *into == nil {
		*into = map[string]any{}
	}
	maps.Copy(*into, extensions)
}

// value makes the schema of a field's values.
func (s *schemas) value(field protoreflect.FieldDescriptor) *openapi3.SchemaRef {
	switch {
	case field.IsMap():
		out := openapi3.NewObjectSchema()
		out.AdditionalProperties = openapi3.BoolSchema{Schema: s.element(field.MapValue(), nil)}
		return out.NewRef()
	case field.IsList():
		raw := s.rawProperty(field)
		out := openapi3.NewArraySchema()
		if raw != nil {
			out.MinItems, out.MaxItems, out.UniqueItems = raw.MinItems, raw.MaxItems, raw.UniqueItems
			if raw.Items != nil {
				raw = raw.Items.Value
			}
		}
		out.Items = s.element(field, raw)
		return out.NewRef()
	default:
		return s.element(field, s.rawProperty(field))
	}
}

// element makes the schema of one value, out of what the generator said of it.
func (s *schemas) element(field protoreflect.FieldDescriptor, raw *openapi3.Schema) *openapi3.SchemaRef {
	switch {
	case field.Message() != nil:
		if known := wellKnown(field.Message()); known != nil {
			return known.NewRef()
		}
		if isChange(field) {
			return s.change(field)
		}
		return s.ref(field.Message())
	case field.Enum() != nil && s.isRequired(field):
		out := enumSchema(field.Enum())
		out.Title, out.Enum = "", slices.DeleteFunc(out.Enum, func(value any) bool { return value == nothing(field.Enum()) })
		return out.NewRef()
	case field.Enum() != nil:
		return s.ref(field.Enum())
	default:
		return scalar(field, raw).NewRef()
	}
}

// rawProperty returns what the generator said of a field; nil if it said nothing.
func (s *schemas) rawProperty(field protoreflect.FieldDescriptor) *openapi3.Schema {
	if message := s.raw[string(field.ContainingMessage().FullName())]; message != nil {
		return find(message.Value, field.JSONName())
	}
	return nil
}

// find looks for a property, also where the generator puts those of a oneof.
func find(schema *openapi3.Schema, name string) *openapi3.Schema {
	if schema == nil {
		return nil
	}
	if property := schema.Properties[name]; property != nil {
		return property.Value
	}
	for _, parts := range []openapi3.SchemaRefs{schema.AllOf, schema.OneOf, schema.AnyOf} {
		for _, part := range parts {
			if found := find(part.Value, name); found != nil {
				return found
			}
		}
	}
	return nil
}

func enumSchema(ed protoreflect.EnumDescriptor) *openapi3.Schema {
	out := openapi3.NewStringSchema()
	out.Title = string(ed.Name())
	for i := range ed.Values().Len() {
		out.Enum = append(out.Enum, string(ed.Values().Get(i).Name()))
	}
	out.Description = comment(ed) + "\n\n" + enumWords(ed, "")
	return out
}

// nothing returns the name of the value that stands for nothing given; empty if there is none.
func nothing(ed protoreflect.EnumDescriptor) string {
	if zero := ed.Values().ByNumber(0); zero != nil {
		return string(zero.Name())
	}
	return ""
}

// enumWords lists the values of an enum with what the contract says of them.
func enumWords(ed protoreflect.EnumDescriptor, without string) string {
	lines := make([]string, 0, ed.Values().Len())
	for i := range ed.Values().Len() {
		if value := ed.Values().Get(i); string(value.Name()) != without {
			lines = append(lines, "- `"+string(value.Name())+"`: "+comment(value))
		}
	}
	return strings.Join(lines, "\n")
}
