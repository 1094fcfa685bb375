package apigen

import (
	"errors"
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/residency"
)

// errorsFile is the contract of the errors' reasons; it is part of each API.
const errorsFile = "domicile/errors/v1/errors.proto"

var errNoReasons = errors.New("the contracts have no " + errorsFile)

// meanings reads what the contract says of each reason, and what a caller can do.
func (c *contracts) meanings() (map[errorsv1.Reason]string, error) {
	for _, file := range c.files {
		if file.Path() != errorsFile {
			continue
		}
		found := map[errorsv1.Reason]string{}
		values := file.Enums().ByName("Reason").Values()
		for i := range values.Len() {
			options := residency.ReadOptions(values.Get(i).Options(), &descriptorpb.EnumValueOptions{})
			policy, _ := proto.GetExtension(options, errorsv1.E_ReasonPolicy).(*errorsv1.ReasonPolicy)
			meaning := comment(values.Get(i))
			if meaning == "" {
				return nil, fmt.Errorf("%s: %s has no comment; clients read it in the documents", c.position(values.Get(i)), values.Get(i).FullName())
			}
			found[errorsv1.Reason(values.Get(i).Number())] = meaning + " " + policy.GetAdvice()
		}
		return found, nil
	}
	return nil, errNoReasons
}

// sampleTexts are messages of errors as the platform writes them.
//
//nolint:gochecknoglobals // an immutable table
var sampleTexts = map[errorsv1.Reason]string{
	errorsv1.Reason_REASON_WRONG_REGION:         "the call belongs to another region, and may not be forwarded from here",
	errorsv1.Reason_REASON_TENANT_UNKNOWN:       "host, API key and Domicile-Tenant header name no tenant of the platform",
	errorsv1.Reason_REASON_TENANT_MISMATCH:      "host, API key and Domicile-Tenant header name different tenants",
	errorsv1.Reason_REASON_MISROUTED:            "the call was not routed to this method by an edge",
	errorsv1.Reason_REASON_STALE_EPOCH:          "the call was routed under an ownership that has ended",
	errorsv1.Reason_REASON_REGION_UNAVAILABLE:   "the region that answers this call does not answer",
	errorsv1.Reason_REASON_REGION_DRAINING:      "this server is stopping",
	errorsv1.Reason_REASON_STORAGE_FULL:         "the region has no space left for writes",
	errorsv1.Reason_REASON_OVERLOADED:           "the region has more work than it can do",
	errorsv1.Reason_REASON_INVALID_ARGUMENT:     "the request breaks a rule of the contract",
	errorsv1.Reason_REASON_CREDENTIAL_MISSING:   "send an API key as Authorization: Bearer",
	errorsv1.Reason_REASON_CREDENTIAL_INVALID:   "the API key is malformed, unknown, expired, revoked or another tenant's",
	errorsv1.Reason_REASON_PERMISSION_DENIED:    "this method takes an operator's key only",
	errorsv1.Reason_REASON_NOT_FOUND:            "there is no such entity in this tenant",
	errorsv1.Reason_REASON_ALREADY_EXISTS:       "another entity of this tenant has one of the unique values",
	errorsv1.Reason_REASON_ETAG_MISMATCH:        "the entity has changed since the etag was given",
	errorsv1.Reason_REASON_IDEMPOTENCY_MISMATCH: "the idempotency key was used for another request",
	errorsv1.Reason_REASON_OUTCOME_UNKNOWN:      "the home region did not answer, and may have executed the call",
	errorsv1.Reason_REASON_TOKEN_INVALID:        "the page token is not one of this list",
	errorsv1.Reason_REASON_DEADLINE_EXCEEDED:    "the call's deadline passed or its caller went away",
	errorsv1.Reason_REASON_UNSUPPORTED:          "the path does not take this HTTP method or content type",
	errorsv1.Reason_REASON_INTERNAL:             "an internal error",
	errorsv1.Reason_REASON_VERSION_UNAVAILABLE:  "there is no such path or method",
	errorsv1.Reason_REASON_NO_LAWFUL_REGION:     "no region may lawfully answer this call now",
	errorsv1.Reason_REASON_RATE_LIMITED:         "the rate limit is reached",
	errorsv1.Reason_REASON_WRITE_LOST:           "the consistency token speaks of a write that is lost",
	errorsv1.Reason_REASON_TOO_LARGE:            "the request is larger than is allowed",
}

// aboutMessages is what is said of the text of an error.
const aboutMessages = "One sentence for a developer. It has nothing of what was sent, and nothing of the tenant's data."

// statusSchema is google.rpc.Status as the platform writes it over REST.
func statusSchema() *openapi3.Schema {
	detail := openapi3.NewObjectSchema().WithProperty("@type", explained(openapi3.NewStringSchema(), "The detail's type: "+
		"`type.googleapis.com/google.rpc.ErrorInfo` is always there, with reason, domain and metadata; "+
		"`…/google.rpc.BadRequest` has the violations of fields, `…/google.rpc.RetryInfo` when to try again."))
	detail.WithProperty("reason", explained(openapi3.NewStringSchema(), "Of an ErrorInfo: the reason, e.g. `NOT_FOUND`."))
	detail.WithProperty("domain", explained(openapi3.NewStringSchema(), "Of an ErrorInfo: `domicile.dev`."))
	metadata := openapi3.NewObjectSchema().WithAdditionalProperties(openapi3.NewStringSchema())
	detail.WithProperty("metadata", explained(metadata, "Of an ErrorInfo: what belongs to the reason, e.g. `home_endpoint`."))
	detail.WithAnyAdditionalProperties()
	detail.Required = []string{"@type"}
	detail.Description = "A detail of an error."
	out := openapi3.NewObjectSchema().
		WithProperty("code", explained(openapi3.NewInt32Schema(), "The canonical code (google.rpc.Code).")).
		WithProperty("message", explained(openapi3.NewStringSchema(), aboutMessages)).
		WithProperty("details", explained(openapi3.NewArraySchema().WithItems(detail), "The first is an ErrorInfo."))
	out.Title = "Status"
	out.Description = "An error: google.rpc.Status in JSON."
	out.Required = []string{"code", "message", "details"}
	return out
}

// connectErrorSchema is an error as the platform writes it over Connect.
func connectErrorSchema() *openapi3.Schema {
	detail := openapi3.NewObjectSchema().
		WithProperty("type", explained(openapi3.NewStringSchema(), "The detail's type, e.g. `google.rpc.ErrorInfo`, which is always there.")).
		WithProperty("value", explained(openapi3.NewStringSchema(), "The detail as protobuf, in unpadded base64.")).
		WithProperty("debug", explained(openapi3.NewObjectSchema().WithAnyAdditionalProperties(), "The detail in JSON."))
	detail.Required = []string{"type", "value"}
	detail.Description = "A detail of an error."
	out := openapi3.NewObjectSchema().
		WithProperty("code", explained(openapi3.NewStringSchema(), "The code of the Connect protocol, e.g. `not_found`.")).
		WithProperty("message", explained(openapi3.NewStringSchema(), aboutMessages)).
		WithProperty("details", explained(openapi3.NewArraySchema().WithItems(detail), "The first is an ErrorInfo."))
	out.Title = "Error"
	out.Description = "An error of the Connect protocol."
	out.Required = []string{"code", "message", "details"}
	return out
}

func explained(schema *openapi3.Schema, text string) *openapi3.Schema {
	schema.Description = text
	return schema
}
