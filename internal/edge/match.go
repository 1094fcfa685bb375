package edge

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/routing"
)

// Method is an RPC as the edge sees it.
type Method struct {
	// Procedure is "/package.Service/Method".
	Procedure string
	// Route says where it is answered.
	Route policyv1.Route
	// Reach is the highest class that its answer reaches.
	Reach policyv1.DataClass
	// Writes says that executing it twice may not be the same as once.
	Writes bool
	// Streams says that requests or answers are streams; Uploads, that the requests are.
	Streams, Uploads bool
}

// Matcher finds the method that a request calls: by its procedure, or by the REST patterns of google.api.http. It never changes.
//
// It takes the same way through the patterns as the transcoder of the services: a literal segment before "*", that before "**", and
// no way back once a pattern has the path, whatever the HTTP method. What it found is checked once more behind it: a
// call that was routed as one method and decoded as another is refused there.
type Matcher struct {
	procedures map[string]*Method
	root       node
}

// node is a place in the tree of patterns.
type node struct {
	literal  map[string]*node
	one, all *node
	// ends has what may end here, by the custom verb, which is mostly empty.
	ends map[string]*ending
}

// ending is a pattern: the methods that it stands for, by HTTP method.
type ending struct {
	methods map[string]*Method
	allow   string
}

var errPattern = errors.New("edge: two methods have one REST pattern")

// NewMatcher compiles the patterns of the services' methods.
func NewMatcher(services ...protoreflect.ServiceDescriptor) (*Matcher, error) {
	m := &Matcher{procedures: make(map[string]*Method)}
	for _, service := range services {
		for i := range service.Methods().Len() {
			if err := m.add(service.Methods().Get(i)); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

func (m *Matcher) add(descriptor protoreflect.MethodDescriptor) error {
	policy := residency.MethodPolicyOf(descriptor)
	method := &Method{
		Procedure: routing.Procedure(descriptor),
		Route:     policy.Route,
		Reach:     policy.Response,
		Writes:    policy.Idempotency != policyv1.Idempotency_IDEMPOTENCY_READ,
		Streams:   descriptor.IsStreamingClient() || descriptor.IsStreamingServer(),
		Uploads:   descriptor.IsStreamingClient(),
	}
	if _, twice := m.procedures[method.Procedure]; twice {
		return nil
	}
	m.procedures[method.Procedure] = method
	rule, ok := proto.GetExtension(descriptor.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		return nil
	}
	for _, r := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
		if err := m.root.insert(r, method); err != nil {
			return fmt.Errorf("reading the REST pattern of %s: %w", method.Procedure, err)
		}
	}
	return nil
}

func (n *node) insert(rule *annotations.HttpRule, method *Method) error {
	httpMethod, pattern := ruleOf(rule)
	t, err := parseTemplate(pattern)
	if err != nil {
		return err
	}
	for _, segment := range t.segments {
		n = n.child(segment)
	}
	if n.ends == nil {
		n.ends = make(map[string]*ending)
	}
	end := n.ends[t.verb]
	if end == nil {
		end = &ending{methods: make(map[string]*Method)}
		n.ends[t.verb] = end
	}
	if _, twice := end.methods[httpMethod]; twice {
		return fmt.Errorf("%w: %s %s", errPattern, httpMethod, pattern)
	}
	end.methods[httpMethod] = method
	names := make([]string, 0, len(end.methods))
	for name := range end.methods {
		names = append(names, name)
	}
	slices.Sort(names)
	end.allow = strings.Join(names, ", ")
	return nil
}

func (n *node) child(segment string) *node {
	next := func(at **node) *node {
		if *at == nil {
			*at = &node{}
		}
		return *at
	}
	switch segment {
	case "*":
		return next(&n.one)
	case "**":
		return next(&n.all)
	}
	if n.literal == nil {
		n.literal = make(map[string]*node)
	}
	child := n.literal[segment]
	if child == nil {
		child = &node{}
		n.literal[segment] = child
	}
	return child
}

// Match returns the method that an HTTP method and an unescaped path call. If the path is known and the HTTP method is not, it returns
// nil and what an Allow header says; of an unknown path nil and nothing. It does not allocate.
func (m *Matcher) Match(httpMethod, path string) (*Method, string) {
	if method, ok := m.procedures[path]; ok {
		return method, ""
	}
	if path == "" || path[0] != '/' || path[len(path)-1] == ':' {
		return nil, ""
	}
	path = path[1:]
	verb := ""
	if colon := strings.IndexByte(path[strings.LastIndexByte(path, '/')+1:], ':'); colon >= 0 {
		colon += strings.LastIndexByte(path, '/') + 1
		path, verb = path[:colon], path[colon+1:]
	}
	end := m.root.find(path, verb, false)
	if end == nil {
		return nil, ""
	}
	if method := end.methods[httpMethod]; method != nil {
		return method, ""
	}
	if method := end.methods["*"]; method != nil {
		return method, ""
	}
	return nil, end.allow
}

// find walks the tree; done says that no segment is left, which an empty rest does not: it is an empty segment.
func (n *node) find(rest, verb string, done bool) *ending {
	if done {
		return n.ends[verb]
	}
	segment, after, more := strings.Cut(rest, "/")
	if child := n.literal[segment]; child != nil {
		if end := child.find(after, verb, !more); end != nil {
			return end
		}
	}
	if n.one != nil {
		if end := n.one.find(after, verb, !more); end != nil {
			return end
		}
	}
	if n.all != nil {
		return n.all.ends[verb]
	}
	return nil
}
