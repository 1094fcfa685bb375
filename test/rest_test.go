// Package test has the scenarios across regions: a whole platform on real sockets and real files, called as its users call it.
package test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// call is a REST call.
type call struct {
	method, url, key string
	header           map[string]string
	body             any    // marshalled as JSON, unless it is a string, which is sent as it is
	contentType      string // application/json when empty and there is a body
	// product says that another API than the platform's is called: it is not in these documents.
	product bool
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
	json   map[string]any
}

// client is shared: its pooled connections are part of what is tested.
var client = &http.Client{Timeout: 30 * time.Second, Transport: documented(&http.Transport{MaxIdleConnsPerHost: 64})}

// ofProducts is for calls to products' APIs.
var ofProducts = &http.Client{Timeout: 30 * time.Second}

// do makes a call; it fails the test when there is no answer.
func do(t testing.TB, c call) answer {
	t.Helper()
	a, err := try(reportTo(t), c)
	if err != nil {
		t.Fatalf("%s %s: %v", c.method, c.url, err)
	}
	return a
}

func try(ctx context.Context, c call) (answer, error) {
	var body io.Reader
	switch b := c.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, body)
	if err != nil {
		return answer{}, err
	}
	if c.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.contentType != "" {
		req.Header.Set("Content-Type", c.contentType)
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	for k, v := range c.header {
		if k == "Host" {
			req.Host = v
			continue
		}
		req.Header.Set(k, v)
	}
	calling := client
	if c.product {
		calling = ofProducts
	}
	resp, err := calling.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return a, err
	}
	_ = json.Unmarshal(a.body, &a.json)
	return a, nil
}

// reason is the ErrorInfo reason of an error answer, in REST or Connect shape.
func (a answer) reason() string {
	details, _ := a.json["details"].([]any)
	for _, d := range details {
		m, _ := d.(map[string]any)
		if r, ok := m["reason"].(string); ok {
			return r
		}
		if debug, ok := m["debug"].(map[string]any); ok {
			if r, ok := debug["reason"].(string); ok {
				return r
			}
		}
	}
	return ""
}

// mustBe fails the test when status or reason are others; no reason stands for success.
func (a answer) mustBe(t testing.TB, status int, reason string) answer {
	t.Helper()
	if a.status != status || a.reason() != reason {
		t.Fatalf("status %d reason %q instead of %d %q: %s", a.status, a.reason(), status, reason, a.body)
	}
	return a
}

func (a answer) text(field string) string {
	s, _ := a.json[field].(string)
	return s
}

// newUser is a valid user whose personal fields have the canary in them.
func newUser(canary string) map[string]any {
	return map[string]any{
		"givenName": "G" + canary, "familyName": "F" + canary, "email": canary + "@example.com", "locale": "de-DE",
		"phone": "+4969123456", "regulatedNote": "N" + canary,
		"postalAddress": map[string]any{"lines": []string{"S" + canary}, "locality": "L" + canary, "country": "DE"},
	}
}
