package residency

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
)

// Split takes a message apart into what may lie in the open and what must be sealed: open has the GLOBAL fields, guarded has
// all others and all unknown fields. Both are new messages of m's type that share nothing with m, and Merge makes m of them
// again. A message-typed field that is not GLOBAL is guarded whole; one that is GLOBAL is itself split.
func Split(m proto.Message) (open, guarded proto.Message) {
	src := m.ProtoReflect()
	a, b := src.New(), src.New()
	split(src, a, b)
	return a.Interface(), b.Interface()
}

// split copies src's parts into open and guarded, which are empty, and tells whether guarded got any.
func split(src, open, guarded protoreflect.Message) bool {
	p := planOf(src.Descriptor())
	leaf := IsLeaf(src.Descriptor())
	held := false
	src.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case !leaf && p.effectiveOf(fd) != policyv1.DataClass_DATA_CLASS_GLOBAL:
			guarded.Set(fd, cloneValue(guarded, fd, v))
			held = true
		case Element(fd) == nil:
			open.Set(fd, cloneValue(open, fd, v))
		case fd.IsList():
			held = splitList(fd, v.List(), open, guarded) || held
		case fd.IsMap():
			held = splitMap(fd, v.Map(), open, guarded) || held
		default:
			shown, hidden := open.NewField(fd), guarded.NewField(fd)
			if split(v.Message(), shown.Message(), hidden.Message()) {
				guarded.Set(fd, hidden)
				held = true
			}
			open.Set(fd, shown)
		}
		return true
	})
	if unknown := src.GetUnknown(); len(unknown) > 0 {
		guarded.SetUnknown(append(protoreflect.RawFields(nil), unknown...))
		held = true
	}
	return held
}

// splitList splits each element. When one has a guarded part, the guarded list has as many elements as the open one, so that
// Merge can pair them.
func splitList(fd protoreflect.FieldDescriptor, src protoreflect.List, open, guarded protoreflect.Message) bool {
	shown, hidden := open.Mutable(fd).List(), guarded.NewField(fd)
	held := false
	for i := range src.Len() {
		part := hidden.List().AppendMutable().Message()
		held = split(src.Get(i).Message(), shown.AppendMutable().Message(), part) || held
	}
	if held {
		guarded.Set(fd, hidden)
	}
	return held
}

// splitMap splits each value; the guarded map has the keys whose values have a guarded part.
func splitMap(fd protoreflect.FieldDescriptor, src protoreflect.Map, open, guarded protoreflect.Message) bool {
	shown, hidden := open.Mutable(fd).Map(), guarded.NewField(fd)
	src.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		part := hidden.Map().NewValue()
		if split(v.Message(), shown.Mutable(k).Message(), part.Message()) {
			hidden.Map().Set(k, part)
		}
		return true
	})
	if hidden.Map().Len() == 0 {
		return false
	}
	guarded.Set(fd, hidden)
	return true
}

// Merge makes one message of the two that Split made. The result is new. It does not ask for classes: parts that were split
// under the classes of another release come together as well.
func Merge(open, guarded proto.Message) proto.Message {
	m := proto.Clone(open)
	merge(m.ProtoReflect(), guarded.ProtoReflect())
	return m
}

// merge lays src over dst: what both have is paired where it is made of messages, else src's is taken.
func merge(dst, src protoreflect.Message) {
	src.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case !dst.Has(fd) || Element(fd) == nil:
			dst.Set(fd, cloneValue(dst, fd, v))
		case fd.IsList():
			mergeList(fd, dst, v.List())
		case fd.IsMap():
			mergeMap(dst.Mutable(fd).Map(), v.Map())
		default:
			merge(dst.Mutable(fd).Message(), v.Message())
		}
		return true
	})
	if unknown := src.GetUnknown(); len(unknown) > 0 {
		dst.SetUnknown(append(append(protoreflect.RawFields(nil), dst.GetUnknown()...), unknown...))
	}
}

func mergeList(fd protoreflect.FieldDescriptor, dst protoreflect.Message, src protoreflect.List) {
	paired := dst.Mutable(fd).List()
	if paired.Len() != src.Len() {
		dst.Set(fd, cloneValue(dst, fd, protoreflect.ValueOfList(src)))
		return
	}
	for i := range src.Len() {
		merge(paired.Get(i).Message(), src.Get(i).Message())
	}
}

func mergeMap(dst, src protoreflect.Map) {
	src.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		merge(dst.Mutable(k).Message(), v.Message())
		return true
	})
}
