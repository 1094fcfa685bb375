package apigen

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/domicile-api/domicile/internal/residency"
)

// comment returns what the contract says of a descriptor: paragraphs, each on one line, and lists as they are.
func comment(d protoreflect.Descriptor) string {
	text := d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments
	var paragraphs []string
	for block := range strings.SplitSeq(text, "\n\n") {
		if line := joined(block); line != "" {
			paragraphs = append(paragraphs, line)
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// joined makes one line of the lines of a paragraph; the items of a list keep their own.
func joined(block string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(block, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
			continue
		case b.Len() > 0 && (strings.HasPrefix(line, "- ") || strings.HasPrefix(line, "* ")):
			b.WriteByte('\n')
		case b.Len() > 0:
			b.WriteByte(' ')
		}
		b.WriteString(line)
	}
	return b.String()
}

// checkComments refuses what clients see and the contract says nothing of: services, methods, messages, fields, enums and their values. A
// field has a class besides.
func (c *contracts) checkComments(methods []*method) error {
	w := walk{contracts: c, seen: map[protoreflect.FullName]bool{}}
	for _, m := range methods {
		w.check(m.Parent())
		w.check(m.MethodDescriptor)
		w.message(m.Input())
		w.message(m.Output())
	}
	return errors.Join(w.problems...)
}

// walk visits all that methods reach.
type walk struct {
	contracts *contracts
	seen      map[protoreflect.FullName]bool
	problems  []error
}

func (w *walk) check(d protoreflect.Descriptor) {
	if w.seen[d.FullName()] {
		return
	}
	w.seen[d.FullName()] = true
	if comment(d) == "" {
		w.problems = append(w.problems, fmt.Errorf("%s: %s has no comment; clients read it in the documents", w.contracts.position(d), d.FullName()))
	}
}

func (w *walk) message(md protoreflect.MessageDescriptor) {
	if w.seen[md.FullName()] || isLibrary(md) {
		return
	}
	w.check(md)
	for i := range md.Fields().Len() {
		field := md.Fields().Get(i)
		w.check(field)
		if !residency.IsClassified(field) {
			w.problems = append(w.problems, fmt.Errorf("%s: %s has no data class; give it [(domicile.policy.v1.class) = DATA_CLASS_...]",
				w.contracts.position(field), field.FullName()))
		}
		if sub := residency.Element(field); sub != nil {
			w.message(sub)
		}
		if enum := enumOf(field); enum != nil && !isLibrary(enum) {
			w.check(enum)
			for i := range enum.Values().Len() {
				w.check(enum.Values().Get(i))
			}
		}
	}
}

// enumOf returns the enum of a field's values; nil if they are none.
func enumOf(field protoreflect.FieldDescriptor) protoreflect.EnumDescriptor {
	if field.IsMap() {
		return field.MapValue().Enum()
	}
	return field.Enum()
}

// isLibrary tells whether a type is protobuf's or Google's own; documents say in their own words what those are.
func isLibrary(d protoreflect.Descriptor) bool {
	return strings.HasPrefix(string(d.FullName()), "google.")
}
