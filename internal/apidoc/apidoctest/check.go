package apidoctest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/domicile-api/domicile/internal/apidoc"
	"github.com/domicile-api/domicile/internal/routeheader"
	"github.com/domicile-api/domicile/internal/rpc"
)

// statusSchema is the component that every error's body is.
const statusSchema = "google.rpc.Status"

// versioned is the beginning of paths that only the documents' operations have.
var versioned = regexp.MustCompile(`^/v[0-9]+/`)

// Check says in what an exchange and the region's document disagree; nil: in nothing.
func (c *Checker) Check(x Exchange) error {
	if foreign(x) {
		return nil
	}
	d := c.of(x.Answer)
	x.AnswerBody = unzipped(x.Answer, x.AnswerBody)
	in, err := d.find(x)
	if err != nil || reason(x.AnswerBody) == pathUnknown {
		if err := d.checkUnknown(x, err); err != nil {
			return d.disagreement(x, "", err)
		}
		return nil
	}
	op := in.Route.Operation
	c.note(op.OperationID, x.Status)
	var problems []error
	switch {
	case x.Status/100 == 2 || x.Status == http.StatusNotModified:
		if err := d.checkRequest(x, in); err != nil {
			problems = append(problems, fmt.Errorf("the server accepts a request that the document refuses: %w", err))
		}
	case x.Status == http.StatusBadRequest && reason(x.AnswerBody) == refused:
		if d.checkRequest(x, in) == nil {
			c.noteGap(op.OperationID, x)
		}
	}
	if err := d.checkAnswer(x, in); err != nil {
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return d.disagreement(x, op.OperationID, err)
	}
	return nil
}

// pathUnknown is the reason of answers to paths that are no operation's. A document's path with a parameter matches more than the server
// takes for it: /v1/users/{id} is not /v1/users/a:lookup, which would be a method.
const pathUnknown = "VERSION_UNAVAILABLE"

// refused is the reason of requests that break the contract, which the document says too, as far as a schema can.
const refused = "INVALID_ARGUMENT"

// foreign tells whether an exchange is not one of a client with an edge: an edge's own call, or what net/http refused before anybody saw it.
func foreign(x Exchange) bool {
	kind, _, _ := mime.ParseMediaType(x.Answer.Get("Content-Type"))
	byHTTP := x.Status >= http.StatusBadRequest && kind == "text/plain" && x.Answer.Get(rpc.HeaderRegion) == "" && x.Answer.Get(rpc.HeaderEdge) == ""
	return byHTTP || len(x.Header[routeheader.Name]) > 0 && x.Answer.Get(rpc.HeaderEdge) == ""
}

// disagreement says what is wrong and with which exchange, for a person who looks for it. The credential is left out.
func (d *document) disagreement(x Exchange, operation string, err error) error {
	region, _ := d.spec.Extensions[apidoc.ExtRegion].(string)
	headers := x.Header.Clone()
	headers.Del("Authorization")
	return fmt.Errorf("%s %s %d: server and document disagree: %w\n  document: %s %s\n  request: %v %.400q\n  answer: %v %.600q",
		x.Method, x.URL.RequestURI(), x.Status, err, cmp.Or(region, "global"), cmp.Or(operation, "has no such operation"),
		headers, x.Body, x.Answer, x.AnswerBody)
}

// find looks an exchange's operation up.
func (d *document) find(x Exchange) (*openapi3filter.RequestValidationInput, error) {
	at := &url.URL{Scheme: "http", Host: "localhost", Path: x.URL.Path, RawQuery: x.URL.RawQuery}
	r := &http.Request{Method: x.Method, URL: at, Host: at.Host, Header: x.Header.Clone()}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	route, params, err := d.router.FindRoute(r)
	if err != nil {
		return nil, err //nolint:wrapcheck // It is looked at by its identity.
	}
	return &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: options()}, nil
}

func options() *openapi3filter.Options {
	o := &openapi3filter.Options{
		IncludeResponseStatus: true, MultiError: true, RejectWhenRequestBodyNotSpecified: true, SkipSettingDefaults: true,
		AuthenticationFunc: authenticate, SchemaValidationOptions: formats(),
	}
	o.WithCustomSchemaErrorFunc(func(err *openapi3.SchemaError) string {
		return fmt.Sprintf("/%s %s", strings.Join(err.JSONPointer(), "/"), err.Reason)
	})
	return o
}

// authenticate holds the credential of a call against a scheme of the document.
func authenticate(_ context.Context, in *openapi3filter.AuthenticationInput) error {
	prefix, _, _ := strings.Cut(in.SecurityScheme.BearerFormat, "<")
	kind, credential, _ := strings.Cut(in.RequestValidationInput.Request.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, in.SecurityScheme.Scheme) || prefix == "" || !strings.HasPrefix(strings.TrimSpace(credential), prefix) {
		return fmt.Errorf("the call has no credential of the scheme %s", in.SecuritySchemeName)
	}
	return nil
}

func (d *document) checkRequest(x Exchange, in *openapi3filter.RequestValidationInput) error {
	body := unzipped(x.Header, x.Body)
	in.Request.Body, in.Request.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	problems := []error{openapi3filter.ValidateRequest(context.Background(), in)}
	declared := map[string]bool{}
	for _, p := range in.Route.Operation.Parameters {
		declared[p.Value.In+" "+p.Value.Name] = true
	}
	for name := range x.URL.Query() {
		if !declared[openapi3.ParameterInQuery+" "+name] {
			problems = append(problems, fmt.Errorf("the document has no query parameter %q", name))
		}
	}
	return errors.Join(problems...)
}

func (d *document) checkAnswer(x Exchange, in *openapi3filter.RequestValidationInput) error {
	response := in.Route.Operation.Responses.Status(x.Status)
	if response == nil {
		return fmt.Errorf("the document has no status %d here", x.Status)
	}
	problems := []error{undocumented(x.Answer, response.Value)}
	if len(response.Value.Content) == 0 && len(x.AnswerBody) > 0 {
		problems = append(problems, errors.New("the document has no body here"))
	}
	problems = append(problems, openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: x.Status, Header: x.Answer, Body: io.NopCloser(bytes.NewReader(x.AnswerBody)), Options: in.Options,
	}))
	if x.Status >= http.StatusBadRequest {
		problems = append(problems, checkReason(x, response.Value))
	}
	return errors.Join(problems...)
}

// checkReason looks whether an error's reason is one that the document names at this status.
func checkReason(x Exchange, response *openapi3.Response) error {
	got := reason(x.AnswerBody)
	media := response.Content.Get("application/json")
	if media == nil {
		return nil
	}
	for _, example := range media.Examples {
		if value, err := json.Marshal(example.Value.Value); err == nil && reason(value) == got {
			return nil
		}
	}
	return fmt.Errorf("the document does not name the reason %q at status %d", got, x.Status)
}

// checkUnknown is for calls that the document has no operation for: no edge answers them with success, and refusals have the usual shape.
func (d *document) checkUnknown(x Exchange, why error) error {
	if !versioned.MatchString(x.URL.Path) || x.Method == http.MethodOptions || x.Method == http.MethodHead || x.Answer.Get(rpc.HeaderEdge) == "" {
		return nil
	}
	if x.Status < http.StatusBadRequest {
		if errors.Is(why, routers.ErrMethodNotAllowed) {
			return errors.New("the server answers a method that the document does not have")
		}
		return errors.New("the server answers a path that the document does not have")
	}
	if kind, _, _ := mime.ParseMediaType(x.Answer.Get("Content-Type")); kind != "application/json" {
		return fmt.Errorf("a refusal of type %q", kind)
	}
	var body any
	if err := json.Unmarshal(x.AnswerBody, &body); err != nil {
		return fmt.Errorf("a refusal that is not JSON: %w", err)
	}
	schema := d.spec.Components.Schemas[statusSchema]
	if err := schema.Value.VisitJSON(body, append(formats(), openapi3.EnableJSONSchema2020(), openapi3.VisitAsResponse())...); err != nil {
		return fmt.Errorf("a refusal that is no %s: %w", statusSchema, err)
	}
	return nil
}

// ofHTTP are headers that belong to HTTP itself, or to cross-origin calls, which no document repeats for each answer.
//
//nolint:gochecknoglobals // an immutable table
var ofHTTP = map[string]bool{
	"Connection": true, "Content-Encoding": true, "Content-Length": true, "Content-Type": true, "Date": true, "Transfer-Encoding": true, "Trailer": true,
	"Vary": true,
}

// undocumented finds headers of an answer that the document does not have.
func undocumented(answer http.Header, response *openapi3.Response) error {
	known := map[string]bool{}
	for name := range response.Headers {
		known[http.CanonicalHeaderKey(name)] = true
	}
	var names []string
	for name := range answer {
		if !known[name] && !ofHTTP[name] && !strings.HasPrefix(name, "Access-Control-") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return fmt.Errorf("the document does not have the headers %s", strings.Join(names, ", "))
}

// reason is the reason in an error's body; empty if there is none.
func reason(body []byte) string {
	var status struct {
		Details []struct {
			Reason string `json:"reason"`
		} `json:"details"`
	}
	if json.Unmarshal(body, &status) != nil {
		return ""
	}
	for _, detail := range status.Details {
		if detail.Reason != "" {
			return detail.Reason
		}
	}
	return ""
}

// unzipped is what a body says, as far as it can be unzipped, if the header says that it is compressed.
func unzipped(header http.Header, body []byte) []byte {
	if !strings.EqualFold(header.Get("Content-Encoding"), "gzip") {
		return body
	}
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return body
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return body
	}
	return plain
}
