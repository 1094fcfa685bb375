package apigen

import (
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/consistency"
)

// The names of the parameters that stand for request headers, among the components.
const (
	paramTenant       = "Domicile-Tenant"
	paramRouting      = "Domicile-Routing"
	paramConsistency  = consistency.Header
	paramMaxWait      = consistency.HeaderMaxWait
	paramMaxStaleness = consistency.HeaderMaxStaleness
	paramKey          = "Idempotency-Key"
	paramNoneMatch    = "If-None-Match"
	paramTimeout      = "X-Server-Timeout"
	paramTraceparent  = "Traceparent"
)

// requestHeaders are the headers that the platform reads, with the limits that it enforces.
func requestHeaders() openapi3.ParametersMap {
	text := func(pattern, example string) *openapi3.Schema {
		schema := openapi3.NewStringSchema()
		schema.Pattern = pattern
		if example != "" {
			schema.Examples = []any{example}
		}
		return schema
	}
	milliseconds := func(most float64) *openapi3.Schema {
		return &openapi3.Schema{Type: &openapi3.Types{openapi3.TypeInteger}, Min: new(0.0), Max: &most}
	}
	wait := milliseconds(float64(consistency.MostMaxWait.Milliseconds()))
	wait.Default = float64(consistency.DefaultMaxWait.Milliseconds())
	out := openapi3.ParametersMap{}
	add := func(name string, schema *openapi3.Schema, description string) {
		out[name] = &openapi3.ParameterRef{Value: openapi3.NewHeaderParameter(name).WithDescription(description).WithSchema(schema)}
	}
	add(paramTenant, text("", "acme-eu"), "The tenant, where neither the host nor the key says it. An operator's key needs it where a tenant's own "+
		"would not. If it names another tenant than host or key, the call is refused with TENANT_MISMATCH.")
	add(paramRouting, openapi3.NewStringSchema().WithEnum("strict"), "`strict`: do not forward the call. If another region would have to "+
		"answer it, it is refused with WRONG_REGION, which says where to call.")
	add(paramConsistency, text("", ""), "What the caller has seen: up to 8 of the tokens that answers gave, separated by commas. The answer shows "+
		"all of it. A token that is not the tenant's is refused with TOKEN_INVALID.")
	add(paramMaxWait, wait, "How many milliseconds the region's replica may wait until it has what the token asks for, before the call goes to "+
		"the tenant's home.")
	add(paramMaxStaleness, milliseconds(mostStalenessMilliseconds), "How many milliseconds old the answer of a replica may be; what is older is "+
		"asked of the tenant's home.")
	add(paramKey, text("^[!-~]{1,255}$", "4d2a4f5e-5d3c-4d58-9c2b-0f5a3c1b7e11"), "Names the call, so that it can be repeated when no answer came: "+
		"1 to 255 visible ASCII characters, new for each call that is meant. With another request it is refused with IDEMPOTENCY_MISMATCH.")
	add(paramNoneMatch, text("", etagExample), "The ETag of the answer that the caller has; if it is still current, the answer is 304 without a body.")
	add(paramTimeout, text(`^([1-9][0-9]{0,4}(\.[0-9]{1,9})?|0\.[1-9][0-9]{0,8})$`, "2.5"), "How many seconds the caller waits, from 0.1 to 99999; "+
		"after that the call is given up with DEADLINE_EXCEEDED.")
	add(paramTraceparent, text("", traceExample), "The caller's trace (W3C Trace Context), which the call becomes a part of.")
	return out
}

// Examples of headers.
const (
	etagExample  = `W/"2DTiJSt2b8EllHvxYADwLw"`
	traceExample = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	tokenExample = "AQEBAAEAAAAAAAAA5waAczsgW-9MkOxCEj9blQ"
)

// mostStalenessMilliseconds is the most that Domicile-Max-Staleness can ask: a year.
const mostStalenessMilliseconds = 365 * 24 * 60 * 60 * 1000

// headersOf returns the names of the parameters that a method reads.
func headersOf(m *method, verb string) []string {
	names := []string{paramTimeout, paramTraceparent, paramRouting}
	if m.policy.Route != policyv1.Route_ROUTE_CONTROL {
		names = append(names, paramTenant, paramConsistency, paramMaxWait, paramMaxStaleness)
	}
	if m.policy.Idempotency == policyv1.Idempotency_IDEMPOTENCY_KEYED {
		names = append(names, paramKey)
	}
	if verb == http.MethodGet && revalidates(m) {
		names = append(names, paramNoneMatch)
	}
	return names
}

// revalidates tells whether answers may be kept by the caller and asked after: those of NEAREST reads of what is GLOBAL.
func revalidates(m *method) bool {
	return m.policy.Route == policyv1.Route_ROUTE_NEAREST && m.policy.Response == policyv1.DataClass_DATA_CLASS_GLOBAL
}

// answerHeaders are the headers that the platform sends.
func answerHeaders() openapi3.Headers {
	out := openapi3.Headers{}
	add := func(name string, schema *openapi3.Schema, description string) {
		out[name] = &openapi3.HeaderRef{Value: &openapi3.Header{Parameter: openapi3.Parameter{Description: description, Schema: schema.NewRef()}}}
	}
	text := func(name, example, description string) {
		schema := openapi3.NewStringSchema()
		schema.Examples = []any{example}
		add(name, schema, description)
	}
	number := func(name, description string) {
		add(name, &openapi3.Schema{Type: &openapi3.Types{openapi3.TypeInteger}, Min: new(0.0)}, description)
	}
	text("Domicile-Region", "eu-central-1", "The region that answered; absent when the region that the call came in at refused it.")
	text("Domicile-Edge", "us-east-1", "The region that the call came in at.")
	text("Domicile-Home", "eu-central-1", "The tenant's home region.")
	text("Domicile-Release", "v1.2.3", "The build that answered.")
	text("Domicile-Consistency", tokenExample, "A token of what the answer shows and the call wrote; send it with what must not be older.")
	number("Domicile-Staleness", "How many milliseconds old a replica's answer is at the most; absent when the home answered, or when it is not known.")
	text("Idempotency-Replayed", "true", "`true`: the answer is that of an earlier call with the same key.")
	text("ETag", etagExample, "Names this state of the answer, for If-None-Match.")
	text("Cache-Control", "no-store", "`no-store`, except for what may be kept by the caller and asked after: `private, no-cache`.")
	text("Vary", "Authorization, Domicile-Tenant", "The headers that the answer depends on.")
	text("Server-Timing", "service;dur=1.204, edge;dur=1.311", "How many milliseconds the edge and the service took.")
	text("Traceparent", traceExample, "The trace by which an operator finds the call, where calls are traced.")
	number("Retry-After", "After how many seconds to try again.")
	text("WWW-Authenticate", `Bearer realm="domicile"`, "What kind of credential is missing or wrong.")
	out["Domicile-Edge"].Value.Required = true
	return out
}

// successHeaders returns the names of the headers that a method's answer may have.
func successHeaders(m *method, revalidated bool) []string {
	names := []string{"Domicile-Region", "Domicile-Edge", "Domicile-Release", "Cache-Control", "Server-Timing", "Traceparent"}
	if m.policy.Route != policyv1.Route_ROUTE_CONTROL {
		names = append(names, "Domicile-Home", "Domicile-Consistency")
	}
	if m.policy.Route == policyv1.Route_ROUTE_NEAREST {
		names = append(names, "Domicile-Staleness")
	}
	if m.policy.Idempotency == policyv1.Idempotency_IDEMPOTENCY_KEYED {
		names = append(names, "Idempotency-Replayed")
	}
	if revalidated {
		names = append(names, "ETag", "Vary")
	}
	return names
}
