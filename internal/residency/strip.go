package residency

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
)

// Strip returns a copy of m without the fields of a class, at every depth, and without unknown fields, whose class is not
// known. A stored answer is what Strip leaves without SECRET.
func Strip(m proto.Message, class policyv1.DataClass) proto.Message {
	src := m.ProtoReflect()
	dst := src.New()
	filter(func(c policyv1.DataClass) bool { return c != class }).copyInto(dst, src)
	return dst.Interface()
}

// DropUnknown removes the unknown fields of m at every depth, in place.
func DropUnknown(m proto.Message) {
	dropUnknown(m.ProtoReflect())
}

func dropUnknown(m protoreflect.Message) {
	if len(m.GetUnknown()) > 0 {
		m.SetUnknown(nil)
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case Element(fd) == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				dropUnknown(v.List().Get(i).Message())
			}
		case fd.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, e protoreflect.Value) bool {
				dropUnknown(e.Message())
				return true
			})
		default:
			dropUnknown(v.Message())
		}
		return true
	})
}
