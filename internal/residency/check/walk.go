package check

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/domicile-api/domicile/internal/residency"
)

// visit is called with a field that is reached, and the nearest descriptor of the checked files on the way to it.
type visit func(fd protoreflect.FieldDescriptor, at protoreflect.Descriptor)

// walker goes through everything that messages reach, each message once.
type walker struct {
	checked map[string]bool
	seen    map[protoreflect.FullName]bool
	visit   visit
}

// walk visits every field that the roots reach. The fields of google.protobuf's types have no classes and are not visited.
func (c *Contract) walk(roots []root, v visit) {
	w := walker{checked: map[string]bool{}, seen: map[protoreflect.FullName]bool{}, visit: v}
	for _, f := range c.Files {
		w.checked[f.Path()] = true
	}
	for _, r := range roots {
		w.message(r.message, r.at)
	}
}

func (w *walker) message(md protoreflect.MessageDescriptor, at protoreflect.Descriptor) {
	if w.seen[md.FullName()] || residency.IsLeaf(md) {
		return
	}
	w.seen[md.FullName()] = true
	own := w.checked[md.ParentFile().Path()]
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		here := at
		if own {
			here = fd
		}
		w.visit(fd, here)
		if sub := residency.Element(fd); sub != nil {
			w.message(sub, here)
		}
	}
}

// root is a message to walk from, and what in the checked files leads to it.
type root struct {
	message protoreflect.MessageDescriptor
	at      protoreflect.Descriptor
}

// reached are the messages that a class matters in: what methods take and answer, entities and projections.
func (c *Contract) reached() []root {
	var roots []root
	for _, m := range c.methods() {
		roots = append(roots, root{m.Input(), m}, root{m.Output(), m})
	}
	for _, md := range c.messages() {
		if _, ok := residency.ProjectionOf(md); ok {
			roots = append(roots, root{md, md})
		}
	}
	return append(roots, c.entities()...)
}

// entities are the checked entities.
func (c *Contract) entities() []root {
	var roots []root
	for _, md := range c.messages() {
		if _, ok := residency.EntityOf(md); ok {
			roots = append(roots, root{md, md})
		}
	}
	return roots
}

// messages are all messages of the checked files, nested ones too, without map entries.
func (c *Contract) messages() []protoreflect.MessageDescriptor {
	var all []protoreflect.MessageDescriptor
	for _, f := range c.Files {
		all = appendMessages(all, f.Messages())
	}
	return all
}

func appendMessages(all []protoreflect.MessageDescriptor, messages protoreflect.MessageDescriptors) []protoreflect.MessageDescriptor {
	for i := range messages.Len() {
		if md := messages.Get(i); !md.IsMapEntry() {
			all = appendMessages(append(all, md), md.Messages())
		}
	}
	return all
}

// methods are all methods of the checked files.
func (c *Contract) methods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	for _, f := range c.Files {
		for i := range f.Services().Len() {
			methods := f.Services().Get(i).Methods()
			for j := range methods.Len() {
				all = append(all, methods.Get(j))
			}
		}
	}
	return all
}

// find returns the message of a full name among files, or nil.
func find(files []protoreflect.FileDescriptor, name protoreflect.FullName) protoreflect.MessageDescriptor {
	for _, md := range (&Contract{Files: files}).messages() {
		if md.FullName() == name {
			return md
		}
	}
	return nil
}
