package check

import (
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/residency"
)

// urlGlobal: URLs are logged everywhere: by proxies, browsers, gateways.
func urlGlobal(c *Contract) []Finding {
	var found []Finding
	for _, m := range c.methods() {
		refuse := func(fd protoreflect.FieldDescriptor, class policyv1.DataClass, where string) {
			found = append(found, Finding{At: m, Text: fmt.Sprintf(
				"method %q puts %q, which is %s, into %s, and URLs are logged everywhere; send it in the body of a POST",
				m.FullName(), fd.FullName(), residency.Label(class), where)})
		}
		for _, rule := range httpRules(m) {
			path := pathVariables(rule)
			for _, name := range path {
				if fd, class := resolve(m.Input(), name); fd != nil && class > policyv1.DataClass_DATA_CLASS_GLOBAL {
					refuse(fd, class, "a path")
				}
			}
			for _, fd := range queryFields(m.Input(), rule, path) {
				if class := residency.Reach(fd); class > policyv1.DataClass_DATA_CLASS_GLOBAL {
					refuse(fd, class, "a query")
				}
			}
		}
		if residency.MethodPolicyOf(m).NoSideEffects {
			for i := range m.Input().Fields().Len() {
				fd := m.Input().Fields().Get(i)
				if class := residency.Reach(fd); class > policyv1.DataClass_DATA_CLASS_GLOBAL {
					refuse(fd, class, "the URL of a Connect GET (NO_SIDE_EFFECTS)")
				}
			}
		}
	}
	return found
}

// httpRules returns the REST bindings of a method.
func httpRules(m protoreflect.MethodDescriptor) []*annotations.HttpRule {
	options := residency.ReadOptions(m.Options(), &descriptorpb.MethodOptions{})
	rule, _ := proto.GetExtension(options, annotations.E_Http).(*annotations.HttpRule)
	if rule == nil {
		return nil
	}
	return append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...)
}

// template returns the path template of a binding; see google/api/http.proto.
func template(rule *annotations.HttpRule) string {
	switch pattern := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return pattern.Get
	case *annotations.HttpRule_Put:
		return pattern.Put
	case *annotations.HttpRule_Post:
		return pattern.Post
	case *annotations.HttpRule_Delete:
		return pattern.Delete
	case *annotations.HttpRule_Patch:
		return pattern.Patch
	case *annotations.HttpRule_Custom:
		return pattern.Custom.GetPath()
	default:
		return ""
	}
}

// pathVariables returns the field paths in a template: "/v1/{name=users/*}/keys/{key.id}" has "name" and "key.id".
func pathVariables(rule *annotations.HttpRule) []string {
	var names []string
	for rest := template(rule); ; {
		_, after, ok := strings.Cut(rest, "{")
		if !ok {
			return names
		}
		variable, tail, _ := strings.Cut(after, "}")
		name, _, _ := strings.Cut(variable, "=")
		names = append(names, name)
		rest = tail
	}
}

// queryFields returns the fields of a request that travel in the query: all that are neither in the path nor in the body.
func queryFields(md protoreflect.MessageDescriptor, rule *annotations.HttpRule, path []string) []protoreflect.FieldDescriptor {
	if rule.GetBody() == "*" {
		return nil
	}
	elsewhere := map[string]bool{rule.GetBody(): true}
	for _, name := range path {
		elsewhere[name] = true
	}
	var fields []protoreflect.FieldDescriptor
	for i := range md.Fields().Len() {
		if fd := md.Fields().Get(i); !elsewhere[string(fd.Name())] {
			fields = append(fields, fd)
		}
	}
	return fields
}

// resolve follows a field path and returns its last field and the most restricted class on the way; nil when there is no such
// field, which is not for this rule to refuse.
func resolve(md protoreflect.MessageDescriptor, path string) (protoreflect.FieldDescriptor, policyv1.DataClass) {
	var fd protoreflect.FieldDescriptor
	var class policyv1.DataClass
	for name := range strings.SplitSeq(path, ".") {
		if md == nil {
			return nil, 0
		}
		if fd = md.Fields().ByName(protoreflect.Name(name)); fd == nil {
			return nil, 0
		}
		class = max(class, residency.Effective(fd))
		md = fd.Message()
	}
	return fd, class
}
