package residency

import (
	"bytes"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
)

// cloneValue copies a field's value with all that it holds; owner is the message that will have it.
func cloneValue(owner protoreflect.Message, fd protoreflect.FieldDescriptor, v protoreflect.Value) protoreflect.Value {
	switch {
	case fd.IsList():
		dst := owner.NewField(fd)
		for i := range v.List().Len() {
			dst.List().Append(cloneElement(fd, v.List().Get(i)))
		}
		return dst
	case fd.IsMap():
		dst := owner.NewField(fd)
		v.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
			dst.Map().Set(k, cloneElement(fd.MapValue(), e))
			return true
		})
		return dst
	default:
		return cloneElement(fd, v)
	}
}

// cloneElement copies one value of fd's element type.
func cloneElement(fd protoreflect.FieldDescriptor, v protoreflect.Value) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return protoreflect.ValueOfMessage(proto.Clone(v.Message().Interface()).ProtoReflect())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(bytes.Clone(v.Bytes()))
	default:
		return v
	}
}

// filter tells which classes a copy keeps.
type filter func(policyv1.DataClass) bool

// copyInto copies the fields of src that the filter keeps, at every depth, into dst, an empty message of the same type. No
// unknown field is copied.
func (keep filter) copyInto(dst, src protoreflect.Message) {
	p := planOf(src.Descriptor())
	leaf := IsLeaf(src.Descriptor())
	src.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if leaf || keep(p.effectiveOf(fd)) {
			keep.copyField(dst, fd, fd, v)
		}
		return true
	})
}

// copyField sets the field to of dst to a filtered copy of v, a value of the field from, which has the same type.
func (keep filter) copyField(dst protoreflect.Message, to, from protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch {
	case Element(from) == nil:
		dst.Set(to, cloneValue(dst, to, v))
	case from.IsList():
		list := dst.Mutable(to).List()
		for i := range v.List().Len() {
			keep.copyInto(list.AppendMutable().Message(), v.List().Get(i).Message())
		}
	case from.IsMap():
		entries := dst.Mutable(to).Map()
		v.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
			keep.copyInto(entries.Mutable(k).Message(), e.Message())
			return true
		})
	default:
		keep.copyInto(dst.Mutable(to).Message(), v.Message())
	}
}
