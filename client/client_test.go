//nolint:bodyclose // answers are made in memory, and roundTrip closes them
package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/client"
)

const endpoint = "https://api.example.com"

// platform answers requests as a test says, and notes what it was sent.
type platform struct {
	answer func(n int, r *http.Request) (*http.Response, error)
	seen   []seen
}

type seen struct {
	url, body, key string
	tokens         string
	at             time.Time
}

func (p *platform) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if err := r.Body.Close(); err != nil {
			return nil, err
		}
		body = string(data)
	}
	p.seen = append(p.seen, seen{r.URL.String(), body, r.Header.Get("Idempotency-Key"), r.Header.Get("Domicile-Consistency"), time.Now()})
	return p.answer(len(p.seen), r)
}

func (p *platform) urls() (all []string) {
	for _, s := range p.seen {
		all = append(all, s.url)
	}
	return all
}

func status(code int, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader("body"))}
}

// refusal is an error as REST has it.
func refusal(code int, reason, metadata string, header ...string) *http.Response {
	out := status(code, append(header, "Content-Type", "application/json")...)
	out.Body = io.NopCloser(strings.NewReader(`{"code":9,"message":"no","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"` +
		reason + `","domain":"domicile.dev","metadata":{` + metadata + `}}]}`))
	return out
}

func newClient(t testing.TB, p http.RoundTripper, change func(*client.Config)) *client.Client {
	t.Helper()
	cfg := client.Config{
		Endpoints: []string{endpoint}, Base: p,
		Jitter: func(bound time.Duration) time.Duration { return bound },
	}
	if change != nil {
		change(&cfg)
	}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func request(t testing.TB, method, url, body string) *http.Request {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer dk_acme_k_s")
	return r
}

func roundTrip(t testing.TB, c *client.Client, r *http.Request) *http.Response {
	t.Helper()
	answer, err := c.Transport().RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestNew(t *testing.T) {
	t.Parallel()
	for name, endpoints := range map[string][]string{
		"none": nil, "no scheme": {"api.example.com"}, "another scheme": {"ftp://api.example.com"}, "a path": {endpoint + "/v1"},
		"a query": {endpoint + "?x=1"}, "a user": {"https://u:p@api.example.com"}, "not a URL": {"https://%"},
	} {
		if _, err := client.New(client.Config{Endpoints: endpoints}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestRepeats has what a call may meet: how often it is sent, and when.
func TestRepeats(t *testing.T) {
	t.Parallel()
	errNetwork := errors.New("connection reset")
	always := func(answer func() *http.Response) func(int, *http.Request) (*http.Response, error) {
		return func(int, *http.Request) (*http.Response, error) { return answer(), nil }
	}
	busy := func(header ...string) func() *http.Response {
		return func() *http.Response { return status(503, header...) }
	}
	ms := time.Millisecond
	for name, tt := range map[string]struct {
		method string
		answer func(int, *http.Request) (*http.Response, error)
		change func(*client.Config)
		limit  time.Duration // of the caller
		at     []time.Duration
		status int
	}{
		"success":       {"GET", always(func() *http.Response { return status(200) }), nil, 0, []time.Duration{0}, 200},
		"network error": {"POST", func(int, *http.Request) (*http.Response, error) { return nil, errNetwork }, nil, 0, []time.Duration{0, 100 * ms, 300 * ms, 700 * ms}, 0},
		"network error, then success": {"POST", func(n int, _ *http.Request) (*http.Response, error) {
			if n < 3 {
				return nil, errNetwork
			}
			return status(200), nil
		}, nil, 0, []time.Duration{0, 100 * ms, 300 * ms}, 200},
		"the longest wait": {"GET", func(int, *http.Request) (*http.Response, error) { return nil, errNetwork }, func(c *client.Config) { c.MaxBackoff = 150 * ms }, 0, []time.Duration{0, 100 * ms, 250 * ms, 400 * ms}, 0},
		"503 with a time":  {"DELETE", always(busy("Retry-After", "2")), nil, 0, []time.Duration{0, 2100 * ms, 4300 * ms, 6700 * ms}, 503},
		"503 without one":  {"GET", always(busy()), nil, 0, []time.Duration{0}, 503},
		"503 with a date": {"GET", always(func() *http.Response {
			return status(503, "Retry-After", time.Now().UTC().Add(5*time.Second).Format(http.TimeFormat))
		}), func(c *client.Config) { c.MaxAttempts = 2 }, 0, []time.Duration{0, 5100 * ms}, 503},
		"503 with a time that is too long": {"GET", always(busy("Retry-After", "31")), nil, 0, []time.Duration{0}, 503},
		"503 beyond the caller's deadline": {"GET", always(busy("Retry-After", "2")), nil, 5 * time.Second, []time.Duration{0, 2100 * ms, 4300 * ms}, 503},
		"503, not safe to repeat": {"GET", always(func() *http.Response {
			return refusal(503, "REGION_UNAVAILABLE", `"retry_safe":"false"`, "Retry-After", "1")
		}), nil, 0, []time.Duration{0}, 503},
		"429":                     {"POST", always(func() *http.Response { return status(429) }), func(c *client.Config) { c.MaxAttempts = 2 }, 0, []time.Duration{0, 100 * ms}, 429},
		"429 with a time":         {"POST", always(func() *http.Response { return status(429, "Retry-After", "1") }), func(c *client.Config) { c.MaxAttempts = 2 }, 0, []time.Duration{0, 1100 * ms}, 429},
		"outcome unknown":         {"POST", always(func() *http.Response { return refusal(409, "OUTCOME_UNKNOWN", "") }), nil, 0, []time.Duration{0}, 409},
		"outcome unknown at 503":  {"POST", always(func() *http.Response { return refusal(503, "OUTCOME_UNKNOWN", "", "Retry-After", "1") }), nil, 0, []time.Duration{0}, 503},
		"an error of the server":  {"GET", always(func() *http.Response { return status(500) }), nil, 0, []time.Duration{0}, 500},
		"a mistake of the caller": {"GET", always(func() *http.Response { return refusal(400, "INVALID_ARGUMENT", "") }), nil, 0, []time.Duration{0}, 400},
		"the caller leaves":       {"GET", func(int, *http.Request) (*http.Response, error) { return nil, errNetwork }, nil, 50 * ms, []time.Duration{0}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &platform{answer: tt.answer}
				r := request(t, tt.method, endpoint+"/v1/users", "hello")
				if tt.limit > 0 {
					ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
					defer cancel()
					r = r.WithContext(ctx)
				}
				begin := time.Now()
				answer, err := newClient(t, p, tt.change).Transport().RoundTrip(r)
				at := make([]time.Duration, 0, len(p.seen))
				for _, s := range p.seen {
					at = append(at, s.at.Sub(begin).Round(ms))
					if s.body != "hello" || s.key != p.seen[0].key || (s.key == "") != (tt.method == http.MethodGet) {
						t.Errorf("sent %+v", s)
					}
				}
				if diff := cmp.Diff(tt.at, at); diff != "" {
					t.Errorf("attempts (-want +got)\n%s", diff)
				}
				switch {
				case tt.status == 0 && !errors.Is(err, errNetwork), tt.status > 0 && err != nil:
					t.Errorf("error %v", err)
				case tt.status > 0:
					data, readErr := io.ReadAll(answer.Body)
					if answer.StatusCode != tt.status || readErr != nil || len(data) == 0 || answer.Body.Close() != nil {
						t.Errorf("status %d, body %q, %v", answer.StatusCode, data, readErr)
					}
				}
			})
		})
	}
}

// TestKeys gives each mutation a key of its own, and leaves the caller's and the caller's request alone.
func TestKeys(t *testing.T) {
	t.Parallel()
	p := &platform{answer: func(int, *http.Request) (*http.Response, error) { return status(200), nil }}
	c := newClient(t, p, func(cfg *client.Config) { cfg.Clock = func() time.Time { return time.UnixMilli(0x018f_1234_5678) } })
	form := regexp.MustCompile(`^018f1234-5678-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	used := map[string]bool{}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "POST"} {
		r := request(t, method, endpoint+"/v1/users", "")
		roundTrip(t, c, r)
		key := p.seen[len(p.seen)-1].key
		if !form.MatchString(key) || used[key] || len(r.Header.Values("Idempotency-Key")) > 0 {
			t.Errorf("%s: key %q; the request has %v", method, key, r.Header)
		}
		used[key] = true
	}
	r := request(t, "POST", endpoint+"/v1/users", "")
	r.Header.Set("Idempotency-Key", "mine")
	roundTrip(t, c, r)
	if key := p.seen[len(p.seen)-1].key; key != "mine" {
		t.Errorf("the caller's key became %q", key)
	}
}

// TestTokens follows tokens through a session: an answer's replaces those that were sent with its request, whatever came meanwhile stays,
// keys and tenants are kept apart, and refused tokens are dropped.
func TestTokens(t *testing.T) {
	t.Parallel()
	var next *http.Response
	p := &platform{answer: func(int, *http.Request) (*http.Response, error) { return next, nil }}
	c := newClient(t, p, nil)
	call := func(answer *http.Response, change func(*http.Request)) string {
		t.Helper()
		next = answer
		r := request(t, "GET", endpoint+"/v1/users", "")
		if change != nil {
			change(r)
		}
		roundTrip(t, c, r)
		return p.seen[len(p.seen)-1].tokens
	}
	as := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	token := func(text string) *http.Response { return status(200, "Domicile-Consistency", text) }
	for i, step := range []struct {
		answer *http.Response
		change func(*http.Request)
		sent   string
	}{
		{token("a"), nil, ""},
		{token("b"), nil, "a"},
		{status(200), nil, "b"},
		{token("c"), as("Authorization", "Bearer dk_bank_k_s"), ""},
		{status(200), as("Authorization", "Bearer dk_bank_k_s"), "c"},
		{token("d"), as("Domicile-Tenant", "other"), ""},
		{status(404, "Domicile-Consistency", "e"), nil, "b"},
		{token("f"), as("Domicile-Consistency", "mine"), "mine"},
		{refusal(400, "TOKEN_INVALID", ""), nil, "e, f"},
		{token("g"), nil, ""},
		{refusal(409, "WRITE_LOST", ""), nil, "g"},
		{status(200), nil, ""},
	} {
		if got := call(step.answer, step.change); got != step.sent {
			t.Errorf("step %d sent %q, want %q", i+1, got, step.sent)
		}
	}
}

// TestTokensOfCallsAtOnce keeps the newest eight of what calls at the same time bring.
func TestTokensOfCallsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &slowPlatform{}
		c := newClient(t, p, nil)
		for i := range 10 {
			go func() {
				r := request(t, "GET", fmt.Sprintf("%s/%d", endpoint, i), "")
				answer, err := c.Transport().RoundTrip(r)
				if err != nil {
					t.Error(err)
					return
				}
				_ = answer.Body.Close()
			}()
		}
		time.Sleep(time.Minute)
		roundTrip(t, c, request(t, "GET", endpoint+"/0", ""))
		if want := "t2, t3, t4, t5, t6, t7, t8, t9"; p.last != want {
			t.Errorf("sent %q, want %q", p.last, want)
		}
	})
}

// slowPlatform answers /n after n seconds with token tn.
type slowPlatform struct {
	mu   sync.Mutex
	last string
}

func (p *slowPlatform) RoundTrip(r *http.Request) (*http.Response, error) {
	n := strings.TrimPrefix(r.URL.Path, "/")
	wait, err := time.ParseDuration(n + "s")
	if err != nil {
		return nil, err
	}
	time.Sleep(wait)
	if tokens := r.Header.Get("Domicile-Consistency"); tokens != "" {
		p.mu.Lock()
		p.last = tokens
		p.mu.Unlock()
	}
	return status(200, "Domicile-Consistency", "t"+n), nil
}

// TestManySessions forgets the one that was used longest ago.
func TestManySessions(t *testing.T) {
	t.Parallel()
	p := &platform{answer: func(int, *http.Request) (*http.Response, error) { return status(200, "Domicile-Consistency", "t"), nil }}
	c := newClient(t, p, nil)
	call := func(i int) string {
		r := request(t, "GET", endpoint, "")
		r.Header.Set("Authorization", fmt.Sprintf("Bearer %d", i))
		roundTrip(t, c, r)
		return p.seen[len(p.seen)-1].tokens
	}
	for i := range 1025 {
		call(i)
		call(1)
	}
	if call(1) != "t" || call(1024) != "t" || call(0) != "" {
		t.Error("the session that was used longest ago is not the one that was forgotten")
	}
}

// TestOthersAreLeftAlone sends nothing of the platform's to hosts that are not the platform's.
func TestOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	p := &platform{answer: func(int, *http.Request) (*http.Response, error) {
		return refusal(421, "WRONG_REGION", `"home_endpoint":"https://eu.api.example.com","retry_safe":"true"`, "Domicile-Consistency", "evil"), nil
	}}
	c := newClient(t, p, nil)
	for _, url := range []string{"https://example.com/", "http://api.example.com/", "https://api.example.com:8443/", "https://api.example.com.evil.example/"} {
		roundTrip(t, c, request(t, "POST", url, "x"))
	}
	for _, s := range p.seen {
		if s.key != "" || s.tokens != "" {
			t.Errorf("sent %+v", s)
		}
	}
	if len(p.seen) != 4 {
		t.Errorf("%d requests", len(p.seen))
	}
}

// TestBodies sends a body again when it can be had again.
func TestBodies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			body io.Reader
			want int
		}{
			"none":         {nil, 4},
			"known":        {bytes.NewReader(bytes.Repeat([]byte("x"), 200)), 4},
			"small stream": {io.MultiReader(strings.NewReader(strings.Repeat("x", 100))), 4},
			"large stream": {io.MultiReader(strings.NewReader(strings.Repeat("x", 101))), 1},
		} {
			p := &platform{answer: func(int, *http.Request) (*http.Response, error) { return nil, errors.New("reset") }}
			c := newClient(t, p, func(cfg *client.Config) { cfg.MaxBuffer = 100 })
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Transport().RoundTrip(r); err == nil { //nolint:bodyclose // there is none
				t.Errorf("%s: no error", name)
			}
			if len(p.seen) != tt.want {
				t.Errorf("%s: sent %d times, want %d", name, len(p.seen), tt.want)
			}
			for _, s := range p.seen {
				if s.body != p.seen[0].body || tt.body != nil && s.body == "" {
					t.Errorf("%s: sent %d bytes", name, len(s.body))
				}
			}
		}
	})
}

// TestHomes is where a client lets itself be sent: to what is configured or below it, over the same scheme, and nowhere else.
func TestHomes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		endpoints []string
		home      string
		safe      string
		follows   bool
	}{
		"a name below":                    {nil, "https://eu.api.example.com", "true", true},
		"another port":                    {nil, "https://api.example.com:8443", "true", true},
		"one that is listed":              {[]string{endpoint, "https://eu.example.net"}, "https://eu.example.net", "true", true},
		"one that is not":                 {nil, "https://eu.example.net", "true", false},
		"the name above":                  {nil, "https://example.com", "true", false},
		"a neighbour":                     {nil, "https://eu-api.example.com", "true", false},
		"a name that only ends so":        {nil, "https://evilapi.example.com", "true", false},
		"without TLS":                     {nil, "http://eu.api.example.com", "true", false},
		"not safe":                        {nil, "https://eu.api.example.com", "false", false},
		"with a user":                     {nil, "https://x@eu.api.example.com", "true", false},
		"with a path":                     {nil, "https://eu.api.example.com/x", "true", false},
		"nothing":                         {nil, "", "true", false},
		"the same":                        {nil, endpoint, "true", false},
		"on this machine":                 {[]string{"http://127.0.0.1:8080"}, "http://127.0.0.1:8081", "true", true},
		"on this machine by another name": {[]string{"http://localhost:8080"}, "http://127.0.0.1:8081", "true", true},
		"from this machine to another":    {[]string{"http://localhost:8080"}, "http://10.0.0.1:8081", "true", false},
		"without TLS to a name below":     {[]string{"http://api.example.com"}, "http://eu.api.example.com", "true", false},
		"without TLS, the same host":      {[]string{"http://api.example.com"}, "http://api.example.com:8081", "true", true},
		"from no TLS to TLS":              {[]string{"http://api.example.com"}, "https://api.example.com", "true", false},
		"from TLS to none, listed":        {[]string{endpoint, "http://api.example.com"}, "http://api.example.com", "true", false},
		"below an address":                {[]string{"https://10.0.0.1"}, "https://x.10.0.0.1", "true", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := endpoint
			if tt.endpoints != nil {
				from = tt.endpoints[0]
			}
			p := &platform{answer: func(n int, _ *http.Request) (*http.Response, error) {
				if n == 1 {
					return refusal(421, "WRONG_REGION", fmt.Sprintf(`"home_region":"eu","home_endpoint":%q,"retry_safe":%q`, tt.home, tt.safe)), nil
				}
				return status(200), nil
			}}
			c := newClient(t, p, func(cfg *client.Config) {
				if tt.endpoints != nil {
					cfg.Endpoints = tt.endpoints
				}
			})
			answer := roundTrip(t, c, request(t, "POST", from+"/v1/users?x=1", "hello"))
			want := []string{from + "/v1/users?x=1"}
			if tt.follows {
				want = append(want, tt.home+"/v1/users?x=1")
			}
			if diff := cmp.Diff(want, p.urls()); diff != "" || (answer.StatusCode == http.StatusOK) != tt.follows {
				t.Errorf("status %d (-want +got)\n%s", answer.StatusCode, diff)
			}
			if tt.follows && (p.seen[1].key != p.seen[0].key || p.seen[1].key == "" || p.seen[1].body != "hello") {
				t.Errorf("sent %+v", p.seen)
			}
		})
	}
}

// TestHomeIsRemembered goes home at once for a while, comes back when the home is not there or has moved, and follows once a call.
func TestHomeIsRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const eu, us = "https://eu.api.example.com", "https://us.api.example.com"
		home, down := eu, ""
		p := &platform{}
		p.answer = func(_ int, r *http.Request) (*http.Response, error) {
			switch origin := r.URL.Scheme + "://" + r.URL.Host; {
			case origin == down:
				return nil, errors.New("connection refused")
			case r.Host != "" && r.Host != r.URL.Host:
				t.Errorf("host %s at %s", r.Host, r.URL)
				fallthrough
			case origin == home:
				return status(200), nil
			default:
				return refusal(421, "WRONG_REGION", fmt.Sprintf(`"home_endpoint":%q,"retry_safe":"true"`, home)), nil
			}
		}
		c := newClient(t, p, nil)
		call := func(want ...string) {
			t.Helper()
			p.seen = nil
			roundTrip(t, c, request(t, "GET", endpoint+"/x", ""))
			if diff := cmp.Diff(want, slices.Collect(func(yield func(string) bool) {
				for _, url := range p.urls() {
					if !yield(strings.TrimSuffix(url, "/x")) {
						return
					}
				}
			})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		}
		call(endpoint, eu)
		call(eu)
		home = us
		call(eu, us)
		call(us)
		time.Sleep(10 * time.Minute)
		call(endpoint, us)
		down, home = us, eu
		call(us, endpoint, eu)
	})
}

// TestCircles follows a platform that sends a client in circles once.
func TestCircles(t *testing.T) {
	t.Parallel()
	p := &platform{answer: func(n int, _ *http.Request) (*http.Response, error) {
		return refusal(421, "WRONG_REGION", fmt.Sprintf(`"home_endpoint":"https://r%d.api.example.com","retry_safe":"true"`, n)), nil
	}}
	answer := roundTrip(t, newClient(t, p, nil), request(t, "GET", endpoint, ""))
	if diff := cmp.Diff([]string{endpoint, "https://r1.api.example.com"}, p.urls()); diff != "" || answer.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("status %d (-want +got)\n%s", answer.StatusCode, diff)
	}
}
