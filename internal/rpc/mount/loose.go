package mount

import (
	"encoding/json"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/domicile-api/domicile/internal/rpc/undecoded"
)

// refuseLoose refuses what protobuf's JSON lets pass and no document says: a field that is null, and an enum's number. A null would be a
// field left out, but in a merge patch (RFC 7396) it takes the value away, and the call would succeed and not do it. data was decoded as the
// message before, so it is well formed. Only messages whose JSON is not that of their fields may have nulls.
func refuseLoose(data []byte, message protoreflect.MessageDescriptor) error {
	if !hasBare(data) {
		return nil
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return undecoded.Describe(err)
	}
	if field := looseIn(value, message); field != nil {
		return undecoded.Formless(field.JSONName())
	}
	return nil
}

// hasBare tells whether a JSON text may have a null or a number in it. Most have none, and are not looked through.
func hasBare(data []byte) bool {
	opened := true
	for _, c := range data {
		switch {
		case c == ':' || c == ',' || c == '[':
			opened = true
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		case opened && (c == 'n' || c == '-' || '0' <= c && c <= '9'):
			return true
		default:
			opened = false
		}
	}
	return false
}

// looseIn returns a field of a message, at any depth, whose value is null, or a number for an enum.
func looseIn(value any, message protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	fields, ok := value.(map[string]any)
	if !ok || message.ParentFile().Package() == "google.protobuf" {
		return nil
	}
	for name, value := range fields {
		field := message.Fields().ByJSONName(name)
		if field == nil {
			field = message.Fields().ByTextName(name)
		}
		if field == nil {
			continue
		}
		if found := looseAt(value, field); found != nil {
			return found
		}
	}
	return nil
}

// looseAt looks at the value of a field, each of it where it is repeated.
func looseAt(value any, field protoreflect.FieldDescriptor) protoreflect.FieldDescriptor {
	of, values := field, []any{value}
	switch {
	case field.IsMap():
		of = field.MapValue()
		if entries, ok := value.(map[string]any); ok {
			values = values[:0]
			for _, entry := range entries {
				values = append(values, entry)
			}
		}
	case field.IsList():
		if elements, ok := value.([]any); ok {
			values = elements
		}
	}
	for _, value := range values {
		switch {
		case value == nil && !mayBeNull(of), of.Enum() != nil && isNumber(value):
			return field
		case of.Message() != nil:
			if found := looseIn(value, of.Message()); found != nil {
				return found
			}
		}
	}
	return nil
}

func isNumber(value any) bool {
	_, ok := value.(float64)
	return ok
}

// mayBeNull tells whether null is a value of a field: google.protobuf.Value has it, and NullValue nothing else.
func mayBeNull(field protoreflect.FieldDescriptor) bool {
	if m := field.Message(); m != nil {
		return m.FullName() == "google.protobuf.Value"
	}
	return field.Enum() != nil && field.Enum().FullName() == "google.protobuf.NullValue"
}
