package apigen

import (
	"net/http"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// connect adds all unary methods at their Connect paths: POST with JSON, and GET for those without side effects.
func (b *builder) connect() {
	b.begin()
	b.doc.Components.Parameters[paramConnectVersion] = &openapi3.ParameterRef{Value: &openapi3.Parameter{
		Name: paramConnectVersion, In: openapi3.ParameterInHeader, Description: "The version of the Connect protocol.",
		Schema: openapi3.NewStringSchema().WithEnum("1").NewRef(),
	}}
	b.doc.Components.Parameters[paramConnectTimeout] = &openapi3.ParameterRef{Value: &openapi3.Parameter{
		Name: paramConnectTimeout, In: openapi3.ParameterInHeader,
		Description: "How many milliseconds the caller waits; after that the call is given up with DEADLINE_EXCEEDED.",
		Schema:      openapi3.NewStringSchema().WithPattern("^[1-9][0-9]{0,9}$").NewRef(),
	}}
	for _, m := range b.methods {
		item := &openapi3.PathItem{}
		item.Post = b.connectOperation(m, http.MethodPost)
		item.Post.RequestBody = &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().WithRequired(true).WithDescription(comment(m.Input())).
			WithContent(openapi3.Content{jsonType: openapi3.NewMediaType().WithSchemaRef(b.schemas.ref(m.Input()))})}
		b.illustrateConnect(m, item.Post)
		if m.policy.NoSideEffects {
			item.Get = b.connectOperation(m, http.MethodGet)
			item.Get.OperationID += "ByGet"
			b.query(m, item.Get)
			b.illustrateConnect(m, item.Get)
		}
		b.doc.Paths.Set(m.procedure(), item)
	}
}

// The headers of the Connect protocol.
const (
	paramConnectVersion = "Connect-Protocol-Version"
	paramConnectTimeout = "Connect-Timeout-Ms"
)

func (b *builder) connectOperation(m *method, verb string) *openapi3.Operation {
	op := b.operation(m)
	names := append([]string{paramConnectVersion, paramConnectTimeout}, headersOf(m, verb)...)
	b.headers(op, slices.DeleteFunc(names, func(name string) bool { return name == paramTimeout }))
	op.Responses = b.answers(m, b.schemas.ref(m.Output()), verb == http.MethodGet && revalidates(m))
	return op
}

// query adds the parameters of a GET, as https://connectrpc.com/docs/protocol has them.
func (b *builder) query(m *method, op *openapi3.Operation) {
	add := func(p *openapi3.Parameter) {
		p.In = openapi3.ParameterInQuery
		op.Parameters = append(op.Parameters, &openapi3.ParameterRef{Value: p})
	}
	add(&openapi3.Parameter{
		Name: "encoding", Required: true, Description: "How the message is encoded.", Schema: openapi3.NewStringSchema().WithEnum("json").NewRef(),
	})
	add(&openapi3.Parameter{
		Name: "message", Required: true, Description: "The request, in JSON.",
		Content: openapi3.Content{jsonType: openapi3.NewMediaType().WithSchemaRef(b.schemas.ref(m.Input()))},
	})
	add(&openapi3.Parameter{
		Name: "connect", Description: "The version of the Connect protocol.", Schema: openapi3.NewStringSchema().WithEnum("v1").NewRef(),
	})
}
