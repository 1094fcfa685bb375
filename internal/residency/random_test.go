package residency_test

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/residency"
)

// canary is part of every text and byte string that is not GLOBAL in a message that random makes.
const canary = "CANARY"

// random makes messages in which everything above GLOBAL, or unknown, can be recognised.
type random struct {
	t       *rapid.T
	unknown bool
}

// fill sets the fields of m at random; guarded says that m lies in a field above GLOBAL.
func (r random) fill(m protoreflect.Message, guarded bool, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !rapid.Bool().Draw(r.t, string(fd.FullName())) {
			continue
		}
		hide := guarded
		if !residency.IsLeaf(m.Descriptor()) {
			hide = hide || residency.Effective(fd) != policyv1.DataClass_DATA_CLASS_GLOBAL
		}
		r.set(m, fd, hide, depth)
	}
	if r.unknown && rapid.Bool().Draw(r.t, "unknown") {
		raw := protowire.AppendTag(nil, 5000, protowire.BytesType)
		m.SetUnknown(protowire.AppendString(raw, r.text(true)))
	}
}

func (r random) set(m protoreflect.Message, fd protoreflect.FieldDescriptor, hide bool, depth int) {
	n := rapid.IntRange(1, 3).Draw(r.t, "n")
	switch {
	case fd.IsList():
		for range n {
			if v, ok := r.element(fd, m.Mutable(fd).List().NewElement, hide, depth); ok {
				m.Mutable(fd).List().Append(v)
			}
		}
	case fd.IsMap():
		for range n {
			key := protoreflect.ValueOfInt32(rapid.Int32Range(0, 9).Draw(r.t, "key")).MapKey()
			if fd.MapKey().Kind() == protoreflect.StringKind {
				key = protoreflect.ValueOfString(r.text(hide)).MapKey()
			}
			if v, ok := r.element(fd.MapValue(), m.Mutable(fd).Map().NewValue, hide, depth); ok {
				m.Mutable(fd).Map().Set(key, v)
			}
		}
	default:
		if v, ok := r.element(fd, func() protoreflect.Value { return m.NewField(fd) }, hide, depth); ok {
			m.Set(fd, v)
		}
	}
}

func (r random) element(fd protoreflect.FieldDescriptor, empty func() protoreflect.Value, hide bool, depth int) (protoreflect.Value, bool) {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(r.text(hide)), true
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(r.text(hide))), true
	case protoreflect.MessageKind:
		if depth == 0 {
			return protoreflect.Value{}, false
		}
		v := empty()
		r.fill(v.Message(), hide, depth-1)
		return v, true
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true), true
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1), true
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32Range(0, 999).Draw(r.t, "int32")), true
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64Range(0, 999).Draw(r.t, "int64")), true
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(rapid.Float64Range(0, 9).Draw(r.t, "double")), true
	default:
		panic(fmt.Sprintf("the test messages have no field of kind %s", fd.Kind()))
	}
}

// text makes a string, sometimes empty, that bears the canary if it is to be hidden.
func (r random) text(hide bool) string {
	text := rapid.StringMatching(`[a-z]{0,6}`).Draw(r.t, "text")
	if hide {
		return canary + text
	}
	return text
}

// message makes a random message of a type.
func (r random) message(of proto.Message) proto.Message {
	m := of.ProtoReflect().New()
	r.fill(m, false, 4)
	return m.Interface()
}

// leaks tells whether a rendering of something has the canary, in clear or as base64 at any of the three alignments.
func leaks(rendered string) bool {
	for _, form := range []string{canary, "Q0FOQVJZ", "NBTkFSW", "DQU5BUl"} {
		if strings.Contains(rendered, form) {
			return true
		}
	}
	return false
}

// plant puts the canary into every text and byte string of m that is not GLOBAL, and into its unknown fields.
func plant(m protoreflect.Message, hide bool) {
	leaf := residency.IsLeaf(m.Descriptor())
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		hide := hide || !leaf && residency.Effective(fd) != policyv1.DataClass_DATA_CLASS_GLOBAL
		switch {
		case fd.IsList():
			for i := range v.List().Len() {
				v.List().Set(i, planted(fd, v.List().Get(i), hide))
			}
		case fd.IsMap():
			v.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
				v.Map().Set(k, planted(fd.MapValue(), e, hide))
				return true
			})
		default:
			m.Set(fd, planted(fd, v, hide))
		}
		return true
	})
	if len(m.GetUnknown()) > 0 {
		m.SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 5000, protowire.BytesType), canary))
	}
}

func planted(fd protoreflect.FieldDescriptor, v protoreflect.Value, hide bool) protoreflect.Value {
	switch {
	case fd.Message() != nil:
		plant(v.Message(), hide)
		return v
	case hide && fd.Kind() == protoreflect.StringKind:
		return protoreflect.ValueOfString(canary)
	case hide && fd.Kind() == protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(canary))
	default:
		return v
	}
}
