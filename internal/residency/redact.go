package residency

import (
	"encoding/base64"
	"log/slog"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
)

// Redact returns what a log may show of a message: a group with the GLOBAL fields in clear, at every depth, and for each other
// field that is set its class in brackets ("[PII]"). Unknown fields are not shown, nor that there are any.
func Redact(m proto.Message) slog.Value {
	src := m.ProtoReflect()
	if !src.IsValid() {
		return slog.AnyValue(nil)
	}
	return redactMessage(src, false)
}

// redactMessage makes the value of one message. In a leaf, all fields are shown: its own field was GLOBAL.
func redactMessage(src protoreflect.Message, leaf bool) slog.Value {
	if v, ok := wellKnown(src, leaf); ok {
		return v
	}
	p := planOf(src.Descriptor())
	fields := src.Descriptor().Fields()
	attrs := make([]slog.Attr, 0, fields.Len())
	for i := range fields.Len() { // not Range, whose order is random
		fd := fields.Get(i)
		if !src.Has(fd) {
			continue
		}
		if !leaf && p.effective[i] != policyv1.DataClass_DATA_CLASS_GLOBAL {
			attrs = append(attrs, slog.String(string(fd.Name()), mark(fd)))
			continue
		}
		attrs = append(attrs, slog.Attr{Key: string(fd.Name()), Value: redactField(fd, src.Get(fd))})
	}
	return slog.GroupValue(attrs...)
}

// mark is what stands in a log for a field that is not GLOBAL.
func mark(fd protoreflect.FieldDescriptor) string {
	declared := ClassOf(fd)
	if declared == policyv1.DataClass_DATA_CLASS_UNSPECIFIED {
		return "[UNCLASSIFIED]"
	}
	return "[" + Label(effective(fd, declared)) + "]"
}

// redactField makes the value of a GLOBAL field. Lists and maps become plain values, as every handler prints those; a message in
// them is redacted and becomes a map.
func redactField(fd protoreflect.FieldDescriptor, v protoreflect.Value) slog.Value {
	switch {
	case fd.IsList():
		list := make([]any, v.List().Len())
		for i := range list {
			list[i] = plain(redactElement(fd, v.List().Get(i)))
		}
		return slog.AnyValue(list)
	case fd.IsMap():
		entries := make(map[string]any, v.Map().Len())
		v.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
			entries[k.String()] = plain(redactElement(fd.MapValue(), e))
			return true
		})
		return slog.AnyValue(entries)
	default:
		return redactElement(fd, v)
	}
}

func redactElement(fd protoreflect.FieldDescriptor, v protoreflect.Value) slog.Value {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return redactMessage(v.Message(), IsLeaf(v.Message().Descriptor()))
	case protoreflect.EnumKind:
		if value := fd.Enum().Values().ByNumber(v.Enum()); value != nil {
			return slog.StringValue(string(value.Name()))
		}
		return slog.Int64Value(int64(v.Enum()))
	case protoreflect.BytesKind:
		return slog.StringValue(base64.StdEncoding.EncodeToString(v.Bytes()))
	default:
		return slog.AnyValue(v.Interface())
	}
}

// wellKnown prints the messages that people know by another form than their fields. It prints nothing that is not reached by a
// GLOBAL field.
func wellKnown(src protoreflect.Message, leaf bool) (slog.Value, bool) {
	if !leaf {
		return slog.Value{}, false
	}
	switch m := src.Interface().(type) {
	case *timestamppb.Timestamp:
		return slog.TimeValue(m.AsTime()), m.IsValid()
	case *durationpb.Duration:
		return slog.DurationValue(m.AsDuration()), m.IsValid()
	case *fieldmaskpb.FieldMask:
		return slog.StringValue(strings.Join(m.GetPaths(), ",")), true
	default:
		return slog.Value{}, false
	}
}

// plain turns a group into a map, for values that are not attributes of their own.
func plain(v slog.Value) any {
	if v.Kind() != slog.KindGroup {
		return v.Any()
	}
	m := make(map[string]any, len(v.Group()))
	for _, a := range v.Group() {
		m[a.Key] = plain(a.Value)
	}
	return m
}
