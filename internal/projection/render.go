package projection

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/protofile"
	"github.com/domicile-api/domicile/internal/residency"
)

// inOrder are the projections of a file in the order of their places.
func (p *plan) inOrder() []*written {
	return slices.SortedStableFunc(slices.Values(p.written), func(a, b *written) int { return cmp.Compare(a.start, b.start) })
}

// hollow is the file with an empty message instead of each projection. All else stays on its line.
func (p *plan) hollow() string {
	var b, missing strings.Builder
	done := 0
	for _, w := range p.inOrder() {
		if !w.isThere() {
			missing.WriteString("\nmessage " + w.name + " {}")
			continue
		}
		b.WriteString(p.source[done:w.start] + "message " + w.name + " {}")
		b.WriteString(strings.Repeat("\n", strings.Count(p.source[w.start:w.end], "\n")))
		done = w.end
	}
	b.WriteString(p.source[done:] + missing.String())
	return b.String()
}

// text is the file with its projections.
func (p *plan) text() string {
	var b strings.Builder
	done := 0
	for _, w := range p.inOrder() {
		if w.isThere() {
			b.WriteString(p.source[done:w.comment])
			if !w.marked {
				b.WriteString(w.note() + "\n\n")
			}
			if w.comment == w.start {
				b.WriteString(w.says() + "\n")
			}
			b.WriteString(p.source[w.comment:w.start] + w.body)
		} else {
			b.WriteString(p.source[done:w.start] + "\n\n" + w.note() + "\n\n" + w.says() + "\n" + w.body)
		}
		done = w.end
	}
	b.WriteString(p.source[done:])
	return b.String()
}

// stale are the projections of the file that differ from what it has.
func (p *plan) stale() []Stale {
	var all []Stale
	for _, w := range p.inOrder() {
		if p.source[w.start:w.end] != w.body || !w.marked || w.comment == w.start {
			all = append(all, Stale{At: w.at, Message: w.name, Entity: w.entity})
		}
	}
	return all
}

// note stands above a projection, apart from its comment, so that no document shows it.
func (w *written) note() string {
	return fmt.Sprintf("// The command \"generate\" writes %s; change %s instead.", w.name, w.entity)
}

// says is the comment of a projection that has none.
func (w *written) says() string {
	if w.scope == policyv1.Scope_SCOPE_GLOBAL {
		return fmt.Sprintf("// The part of %s that every region may know: exactly its GLOBAL fields.", w.entity)
	}
	return fmt.Sprintf("// The part of %s that the regions of the jurisdiction may know: exactly its GLOBAL and REGIONAL fields.", w.entity)
}

// render makes the bodies of a file's projections.
func (p *plan) render(set *protofile.Set, file protoreflect.FileDescriptor) error {
	var problems []error
	for _, w := range p.written {
		entity, err := entityOf(set, file, w)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		w.body = message(entity, w)
	}
	return errors.Join(problems...)
}

// message writes a projection as buf formats it.
func message(entity protoreflect.MessageDescriptor, w *written) string {
	var b strings.Builder
	fmt.Fprintf(&b, "message %s {\n  option (domicile.policy.v1.projection_of) = {\n    entity: %q\n    scope: %s\n  };\n\n",
		w.name, entity.FullName(), w.scope)
	done := map[protoreflect.Name]bool{}
	for i := range entity.Fields().Len() {
		fd := entity.Fields().Get(i)
		oneof := fd.ContainingOneof()
		switch {
		case !residency.Holds(w.scope, residency.Effective(fd)):
		case oneof == nil || oneof.IsSynthetic():
			field(&b, "  ", fd)
		case !done[oneof.Name()]:
			done[oneof.Name()] = true
			choice(&b, oneof, w.scope)
		}
	}
	b.WriteString("}")
	return b.String()
}

// choice writes a oneof with the fields that the scope may hold.
func choice(b *strings.Builder, oneof protoreflect.OneofDescriptor, scope policyv1.Scope) {
	fmt.Fprintf(b, "  // See %s.%s.\n  oneof %s {\n", oneof.Parent().Name(), oneof.Name(), oneof.Name())
	for i := range oneof.Fields().Len() {
		if fd := oneof.Fields().Get(i); residency.Holds(scope, residency.Effective(fd)) {
			field(b, "    ", fd)
		}
	}
	b.WriteString("  }\n")
}

// field writes a field with its class, and with what else of its options a reader of the projection meets.
func field(b *strings.Builder, indent string, fd protoreflect.FieldDescriptor) {
	fmt.Fprintf(b, "%s// See %s.%s.\n", indent, fd.Parent().Name(), fd.Name())
	options := []string{"(domicile.policy.v1.class) = " + residency.ClassOf(fd).String()}
	if residency.ReadOptions(fd.Options(), &descriptorpb.FieldOptions{}).GetDeprecated() {
		options = append(options, "deprecated = true")
	}
	if fd.HasJSONName() && fd.JSONName() != defaultJSONName(fd.Name()) {
		options = append(options, fmt.Sprintf("json_name = %q", fd.JSONName()))
	}
	fmt.Fprintf(b, "%s%s %s = %d [", indent, typeOf(fd), fd.Name(), fd.Number())
	if len(options) == 1 {
		fmt.Fprintf(b, "%s];\n", options[0])
		return
	}
	fmt.Fprintf(b, "\n%s  %s\n%s];\n", indent, strings.Join(options, ",\n"+indent+"  "), indent)
}

// defaultJSONName is the JSON name of a field that gives none, as protoc makes it.
func defaultJSONName(name protoreflect.Name) string {
	var b strings.Builder
	upper := false
	for _, c := range []byte(name) {
		switch {
		case c == '_':
			upper = true
			continue
		case upper && 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		}
		upper = false
		b.WriteByte(c)
	}
	return b.String()
}

// typeOf writes a field's type and presence.
func typeOf(fd protoreflect.FieldDescriptor) string {
	if fd.IsMap() {
		return fmt.Sprintf("map<%s, %s>", valueType(fd.MapKey()), valueType(fd.MapValue()))
	}
	switch {
	case fd.IsList():
		return "repeated " + valueType(fd)
	case fd.HasOptionalKeyword():
		return "optional " + valueType(fd)
	default:
		return valueType(fd)
	}
}

// valueType names the type of one value: from the file's own package without it, as a person would write it.
func valueType(fd protoreflect.FieldDescriptor) string {
	var named protoreflect.Descriptor
	switch {
	case fd.Message() != nil:
		named = fd.Message()
	case fd.Enum() != nil:
		named = fd.Enum()
	default:
		return fd.Kind().String()
	}
	if own := fd.ParentFile().Package(); own != "" && named.ParentFile().Package() == own {
		return strings.TrimPrefix(string(named.FullName()), string(own)+".")
	}
	return string(named.FullName())
}
