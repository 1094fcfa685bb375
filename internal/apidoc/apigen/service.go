package apigen

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/apidoc"
	"github.com/domicile-api/domicile/internal/residency"
)

// method is a unary method that clients call over REST and Connect.
type method struct {
	protoreflect.MethodDescriptor

	policy residency.MethodPolicy
	rule   *annotations.HttpRule
	// id is the operation's; overlay is what people say of it.
	id      string
	overlay *operationOverlay
	// request and response are examples of the messages; nil: there are none.
	request, response *example
	// verb and path are those of the rule, with flat parameters: "/v1/users/{id}".
	verb, path string
}

// publicServices returns the services of a version that clients call: those with a method that has an HTTP rule, by name. What has none
// is called by operators' tools and by other regions.
func (c *contracts) publicServices() map[string][]protoreflect.ServiceDescriptor {
	versions := map[string][]protoreflect.ServiceDescriptor{}
	for _, file := range c.files {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			if apidoc.IsVersion(versionOf(service)) && isPublic(service) {
				versions[versionOf(service)] = append(versions[versionOf(service)], service)
			}
		}
	}
	for _, services := range versions {
		slices.SortFunc(services, func(a, b protoreflect.ServiceDescriptor) int { return cmp.Compare(a.FullName(), b.FullName()) })
	}
	return versions
}

func isPublic(service protoreflect.ServiceDescriptor) bool {
	for i := range service.Methods().Len() {
		if m := service.Methods().Get(i); httpRule(m) != nil && residency.MethodPolicyOf(m).Route != policyv1.Route_ROUTE_UNSPECIFIED {
			return true
		}
	}
	return false
}

// methodsOf returns the unary methods of services. A method without an HTTP rule has an empty verb.
func methodsOf(services []protoreflect.ServiceDescriptor) []*method {
	var found []*method
	for _, service := range services {
		for i := range service.Methods().Len() {
			md := service.Methods().Get(i)
			if md.IsStreamingClient() || md.IsStreamingServer() {
				continue
			}
			m := &method{MethodDescriptor: md, policy: residency.MethodPolicyOf(md), rule: httpRule(md)}
			m.verb, m.path = verbOf(m.rule)
			found = append(found, m)
		}
	}
	return found
}

func httpRule(md protoreflect.MethodDescriptor) *annotations.HttpRule {
	options := residency.ReadOptions(md.Options(), &descriptorpb.MethodOptions{})
	rule, _ := proto.GetExtension(options, annotations.E_Http).(*annotations.HttpRule)
	return rule
}

// verbOf returns the HTTP method of a rule and its path with flat parameters.
func verbOf(rule *annotations.HttpRule) (verb, path string) {
	verb, path = patternOf(rule)
	return verb, flat(path)
}

// patternOf returns the HTTP method of a rule and its path; nothing for a method without a rule.
func patternOf(rule *annotations.HttpRule) (verb, path string) {
	switch pattern := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return http.MethodGet, pattern.Get
	case *annotations.HttpRule_Put:
		return http.MethodPut, pattern.Put
	case *annotations.HttpRule_Post:
		return http.MethodPost, pattern.Post
	case *annotations.HttpRule_Delete:
		return http.MethodDelete, pattern.Delete
	case *annotations.HttpRule_Patch:
		return http.MethodPatch, pattern.Patch
	default:
		return "", ""
	}
}

// flat names the parameters of a path by the last part of their fields: "/v1/users/{user.id}" and "/v1/users/{id}" are one path.
func flat(path string) string {
	parts := strings.Split(path, "{")
	for i := 1; i < len(parts); i++ {
		name, rest, _ := strings.Cut(parts[i], "}")
		name, _, _ = strings.Cut(name, "=")
		parts[i] = name[strings.LastIndexByte(name, '.')+1:] + "}" + rest
	}
	return strings.Join(parts, "{")
}

// procedure returns the method's path over Connect and gRPC.
func (m *method) procedure() string {
	return "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
}

// highest returns the highest class that the method carries.
func (m *method) highest() policyv1.DataClass { return max(m.policy.Request, m.policy.Response) }

func className(class policyv1.DataClass) string {
	return strings.TrimPrefix(class.String(), "DATA_CLASS_")
}

func routeName(route policyv1.Route) string {
	return strings.ToLower(strings.TrimPrefix(route.String(), "ROUTE_"))
}

func idempotencyName(i policyv1.Idempotency) string {
	return strings.ToLower(strings.TrimPrefix(i.String(), "IDEMPOTENCY_"))
}

// leaves says how far a value of a class goes.
func leaves(class policyv1.DataClass) string {
	switch class {
	case policyv1.DataClass_DATA_CLASS_GLOBAL:
		return "anywhere"
	case policyv1.DataClass_DATA_CLASS_REGIONAL:
		return "jurisdiction"
	default:
		return "never"
	}
}

// checkRules refuses two methods that one call would reach, and a method whose path is in another version.
func (c *contracts) checkRules(version string, methods []*method) error {
	var problems []error
	first := map[string]*method{}
	for _, m := range methods {
		if m.verb == "" {
			continue
		}
		if err := c.checkFields(m); err != nil {
			problems = append(problems, err)
			continue
		}
		// A path is the same whatever its parameters are called.
		key := m.verb + " " + unnamed(m.path)
		if other := first[key]; other != nil {
			problems = append(problems, fmt.Errorf("%s: %s and %s are both called by %s %s (%s)",
				c.position(m), m.FullName(), other.FullName(), m.verb, m.path, c.position(other)))
			continue
		}
		first[key] = m
		if !strings.HasPrefix(m.path, "/"+version+"/") {
			problems = append(problems, fmt.Errorf("%s: the path %s of %s does not begin with /%s/, the version of its package",
				c.position(m), m.path, m.FullName(), version))
		}
	}
	return errors.Join(problems...)
}

// checkFields refuses an HTTP rule that names a field which there is not.
func (c *contracts) checkFields(m *method) error {
	missing := func(in protoreflect.MessageDescriptor, name string) bool {
		return name != "" && name != "*" && in.Fields().ByName(protoreflect.Name(name)) == nil
	}
	_, path := patternOf(m.rule)
	for _, part := range strings.Split(path, "{")[1:] {
		name := part[:strings.IndexAny(part+"}", ".=}")] // of {ticket.id}, that of the request's own field
		if missing(m.Input(), name) {
			return fmt.Errorf("%s: the path %s of %s has {%s}, and %s has no such field", c.position(m), path, m.FullName(), name, m.Input().Name())
		}
	}
	if body := m.rule.GetBody(); missing(m.Input(), body) {
		return fmt.Errorf("%s: the body of %s is %q, and %s has no such field", c.position(m), m.FullName(), body, m.Input().Name())
	}
	if body := m.rule.GetResponseBody(); missing(m.Output(), body) {
		return fmt.Errorf("%s: the response_body of %s is %q, and %s has no such field", c.position(m), m.FullName(), body, m.Output().Name())
	}
	return nil
}

func unnamed(path string) string {
	parts := strings.Split(path, "{")
	for i := 1; i < len(parts); i++ {
		_, rest, _ := strings.Cut(parts[i], "}")
		parts[i] = "}" + rest
	}
	return strings.Join(parts, "{")
}
