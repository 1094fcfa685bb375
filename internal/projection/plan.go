package projection

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/bufbuild/protocompile/ast"
	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/protofile"
)

// plan is a file with entities whose projections are written.
type plan struct {
	path, source string
	written      []*written
}

// written is a projection to write.
type written struct {
	entity, name string
	scope        policyv1.Scope
	// at is where it is, or else where its entity is.
	at string
	// start and end are the span of the message in the file; equal when it is not there, and then the place to put it.
	start, end int
	// comment is where its comment begins, or start when it has none. marked tells whether the note above it is there.
	comment int
	marked  bool
	// body is the message, from its keyword to its closing brace.
	body string
}

func (w *written) isThere() bool { return w.end > w.start }

// messageName is what policy.proto says of WrittenProjection.name.
var messageName = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)

// reader reads one file before it is compiled.
type reader struct {
	set   *protofile.Set
	plan  *plan
	file  *ast.FileNode
	proto *descriptorpb.FileDescriptorProto
	nodes map[string]*ast.MessageNode
}

// planFile finds what is to be written in a file. The file needs to parse; what it names need not exist yet.
func planFile(set *protofile.Set, path string) (*plan, error) {
	var problems []error
	handler := reporter.NewHandler(reporter.NewReporter(func(err reporter.ErrorWithPos) error {
		problems = append(problems, set.Locate(err))
		return nil
	}, nil))
	r := &reader{set: set, plan: &plan{path: path, source: set.Text(path)}, nodes: map[string]*ast.MessageNode{}}
	file, err := parser.Parse(path, strings.NewReader(r.plan.source), handler)
	if len(problems) > 0 || err != nil {
		return nil, errors.Join(append(problems, ifNone(problems, err))...)
	}
	parsed, err := parser.ResultFromAST(file, true, handler)
	if len(problems) > 0 || err != nil {
		return nil, errors.Join(append(problems, ifNone(problems, err))...)
	}
	r.file, r.proto = file, parsed.FileDescriptorProto()
	for _, decl := range file.Decls {
		if m, ok := decl.(*ast.MessageNode); ok {
			r.nodes[m.Name.Val] = m
		}
	}
	for _, md := range r.proto.GetMessageType() {
		if err := r.readEntity(md); err != nil {
			problems = append(problems, err)
		}
		problems = append(problems, r.refuseNested(md, md.GetName())...)
	}
	return r.plan, errors.Join(problems...)
}

func ifNone(problems []error, err error) error {
	if len(problems) > 0 {
		return nil
	}
	return err
}

// readEntity plans the projections that a message lists.
func (r *reader) readEntity(md *descriptorpb.DescriptorProto) error {
	var options policyv1.EntityOptions
	entity := r.nodes[md.GetName()]
	if err := readOption(md, "entity", &options); err != nil {
		return r.refuse(entity, "%s: %w", md.GetName(), err)
	}
	if len(options.GetProjections()) == 0 {
		return nil
	}
	if r.proto.GetSyntax() != "proto3" {
		return r.refuse(entity, "%s lists projections, which are written as proto3; the file has another syntax", md.GetName())
	}
	place := lineEnd(r.plan.source, r.offset(entity.CloseBrace))
	for _, listed := range options.GetProjections() {
		w := &written{entity: md.GetName(), name: listed.GetName(), scope: listed.GetScope()}
		if err := r.checkListed(entity, w); err != nil {
			return err
		}
		if node, there := r.nodes[w.name]; there {
			r.locate(w, node)
			place = max(place, lineEnd(r.plan.source, w.end-1))
		} else {
			w.at, w.start, w.end, w.comment = r.position(entity), place, place, place
		}
		r.plan.written = append(r.plan.written, w)
	}
	return nil
}

// checkListed refuses an entry that cannot be written. A message that is there is overwritten only if it is a projection of the entity.
func (r *reader) checkListed(entity *ast.MessageNode, w *written) error {
	for _, other := range r.plan.written {
		if other.name == w.name {
			return r.refuse(entity, "the projection %q is listed twice", w.name)
		}
	}
	switch {
	case !messageName.MatchString(w.name):
		return r.refuse(entity, "%s lists a projection with the name %q; it must be a message's name, e.g. %q", w.entity, w.name, w.entity+"Summary")
	case w.scope == policyv1.Scope_SCOPE_UNSPECIFIED:
		return r.refuse(entity, "projection %q has no scope; say SCOPE_GLOBAL or SCOPE_JURISDICTION", w.name)
	}
	node, there := r.nodes[w.name]
	if !there {
		return nil
	}
	full := w.entity
	if r.proto.GetPackage() != "" {
		full = r.proto.GetPackage() + "." + w.entity
	}
	for _, md := range r.proto.GetMessageType() {
		var options policyv1.ProjectionOptions
		if md.GetName() == w.name && (readOption(md, "projection_of", &options) != nil || options.GetEntity() != full) {
			return r.refuse(node, "%s lists %q as its projection, and that is another message; it is not overwritten", w.entity, w.name)
		}
	}
	return nil
}

// refuseNested refuses projections of a message inside another: there is no place of their own for them.
func (r *reader) refuseNested(md *descriptorpb.DescriptorProto, outer string) []error {
	var problems []error
	for _, nested := range md.GetNestedType() {
		var options policyv1.EntityOptions
		if err := readOption(nested, "entity", &options); err != nil || len(options.GetProjections()) > 0 {
			problems = append(problems, r.refuse(r.nodes[strings.SplitN(outer, ".", 2)[0]],
				"%s.%s lists projections; only a message that stands by itself can", outer, nested.GetName()))
		}
		problems = append(problems, r.refuseNested(nested, outer+"."+nested.GetName())...)
	}
	return problems
}

// locate finds a message in the file, with the comment and the note above it.
func (r *reader) locate(w *written, node *ast.MessageNode) {
	info := r.file.NodeInfo(node)
	w.at, w.start, w.end, w.comment = r.position(node), info.Start().Offset, r.offset(node.CloseBrace)+1, info.Start().Offset
	line := info.Start().Line
	comments := info.LeadingComments()
	for i := comments.Len() - 1; i >= 0; i-- {
		c := comments.Index(i)
		if c.End().Line == line-1 || (c.End().Line == line && w.comment == w.start) {
			w.comment, line = c.Start().Offset, c.Start().Line
		}
		w.marked = w.marked || strings.TrimSpace(c.RawText()) == w.note()
	}
}

func (r *reader) offset(node ast.Node) int { return r.file.NodeInfo(node).Start().Offset }

func (r *reader) position(node ast.Node) string {
	at := r.file.NodeInfo(node).Start()
	return fmt.Sprintf("%s:%d:%d", r.set.Name(r.plan.path), at.Line, at.Col)
}

func (r *reader) refuse(node ast.Node, format string, args ...any) error {
	return fmt.Errorf("%s: %w", r.position(node), fmt.Errorf(format, args...))
}

// readOption reads an option of package domicile.policy.v1 that is not interpreted yet, as files compile only with what is written
// after it was read; entityOf looks at the interpreted one. An option that a message does not have leaves into as it is.
func readOption(md *descriptorpb.DescriptorProto, name string, into proto.Message) error {
	for _, option := range md.GetOptions().GetUninterpretedOption() {
		parts := option.GetName()
		full := strings.TrimPrefix(parts[0].GetNamePart(), ".")
		// Inside of a package whose name begins the same, the option's may be shorter.
		if !parts[0].GetIsExtension() || !strings.HasSuffix(".domicile.policy.v1."+name, "."+full) {
			continue
		}
		if len(parts) > 1 {
			return fmt.Errorf("say what it is in one option (%s) = {…}", full)
		}
		text := strings.TrimSpace(option.GetAggregateValue())
		if inner, ok := strings.CutPrefix(text, "{"); ok {
			text = strings.TrimSuffix(inner, "}")
		}
		if err := (prototext.UnmarshalOptions{DiscardUnknown: true, AllowPartial: true}).Unmarshal([]byte(text), into); err != nil {
			return fmt.Errorf("reading option (%s): %w", full, err)
		}
	}
	return nil
}

// lineEnd is where the line of an offset ends.
func lineEnd(text string, offset int) int {
	if i := strings.IndexByte(text[offset:], '\n'); i >= 0 {
		return offset + i
	}
	return len(text)
}
