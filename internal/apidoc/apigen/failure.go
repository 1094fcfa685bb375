package apigen

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/rpc"
)

// errorParts are the schema and the examples of errors over one protocol.
type errorParts struct {
	// meanings are what the contract says of the reasons.
	meanings map[errorsv1.Reason]string
	// connect says that bodies are those of the Connect protocol.
	connect bool
	// schema is the name of the schema of an error's body.
	schema string
}

// reasonsOf returns the reasons of the errors that a caller of a method can get, in the order of their numbers.
func (b *builder) reasonsOf(m *method) []errorsv1.Reason {
	return m.overlay.adjust(append(b.aboutRequests(m), b.aboutEntities(m)...))
}

// aboutRequests returns the reasons that follow from how a method is called.
func (b *builder) aboutRequests(m *method) []errorsv1.Reason {
	reasons := []errorsv1.Reason{
		errorsv1.Reason_REASON_MISROUTED, errorsv1.Reason_REASON_REGION_UNAVAILABLE, errorsv1.Reason_REASON_OVERLOADED,
		errorsv1.Reason_REASON_INVALID_ARGUMENT, errorsv1.Reason_REASON_CREDENTIAL_MISSING, errorsv1.Reason_REASON_CREDENTIAL_INVALID,
		errorsv1.Reason_REASON_DEADLINE_EXCEEDED, errorsv1.Reason_REASON_INTERNAL, errorsv1.Reason_REASON_TENANT_MISMATCH,
		errorsv1.Reason_REASON_WRONG_REGION,
	}
	if !takesBothKeys(m) {
		reasons = append(reasons, errorsv1.Reason_REASON_PERMISSION_DENIED)
	}
	if m.policy.Route != policyv1.Route_ROUTE_CONTROL {
		reasons = append(reasons, errorsv1.Reason_REASON_TENANT_UNKNOWN, errorsv1.Reason_REASON_STALE_EPOCH,
			errorsv1.Reason_REASON_TOKEN_INVALID)
	}
	if pages(m) {
		reasons = append(reasons, errorsv1.Reason_REASON_TOKEN_INVALID)
	}
	if m.policy.Idempotency == policyv1.Idempotency_IDEMPOTENCY_KEYED {
		reasons = append(reasons, errorsv1.Reason_REASON_IDEMPOTENCY_MISMATCH, errorsv1.Reason_REASON_OUTCOME_UNKNOWN,
			errorsv1.Reason_REASON_STORAGE_FULL, errorsv1.Reason_REASON_REGION_DRAINING)
	}
	if b.errors.connect || m.rule.GetBody() != "" {
		reasons = append(reasons, errorsv1.Reason_REASON_UNSUPPORTED, errorsv1.Reason_REASON_TOO_LARGE)
	}
	return reasons
}

// aboutEntities returns the reasons that follow from what a method does with what is stored.
func (b *builder) aboutEntities(m *method) []errorsv1.Reason {
	var reasons []errorsv1.Reason
	if strings.Contains(m.path, "{") && m.verb != "" || strings.HasPrefix(string(m.Name()), "Lookup") {
		reasons = append(reasons, errorsv1.Reason_REASON_NOT_FOUND)
	}
	if takesEtag(m) {
		reasons = append(reasons, errorsv1.Reason_REASON_ETAG_MISMATCH)
	}
	resource := resourceOf(m.Input())
	if m.policy.Idempotency == policyv1.Idempotency_IDEMPOTENCY_KEYED && resource != nil && b.contracts.isUnique(resource) {
		reasons = append(reasons, errorsv1.Reason_REASON_ALREADY_EXISTS)
	}
	return reasons
}

// takesEtag tells whether a change can be made to depend on an etag.
func takesEtag(m *method) bool {
	if m.policy.Idempotency != policyv1.Idempotency_IDEMPOTENCY_KEYED {
		return false
	}
	if m.Input().Fields().ByName("etag") != nil {
		return true
	}
	resource := resourceOf(m.Input())
	return m.verb == "PATCH" && resource != nil && resource.Fields().ByName("etag") != nil
}

// answers makes the responses of a method: its success, and its errors by status.
func (b *builder) answers(m *method, schema *openapi3.SchemaRef, revalidated bool) *openapi3.Responses {
	out := openapi3.NewResponsesWithCapacity(0)
	success := openapi3.NewResponse().WithDescription(comment(m.Output())).
		WithContent(openapi3.Content{jsonType: openapi3.NewMediaType().WithSchemaRef(schema)})
	success.Headers = b.headerRefs(successHeaders(m, revalidated))
	out.Set("200", &openapi3.ResponseRef{Value: success})
	if revalidated {
		unchanged := openapi3.NewResponse().WithDescription("What the caller has is still current.")
		unchanged.Headers = b.headerRefs(successHeaders(m, revalidated))
		out.Set("304", &openapi3.ResponseRef{Value: unchanged})
	}
	byStatus := map[int][]errorsv1.Reason{}
	for _, reason := range b.reasonsOf(m) {
		status := rpc.HTTPStatus(reason)
		byStatus[status] = append(byStatus[status], reason)
	}
	for status, reasons := range byStatus {
		out.Set(strconv.Itoa(status), b.failure(status, reasons))
	}
	return out
}

// failure returns a reference to the response of a status with those reasons.
func (b *builder) failure(status int, reasons []errorsv1.Reason) *openapi3.ResponseRef {
	names, lines := make([]string, 0, len(reasons)+1), make([]string, 0, len(reasons))
	names = append(names, "Error"+strconv.Itoa(status))
	schema := &openapi3.SchemaRef{Ref: componentPrefix + b.errors.schema, Value: b.schemas.made[b.errors.schema].Value}
	media := openapi3.NewMediaType().WithSchemaRef(schema)
	media.Examples = openapi3.Examples{}
	for _, reason := range reasons {
		reasonName := rpc.ReasonName(reason)
		names = append(names, reasonName)

		lines = append(lines, "- `"+reasonName+"`: "+b.errors.meanings[reason])
		media.Examples[reasonName] = &openapi3.ExampleRef{Ref: "#/components/examples/" + reasonName, Value: b.example(reason).Value}
	}
	name := strings.Join(names, "_")
	if b.doc.Components.Responses[name] == nil {
		response := openapi3.NewResponse().WithContent(openapi3.Content{jsonType: media}).
			WithDescription(http.StatusText(status) + ":\n\n" + strings.Join(lines, "\n"))
		headers := []string{
			"Domicile-Edge", "Domicile-Region", "Domicile-Home", "Domicile-Consistency", "Domicile-Staleness", "Domicile-Release", "Cache-Control",
			"Server-Timing", "Traceparent",
		}
		switch status {
		case http.StatusUnauthorized:
			headers = append(headers, "WWW-Authenticate")
		case http.StatusServiceUnavailable:
			headers = append(headers, "Retry-After")
		}
		response.Headers = b.headerRefs(headers)
		b.doc.Components.Responses[name] = &openapi3.ResponseRef{Value: response}
	}
	return &openapi3.ResponseRef{Ref: "#/components/responses/" + name, Value: b.doc.Components.Responses[name].Value}
}

func (b *builder) headerRefs(names []string) openapi3.Headers {
	refs := openapi3.Headers{}
	for _, name := range names {
		refs[name] = &openapi3.HeaderRef{Ref: "#/components/headers/" + name, Value: b.doc.Components.Headers[name].Value}
	}
	return refs
}

// example returns the example of an error, which it makes with the first.
func (b *builder) example(reason errorsv1.Reason) *openapi3.ExampleRef {
	name := rpc.ReasonName(reason)
	if b.doc.Components.Examples[name] == nil {
		value, err := b.errors.body(reason)
		if err != nil {
			b.problems = append(b.problems, err)
		}
		b.doc.Components.Examples[name] = &openapi3.ExampleRef{Value: &openapi3.Example{Summary: name, Value: value}}
	}
	return b.doc.Components.Examples[name]
}

// body returns the body of an error as the platform writes it.
func (e *errorParts) body(reason errorsv1.Reason) (any, error) {
	path := "/v1/examples"
	if e.connect {
		path = "/example.v1.ExampleService/Method"
	}
	r := httptest.NewRequest(http.MethodPost, path, http.NoBody) //nolint:noctx // nobody serves it
	w := httptest.NewRecorder()
	rpc.WriteError(w, r, sample(reason))
	var value any
	if err := json.Unmarshal(w.Body.Bytes(), &value); err != nil {
		return nil, fmt.Errorf("making the example of %s: %w", rpc.ReasonName(reason), err)
	}
	return value, nil
}

// sample is an error of a reason as the code that fails makes it.
func sample(reason errorsv1.Reason) *fault.Error {
	f := fault.New(reason, "%s", sampleTexts[reason])
	switch reason { //nolint:exhaustive // all others carry nothing
	case errorsv1.Reason_REASON_WRONG_REGION:
		f = f.With("home_region", "home").With("home_endpoint", "https://home.example.com").With("retry_safe", "true")
	case errorsv1.Reason_REASON_INVALID_ARGUMENT:
		f.Violations = []fault.Violation{{Field: "user.email", Rule: "string.email", Message: "must be a valid email address"}}
	case errorsv1.Reason_REASON_TOO_LARGE:
		f = rpc.TooLarge(rpc.DefaultMaxBytes)
	case errorsv1.Reason_REASON_REGION_UNAVAILABLE:
		f = f.With("home_region", "home").With("retry_safe", "true")
		f.RetryAfter = 2 * time.Second
	case errorsv1.Reason_REASON_OUTCOME_UNKNOWN:
		f = f.With("home_region", "home").With("retry_safe", "false")
	case errorsv1.Reason_REASON_OVERLOADED, errorsv1.Reason_REASON_REGION_DRAINING:
		f.RetryAfter = time.Second
	case errorsv1.Reason_REASON_INTERNAL:
		f = f.With("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")
	}
	return f
}
