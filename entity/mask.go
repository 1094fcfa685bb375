package entity

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// maskField is what violations call the mask: the name that AIP-134 gives it in a request.
const maskField = "update_mask"

// ApplyMask changes dst to what src says for the fields that the mask names, as https://google.aip.dev/134 has it:
//
//   - without a mask, or with an empty one, every field that is set in src;
//   - with "*" alone, every field: what is not set in src is cleared;
//   - else each path, where a path may lead through messages, e.g. "postal_address.locality", and names a list or map only whole.
//     A field that is not set in src is cleared.
//
// The id, create_time, update_time and etag are given by the server and are ignored wherever they stand, as
// https://google.aip.dev/203 asks. Fields of dst that this release does not know stay. A path that names no field is refused
// with INVALID_ARGUMENT. dst and src share nothing afterwards.
func ApplyMask[E proto.Message](dst, src E, mask *fieldmaskpb.FieldMask) error {
	s, err := shapeOf(dst.ProtoReflect().Descriptor())
	if err != nil {
		return err
	}
	to, from := dst.ProtoReflect(), proto.CloneOf(src).ProtoReflect()
	paths := mask.GetPaths()
	switch {
	case len(paths) == 0:
		from.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			if !s.outputOnly(fd) {
				to.Set(fd, v)
			}
			return true
		})
		return nil
	case len(paths) == 1 && paths[0] == "*":
		for i := range to.Descriptor().Fields().Len() {
			if fd := to.Descriptor().Fields().Get(i); !s.outputOnly(fd) {
				assign(to, from, fd)
			}
		}
		return nil
	}
	// All paths are checked before the first is applied, so that a refused mask changes nothing.
	resolved := make([][]protoreflect.FieldDescriptor, len(paths))
	for i, path := range paths {
		if resolved[i] = resolve(to.Descriptor(), path); resolved[i] == nil {
			return violation(maskField, "field_mask.path", "has a path that names no field of the entity")
		}
	}
	for _, path := range resolved {
		if !s.outputOnly(path[0]) {
			applyPath(to, from, path)
		}
	}
	return nil
}

// resolve returns the fields that a path leads through, or nil when it names none.
func resolve(md protoreflect.MessageDescriptor, path string) []protoreflect.FieldDescriptor {
	var fields []protoreflect.FieldDescriptor
	for name := range strings.SplitSeq(path, ".") {
		if md == nil {
			return nil // the path goes on below a scalar, a list or a map
		}
		fd := md.Fields().ByName(protoreflect.Name(name))
		if fd == nil {
			return nil
		}
		fields = append(fields, fd)
		md = nil
		if fd.Message() != nil && !fd.IsList() && !fd.IsMap() {
			md = fd.Message()
		}
	}
	return fields
}

// applyPath assigns the last field of a path. Messages on the way are made where there is something to hold, and not to hold
// an absence.
func applyPath(to, from protoreflect.Message, path []protoreflect.FieldDescriptor) {
	for _, fd := range path[:len(path)-1] {
		if !to.Has(fd) && !from.Has(fd) {
			return
		}
		from = from.Get(fd).Message() // an empty read-only message when it is not set
		to = to.Mutable(fd).Message()
	}
	assign(to, from, path[len(path)-1])
}

func assign(to, from protoreflect.Message, fd protoreflect.FieldDescriptor) {
	if from.Has(fd) {
		to.Set(fd, from.Get(fd))
	} else {
		to.Clear(fd)
	}
}
