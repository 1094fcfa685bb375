package apidoctest_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/internal/apidoc/apidoctest"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
	"github.com/domicile-api/domicile/openapi"
)

const (
	user     = `{"id":"usr_01j9zq3v5hf1s8y3h6d9r7k2ma","givenName":"Ada","familyName":"Lovelace","email":"ada@example.com","locale":"en-GB","createTime":"2026-01-02T03:04:05.678Z"}`
	notFound = `{"code":5,"message":"no","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"NOT_FOUND","domain":"domicile.dev"}]}`
)

func newChecker(t testing.TB) *apidoctest.Checker {
	t.Helper()
	checker, err := apidoctest.New(openapi.Files, topologyfile.Default())
	if err != nil {
		t.Fatal(err)
	}
	return checker
}

// exchange is one that the document of Frankfurt has; each test changes one thing of it.
func exchange(change func(*apidoctest.Exchange)) apidoctest.Exchange {
	x := apidoctest.Exchange{
		Method: http.MethodPost, URL: &url.URL{Path: "/v1/users"},
		Header: http.Header{"Authorization": {"Bearer dk_acme-eu_k_s"}, "Content-Type": {"application/json"}},
		Body:   []byte(`{"givenName":"Ada","familyName":"Lovelace","email":"ada@example.com","locale":"en-GB"}`),
		Status: http.StatusOK, Answer: http.Header{"Content-Type": {"application/json"}, "Domicile-Edge": {"eu-central-1"}, "Date": {"now"}},
		AnswerBody: []byte(user),
	}
	if change != nil {
		change(&x)
	}
	return x
}

// Each way in which a server may differ from its document is found.
func TestDisagreements(t *testing.T) {
	t.Parallel()
	checker := newChecker(t)
	for name, c := range map[string]struct {
		change func(*apidoctest.Exchange)
		want   string // empty: they agree
	}{
		"nothing":                               {},
		"a request without a required property": {func(x *apidoctest.Exchange) { x.Body = []byte(`{"givenName":"Ada"}`) }, "accepts a request"},
		"a request with another property":       {func(x *apidoctest.Exchange) { x.Body = bytes.Replace(x.Body, []byte(`{`), []byte(`{"age":3,`), 1) }, "accepts a request"},
		"a request with a bad address":          {func(x *apidoctest.Exchange) { x.Body = bytes.Replace(x.Body, []byte(`ada@`), []byte(`ada`), 1) }, "e-mail"},
		"a request without a body":              {func(x *apidoctest.Exchange) { x.Body = nil }, "accepts a request"},
		"a request of another type":             {func(x *apidoctest.Exchange) { x.Header.Set("Content-Type", "text/plain") }, "accepts a request"},
		"an unknown query parameter":            {func(x *apidoctest.Exchange) { x.URL.RawQuery = "a=b" }, `query parameter "a"`},
		"no credential":                         {func(x *apidoctest.Exchange) { x.Header.Del("Authorization") }, "accepts a request"},
		"an operator's credential":              {func(x *apidoctest.Exchange) { x.Header.Set("Authorization", "Bearer do_k_s") }, "accepts a request"},
		"a bad header":                          {func(x *apidoctest.Exchange) { x.Header.Set("Idempotency-Key", "a b") }, "accepts a request"},
		"another status":                        {func(x *apidoctest.Exchange) { x.Status = http.StatusCreated }, "no status 201"},
		"another property in the answer":        {func(x *apidoctest.Exchange) { x.AnswerBody = []byte(strings.Replace(user, `{`, `{"age":3,`, 1)) }, "response body"},
		"a bad time in the answer":              {func(x *apidoctest.Exchange) { x.AnswerBody = []byte(strings.Replace(user, "T03", " 03", 1)) }, "RFC 3339"},
		"an answer that is not JSON":            {func(x *apidoctest.Exchange) { x.AnswerBody = []byte("user") }, "decode"},
		"an answer of another type":             {func(x *apidoctest.Exchange) { x.Answer.Set("Content-Type", "text/html") }, "Content-Type"},
		"an unknown header in the answer":       {func(x *apidoctest.Exchange) { x.Answer.Set("X-Debug", "1") }, "X-Debug"},
		"a missing header in the answer":        {func(x *apidoctest.Exchange) { x.Answer.Del("Domicile-Edge") }, "Domicile-Edge"},
		"a refusal of a bad request": {func(x *apidoctest.Exchange) {
			x.Body, x.Status = []byte(`garbage`), http.StatusBadRequest
			x.AnswerBody = []byte(strings.Replace(notFound, "NOT_FOUND", "INVALID_ARGUMENT", 1))
		}, ""},
		"a reason that the status does not have": {func(x *apidoctest.Exchange) { x.Status, x.AnswerBody = http.StatusBadRequest, []byte(notFound) }, `reason "NOT_FOUND"`},
		"a refusal without details":              {func(x *apidoctest.Exchange) { x.Status, x.AnswerBody = http.StatusBadRequest, []byte(`{"code":3}`) }, "response body"},
		"a body with 304": {func(x *apidoctest.Exchange) {
			x.Method, x.URL.Path, x.Body, x.Status = http.MethodGet, "/v1/users:summaries", nil, http.StatusNotModified
		}, "no body"},
		"a path that is not there":   {func(x *apidoctest.Exchange) { x.URL.Path = "/v1/nothing" }, "a path that the document does not have"},
		"a method that is not there": {func(x *apidoctest.Exchange) { x.Method = http.MethodPut }, "a method that the document does not have"},
		"a path that is refused": {func(x *apidoctest.Exchange) {
			x.URL.Path, x.Status, x.AnswerBody = "/v1/nothing", http.StatusNotFound, []byte(strings.Replace(notFound, "NOT_FOUND", "VERSION_UNAVAILABLE", 1))
		}, ""},
		"a path that is refused in words": {func(x *apidoctest.Exchange) {
			x.URL.Path, x.Status, x.AnswerBody = "/v1/nothing", http.StatusNotFound, []byte("not found")
		}, "not JSON"},
		"what is no part of the API": {func(x *apidoctest.Exchange) { x.URL.Path = "/docs" }, ""},
	} {
		err := checker.Check(exchange(c.change))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, without %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "dk_acme") {
			t.Errorf("%s: the credential is shown: %v", name, err)
		}
	}
}

// What was not called, or did not succeed, is missing; a request that is refused though the document allows it is a gap.
func TestCoverage(t *testing.T) {
	t.Parallel()
	checker := newChecker(t)
	if err := checker.Check(exchange(func(x *apidoctest.Exchange) {
		x.Status, x.AnswerBody = http.StatusBadRequest, []byte(strings.Replace(notFound, "NOT_FOUND", "INVALID_ARGUMENT", 1))
	})); err != nil {
		t.Fatal(err)
	}
	missing := strings.Join(checker.Missing(), "\n")
	for _, want := range []string{"CreateUser (POST /v1/users): nobody gets 200", "GetUser (GET /v1/users/{id}): nobody calls it"} {
		if !strings.Contains(missing, want) {
			t.Errorf("%q is not missing: %s", want, missing)
		}
	}
	if gaps := checker.Gaps(); len(gaps) != 1 || !strings.HasPrefix(gaps["CreateUser"], "POST /v1/users") {
		t.Errorf("gaps: %q", gaps)
	}
	if err := checker.Check(exchange(nil)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.Join(checker.Missing(), "\n"), "CreateUser") || checker.Checked() != 2 {
		t.Errorf("%d checked, missing: %q", checker.Checked(), checker.Missing())
	}
}

// The transport compares what really went over the wire, and hands the answer on as it came.
func TestTransport(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Contains(got, []byte("Ada")) {
			t.Errorf("the server gets %q, %v", got, err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Domicile-Edge", "eu-central-1")
		_, _ = io.WriteString(w, user) // The client's reading says so.
	}))
	t.Cleanup(server.Close)
	var reported []error
	client := &http.Client{Transport: &apidoctest.Transport{
		Checker: newChecker(t), Report: func(_ context.Context, err error) { reported = append(reported, err) },
	}}
	for body, disagrees := range map[string]int{string(exchange(nil).Body): 0, `{"givenName":"Ada"}`: 1} {
		reported = nil
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/users", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = exchange(nil).Header
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(answer.Body)
		if err != nil || string(got) != user || answer.Body.Close() != nil {
			t.Errorf("the caller gets %q, %v", got, err)
		}
		if len(reported) != disagrees {
			t.Errorf("%s: %d disagreements: %v", body, len(reported), reported)
		}
	}
}
