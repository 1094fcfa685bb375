//go:build aws

package aws_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/domicile-api/domicile/gen/domicile/operations/v1/operationsv1connect"
)

// request is a call over REST.
type request struct {
	method, url, key string
	body             any
	header           map[string]string
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
	fields map[string]any
}

// try makes a call; an error says that there was no answer.
func try(ctx context.Context, c request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	body := io.Reader(http.NoBody)
	if c.body != nil {
		raw, err := json.Marshal(c.body)
		if err != nil {
			return answer{}, fmt.Errorf("making a call: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, c.method, c.url, body)
	if err != nil {
		return answer{}, fmt.Errorf("making a call: %w", err)
	}
	if c.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		r.Header.Set("Authorization", "Bearer "+c.key)
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, fmt.Errorf("no answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return a, fmt.Errorf("reading the answer: %w", err)
	}
	_ = json.Unmarshal(a.body, &a.fields) // What is no JSON has no fields.
	return a, nil
}

// do makes a call that must be answered.
func do(t testing.TB, c request) answer {
	t.Helper()
	a, err := try(t.Context(), c)
	if err != nil {
		t.Fatalf("%s %s: %v", c.method, c.url, err)
	}
	return a
}

// reason is the reason of an error answer; "" if it has none.
func (a answer) reason() string {
	details, _ := a.fields["details"].([]any)
	for _, d := range details {
		m, _ := d.(map[string]any)
		if r, ok := m["reason"].(string); ok {
			return r
		}
	}
	return ""
}

// isOK returns what is wrong with an answer that should be a region's 200.
func (a answer) isOK(region string) error {
	if a.status != http.StatusOK {
		return fmt.Errorf("status %d %s instead of 200: %.300s", a.status, a.reason(), a.body)
	}
	if got := a.header.Get("Domicile-Region"); region != "" && got != region {
		return fmt.Errorf("answered by %q instead of %q: %.300s", got, region, a.body)
	}
	return nil
}

// mustBe ends the test if the answer is not a region's 200.
func (a answer) mustBe(t testing.TB, region string) answer {
	t.Helper()
	if err := a.isOK(region); err != nil {
		t.Fatal(err)
	}
	return a
}

// text is a field of the answer.
func (a answer) text(name string) string {
	s, _ := a.fields[name].(string)
	return s
}

// token is what the client has seen.
func (a answer) token() string { return a.header.Get("Domicile-Consistency") }

// newUser is a user whose personal data have a word in them that is found nowhere else.
func newUser(word string) map[string]any {
	return map[string]any{
		"givenName": "Given " + word, "familyName": "Family " + word, "email": word + "@example.com", "locale": "en-GB",
		"handle": "h-" + strings.ToLower(word[max(len(word)-8, 0):]), "role": "ROLE_ADMIN", "regulatedNote": "note of " + word,
	}
}

// operations is a client with the operator's key.
func operations(server, key string) operationsv1connect.OperationsServiceClient {
	return operationsv1connect.NewOperationsServiceClient(&http.Client{Timeout: 2 * time.Minute}, server, connect.WithInterceptors(
		connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
			return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
				r.Header().Set("Authorization", "Bearer "+key)
				return next(ctx, r)
			}
		})))
}
