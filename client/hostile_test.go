//nolint:bodyclose // answers are made in memory, and roundTrip closes them
package client_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/domicile-api/domicile/client"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
)

// TestInterceptorLeavesOthersAlone sends no key and no token to hosts that are not the platform's.
func TestInterceptorLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	c := newClient(t, h2c(t), noWait)
	users := profilev1connect.NewProfileServiceClient(&http.Client{Transport: h2c(t)}, r.url, connect.WithInterceptors(c.Interceptor()))
	for range 2 {
		if _, err := users.CreateUser(t.Context(), &profilev1.CreateUserRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, call := range r.take() {
		if call.key != "" || call.tokens != "" {
			t.Errorf("sent %+v", call)
		}
	}
}

// TestLargeBodyLearnsTheHome does not send a large body again, but the next one goes home at once.
func TestLargeBodyLearnsTheHome(t *testing.T) {
	t.Parallel()
	p := &platform{answer: func(_ int, r *http.Request) (*http.Response, error) {
		if r.URL.Host == "api.example.com" {
			return refusal(421, "WRONG_REGION", `"home_endpoint":"https://eu.api.example.com","retry_safe":"true"`), nil
		}
		return status(200), nil
	}}
	c := newClient(t, p, func(cfg *client.Config) { cfg.MaxBuffer = 10 })
	for _, want := range []int{421, 200} {
		r := request(t, "POST", endpoint, "")
		r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", 11)))
		if got := roundTrip(t, c, r).StatusCode; got != want {
			t.Errorf("status %d, want %d; sent to %v", got, want, p.urls())
		}
	}
}

// TestTokensThatAreNone keeps nothing that no region would take, and what is good when a token of the caller's own is refused.
func TestTokensThatAreNone(t *testing.T) {
	t.Parallel()
	var next *http.Response
	p := &platform{answer: func(int, *http.Request) (*http.Response, error) { return next, nil }}
	c := newClient(t, p, nil)
	call := func(answer *http.Response, own string) string {
		next = answer
		r := request(t, "GET", endpoint, "")
		if own != "" {
			r.Header.Set("Domicile-Consistency", own)
		}
		roundTrip(t, c, r)
		return p.seen[len(p.seen)-1].tokens
	}
	call(status(200, "Domicile-Consistency", "good"), "")
	call(status(200, "Domicile-Consistency", strings.Repeat("x", 257)), "")
	call(refusal(400, "TOKEN_INVALID", ""), "forged")
	if got := call(status(200), ""); got != "good" {
		t.Errorf("sent %d characters: %.20q", len(got), got)
	}
}

// TestStreamLeavesADeadHome fails where the home is not there, and goes where calls begin the next time.
func TestStreamLeavesADeadHome(t *testing.T) {
	t.Parallel()
	p := &platform{answer: func(n int, r *http.Request) (*http.Response, error) {
		switch {
		case n == 1:
			return refusal(421, "WRONG_REGION", `"home_endpoint":"https://eu.api.example.com","retry_safe":"true"`), nil
		case n > 2 && r.URL.Host != "api.example.com":
			return nil, errors.New("connection refused")
		default:
			return status(200), nil
		}
	}}
	c := newClient(t, p, nil)
	roundTrip(t, c, request(t, "GET", endpoint, ""))
	for _, fails := range []bool{true, false} {
		r := request(t, "POST", endpoint, "x")
		r.Header.Set("Content-Type", "application/grpc-web+proto")
		if _, err := c.Transport().RoundTrip(r); (err != nil) != fails {
			t.Errorf("%v; sent to %v", err, p.urls())
		}
	}
}

// TestAnswersInOtherForms reads a time beyond all numbers as too long, and a content type whatever its case.
func TestAnswersInOtherForms(t *testing.T) {
	t.Parallel()
	unknown := refusal(503, "OUTCOME_UNKNOWN", "", "Retry-After", "0")
	unknown.Header.Set("Content-Type", "Application/JSON")
	for name, answer := range map[string]*http.Response{"a long time": status(429, "Retry-After", "99999999999"), "large letters": unknown} {
		p := &platform{answer: func(int, *http.Request) (*http.Response, error) { return answer, nil }}
		roundTrip(t, newClient(t, p, noWait), request(t, "POST", endpoint, ""))
		if len(p.seen) != 1 {
			t.Errorf("%s: sent %d times", name, len(p.seen))
		}
	}
}
