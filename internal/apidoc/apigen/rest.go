package apigen

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/apidoc"
	"github.com/domicile-api/domicile/internal/rpc"
)

const jsonType = "application/json"

// builder makes one document of one version.
type builder struct {
	contracts *contracts
	version   string
	services  []protoreflect.ServiceDescriptor
	methods   []*method
	schemas   *schemas
	errors    *errorParts
	doc       *openapi3.T
	overlay   *overlay
	platform  *overlay
	raw       map[string]*openapi3.Operation
	problems  []error
}

func (b *builder) begin() {
	b.doc = &openapi3.T{
		OpenAPI: "3.1.0",
		Info:    b.overlay.info(b.version, b.platform),
		Paths:   openapi3.NewPaths(),
		Components: &openapi3.Components{
			Schemas: b.schemas.made, Headers: answerHeaders(), Parameters: requestHeaders(),
			Responses: openapi3.ResponseBodies{}, Examples: openapi3.Examples{}, SecuritySchemes: securitySchemes(),
		},
		Security: openapi3.SecurityRequirements{{tenantKey: {}}},
	}
	for _, service := range b.services {
		b.doc.Tags = append(b.doc.Tags, &openapi3.Tag{Name: tagOf(service), Description: b.tagText(service)})
	}
}

// tagText is what the contract says of a service, and the overlay.
func (b *builder) tagText(service protoreflect.Descriptor) string {
	return strings.TrimSpace(comment(service) + "\n\n" + strings.TrimSpace(b.overlay.Tags[tagOf(service)]))
}

// tagOf is how documents call a service: "Profile" for ProfileService.
func tagOf(service protoreflect.Descriptor) string {
	name := string(service.Name())
	if short := strings.TrimSuffix(name, "Service"); short != "" {
		return short
	}
	return name
}

// rest adds all operations that have an HTTP rule.
func (b *builder) rest() error {
	b.begin()
	for _, m := range b.methods {
		if m.verb == "" {
			continue
		}
		op := b.operation(m)
		if err := b.parameters(m, op); err != nil {
			return err
		}
		b.body(m, op)
		op.Responses = b.answers(m, b.answerSchema(m), revalidates(m) && m.verb == http.MethodGet)
		b.illustrate(m, op)
		item := b.doc.Paths.Value(m.path)
		if item == nil {
			item = &openapi3.PathItem{}
			b.doc.Paths.Set(m.path, item)
		}
		item.SetOperation(m.verb, op)
	}
	return nil
}

// operation makes what REST and Connect say alike of a method.
func (b *builder) operation(m *method) *openapi3.Operation {
	op := &openapi3.Operation{
		OperationID: m.id,
		Tags:        []string{tagOf(m.Parent())},
		Summary:     title(string(m.Name())),
		Description: describeMethod(m),
		Extensions: map[string]any{
			apidoc.ExtService: string(m.Parent().FullName()), apidoc.ExtProcedure: m.procedure(),
			apidoc.ExtRoute: routeName(m.policy.Route), apidoc.ExtCost: 1, apidoc.ExtClass: className(m.highest()),
			apidoc.ExtIdempotency: idempotencyName(m.policy.Idempotency),
		},
	}
	reasons := b.reasonsOf(m)
	names := make([]any, len(reasons))
	for i, reason := range reasons {
		names[i] = rpc.ReasonName(reason)
	}
	op.Extensions[apidoc.ExtErrors] = names
	if pages(m) {
		op.Extensions[apidoc.ExtPagination] = map[string]any{"size": "pageSize", "token": "pageToken", "next": "nextPageToken"}
	}
	if security := securityOf(m); security != nil {
		op.Security = security
	}
	return op
}

// title is what lists show of an operation: "List user summaries" for ListUserSummaries.
func title(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte(' ')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

func describeMethod(m *method) string {
	paragraphs := []string{comment(m)}
	if m.overlay.Description != "" {
		paragraphs = append(paragraphs, strings.TrimSpace(m.overlay.Description))
	}
	for _, rule := range messageRules(m.Input()) {
		paragraphs = append(paragraphs, "Rule: "+rule+".")
	}
	switch {
	case m.policy.Idempotency == policyv1.Idempotency_IDEMPOTENCY_KEYED:
		paragraphs = append(paragraphs, "It may be repeated under an `Idempotency-Key`: a repetition answers what the first call answered "+
			"and does nothing more.")
	case pages(m):
		paragraphs = append(paragraphs, "A list is read page by page: `nextPageToken` of a page is the `pageToken` of the next; the last page has none.")
	}
	return strings.Join(paragraphs, "\n\n")
}

// pages tells whether a method answers a page of a list, as https://google.aip.dev/158 has it.
func pages(m *method) bool {
	return m.Input().Fields().ByName("page_token") != nil && m.Output().Fields().ByName("next_page_token") != nil
}

// parameters adds those of the path and the query, which the generator found, and the headers.
func (b *builder) parameters(m *method, op *openapi3.Operation) error {
	raw := b.raw[string(m.FullName())]
	if raw == nil {
		return fmt.Errorf("%s: the generator wrote nothing of %s", b.contracts.position(m), m.FullName())
	}
	for _, p := range raw.Parameters {
		field := fieldAt(m.Input(), p.Value.Name)
		if field == nil {
			return fmt.Errorf("%s: %s has a parameter %q that is no field of its request", b.contracts.position(m), m.FullName(), p.Value.Name)
		}
		param := &openapi3.Parameter{Name: p.Value.Name, In: p.Value.In, Required: p.Value.In == openapi3.ParameterInPath}
		if param.In == openapi3.ParameterInPath {
			param.Name = param.Name[strings.LastIndexByte(param.Name, '.')+1:]
		}
		ref := b.schemas.property(field)
		param.Schema, param.Description = ref, comment(field)
		if ref.Value != nil && ref.Ref == "" {
			ref.Value.ReadOnly = false
			param.Description, ref.Value.Description = ref.Value.Description, ""
			param.Extensions, ref.Value.Extensions = ref.Value.Extensions, nil
		}
		param.Required = param.Required || mustBeGiven(field)
		if param.Required && ref.Ref == "" && ref.Value.Type.Is(openapi3.TypeString) && ref.Value.MinLength == 0 && ref.Value.Pattern == "" {
			ref.Value.MinLength = 1
		}
		op.Parameters = append(op.Parameters, &openapi3.ParameterRef{Value: param})
	}
	b.headers(op, headersOf(m, m.verb))
	return nil
}

// headers adds parameters that are headers.
func (b *builder) headers(op *openapi3.Operation, names []string) {
	for _, name := range names {
		header := b.doc.Components.Parameters[name].Value
		op.Parameters = append(op.Parameters, &openapi3.ParameterRef{Ref: "#/components/parameters/" + name, Value: header})
	}
}

// fieldAt finds a field by the name of a parameter, e.g. "pageSize", "user.id".
func fieldAt(md protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	var field protoreflect.FieldDescriptor
	for part := range strings.SplitSeq(name, ".") {
		if md == nil {
			return nil
		}
		if field = md.Fields().ByJSONName(part); field == nil {
			if field = md.Fields().ByName(protoreflect.Name(part)); field == nil {
				return nil
			}
		}
		md = field.Message()
	}
	return field
}

// body adds the request's body.
func (b *builder) body(m *method, op *openapi3.Operation) {
	var (
		schema      *openapi3.SchemaRef
		description string
		required    bool
	)
	switch name := m.rule.GetBody(); name {
	case "":
		return
	case "*":
		schema = b.schemas.message(m.Input(), pathFields(m)).NewRef()
		description, required = comment(m.Input()), len(schema.Value.Required) > 0
	default:
		field := m.Input().Fields().ByName(protoreflect.Name(name))
		schema = b.schemas.element(field, nil)
		description, required = comment(field), mustBeGiven(field) || isChange(field)
	}
	op.RequestBody = &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().WithDescription(description).WithRequired(required).
		WithContent(openapi3.Content{jsonType: openapi3.NewMediaType().WithSchemaRef(schema)})}
}

// pathFields returns the fields of the request that stand in the path.
func pathFields(m *method) []string {
	parts := strings.Split(m.path, "{")[1:]
	names := make([]string, 0, len(parts))
	for _, part := range parts {
		name, _, _ := strings.Cut(part, "}")
		names = append(names, name)
	}
	return names
}

// answerSchema returns the schema of a success.
func (b *builder) answerSchema(m *method) *openapi3.SchemaRef {
	name := m.rule.GetResponseBody()
	if name == "" {
		return b.schemas.ref(m.Output())
	}
	field := m.Output().Fields().ByName(protoreflect.Name(name))
	return b.schemas.value(field)
}

// change makes the schema of an entity's new values, which are not held against its rules before they are merged with what is stored: none
// must be given, and an empty one clears.
func (s *schemas) change(field protoreflect.FieldDescriptor) *openapi3.SchemaRef {
	name := string(field.FullName())
	if s.made[name] == nil {
		schema := s.message(field.Message(), nil)
		schema.Title += "Change"
		schema.Description = comment(field)
		schema.Required = nil
		s.keep(schema, s.masks[field.FullName()])
		if key := s.keyInside(field); key != "" {
			schema.Properties[key].Value.ReadOnly = false // the request has no other place for it
		}
		for i := range field.Message().Fields().Len() {
			changed := field.Message().Fields().Get(i)
			if changed.Kind() == protoreflect.StringKind && !changed.IsList() && !changed.IsMap() {
				property := schema.Properties[changed.JSONName()].Value
				property.MinLength = 0
				if property.Pattern != "" {
					property.Pattern = orEmpty(property.Pattern)
				}
			}
		}
		s.made[name] = schema.NewRef()
	}
	return &openapi3.SchemaRef{Ref: componentPrefix + name, Value: s.made[name].Value}
}

// keep marks as given by the server what a change does not change.
func (*schemas) keep(schema *openapi3.Schema, changed []string) {
	for name, property := range schema.Properties {
		if len(changed) == 0 || name == "etag" || slices.Contains(changed, name) {
			continue
		}
		if property.Ref == "" {
			property.Value.ReadOnly = true
		} else {
			property.Extensions["readOnly"] = true
		}
	}
}

// keyInside returns the property of a change that names the entity to be changed; nothing if the request names it beside the change.
func (s *schemas) keyInside(field protoreflect.FieldDescriptor) string {
	entity, options := s.contracts.entityOf(field.Message())
	if entity == nil || field.ContainingMessage().Fields().ByName(protoreflect.Name(options.GetKey())) != nil {
		return ""
	}
	if key := entity.Fields().ByName(protoreflect.Name(options.GetKey())); key != nil {
		return key.JSONName()
	}
	return ""
}
