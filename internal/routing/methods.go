package routing

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/residency"
)

// Method is what routes a method's calls.
type Method struct {
	// Procedure is how it is called, e.g. "/domicile.profile.v1.ProfileService/GetUser".
	Procedure string
	// Route says where it is answered.
	Route policyv1.Route
	// Reach is the highest class that its answer reaches.
	Reach policyv1.DataClass
	// Streams says that requests or answers are streams.
	Streams bool
}

// Methods knows the route of each method of a set of services. It never changes.
type Methods struct {
	routes map[string]Method
	// short has, for each way to name a method without its package or service, the procedures that it may stand for.
	short map[string][]string
}

// NewMethods reads the routes that the services' protos declare. A method without one is refused: nothing could be said of
// where it may be answered.
func NewMethods(services ...protoreflect.ServiceDescriptor) (*Methods, error) {
	m := &Methods{routes: make(map[string]Method), short: make(map[string][]string)}
	for _, service := range services {
		for i := range service.Methods().Len() {
			if err := m.add(service.Methods().Get(i)); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

func (m *Methods) add(method protoreflect.MethodDescriptor) error {
	policy := residency.MethodPolicyOf(method)
	switch policy.Route {
	case policyv1.Route_ROUTE_HOME, policyv1.Route_ROUTE_NEAREST, policyv1.Route_ROUTE_ANY, policyv1.Route_ROUTE_CONTROL:
	case policyv1.Route_ROUTE_UNSPECIFIED:
		return fmt.Errorf("the method %s has no route: set option (domicile.policy.v1.route)", method.FullName())
	default:
		return fmt.Errorf("the method %s has the route %d, which this release does not know", method.FullName(), policy.Route)
	}
	procedure := Procedure(method)
	if _, twice := m.routes[procedure]; twice {
		return nil
	}
	m.routes[procedure] = Method{
		Procedure: procedure, Route: policy.Route, Reach: policy.Response,
		Streams: method.IsStreamingClient() || method.IsStreamingServer(),
	}
	service, name := string(method.Parent().FullName()), string(method.Name())
	last := service[strings.LastIndexByte(service, '.')+1:]
	names := []string{service + "/" + name, service + "." + name, last + "/" + name, last + "." + name, name}
	slices.Sort(names) // A service without a package has some of these twice.
	for _, short := range slices.Compact(names) {
		m.short[short] = append(m.short[short], procedure)
		slices.Sort(m.short[short])
	}
	return nil
}

// Procedure returns a method's name as it is called, e.g. "/domicile.profile.v1.ProfileService/GetUser".
func Procedure(method protoreflect.MethodDescriptor) string {
	return "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
}

// Route returns the route of a procedure, e.g. "/domicile.profile.v1.ProfileService/GetUser". It does not allocate.
func (m *Methods) Route(procedure string) (policyv1.Route, bool) {
	method, ok := m.routes[procedure]
	return method.Route, ok
}

// Procedures returns all procedures in alphabetical order.
func (m *Methods) Procedures() []string {
	all := make([]string, 0, len(m.routes))
	for procedure := range m.routes {
		all = append(all, procedure)
	}
	slices.Sort(all)
	return all
}

// Find returns the procedure that a person means: its full name, with or without the slash before it, or a part that one
// method alone has: "ProfileService/GetUser" or "GetUser". A dot may stand for the inner slash. The refusal is an INVALID_ARGUMENT.
func (m *Methods) Find(name string) (Method, error) {
	found := m.short[strings.TrimPrefix(name, "/")]
	switch len(found) {
	case 0:
		return Method{}, methodFault("method.known", "no service here has this method; name it as in domicile.profile.v1.ProfileService/GetUser")
	case 1:
		return m.routes[found[0]], nil
	default:
		return Method{}, methodFault("method.unambiguous", "several methods have this name: "+strings.Join(found, ", "))
	}
}

func methodFault(rule, text string) error {
	refusal := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "%s", text)
	refusal.Violations = []fault.Violation{{Field: "method", Rule: rule, Message: text}}
	return refusal
}
