package lambdahost_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/lambdahost"
)

// invokerFunc is an Invoker made of a function.
type invokerFunc func(ctx context.Context, event []byte) ([]byte, error)

func (f invokerFunc) Invoke(ctx context.Context, event []byte) ([]byte, error) { return f(ctx, event) }

// answering is an Invoker that always answers so.
func answering(out string) invokerFunc {
	return func(context.Context, []byte) ([]byte, error) { return []byte(out), nil }
}

func newGateway(t testing.TB, cfg lambdahost.GatewayConfig) *lambdahost.Gateway {
	t.Helper()
	g, err := lambdahost.NewGateway(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// through sends a request through a gateway and returns the event that a function gets.
func through(t testing.TB, r *http.Request) events.APIGatewayV2HTTPRequest {
	t.Helper()
	var e events.APIGatewayV2HTTPRequest
	g := newGateway(t, lambdahost.GatewayConfig{
		Clock: func() time.Time { return time.Date(2026, 3, 9, 14, 5, 6, 7_000_000, time.FixedZone("", 3600)) },
		Function: invokerFunc(func(_ context.Context, event []byte) ([]byte, error) {
			return []byte("{}"), json.Unmarshal(event, &e)
		}),
	})
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("the gateway answers %d %s", w.Code, w.Body)
	}
	return e
}

func TestGatewayEvent(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/users/a%20b%2Fc?q=1&q=a%2Cb&empty=&flag&bad=%zz&sp=a+b", strings.NewReader(`{"a":"ü"}`))
	r.Host = "api.example.com:8443"
	r.RemoteAddr = "203.0.113.7:5555"
	r.Header = http.Header{
		"Content-Type": {"application/json; charset=utf-8"}, "Cookie": {"a=1; b=2", "c=3"}, "X-Two": {"one", "two, three"}, "User-Agent": {"probe/1"},
		"Connection": {"keep-alive"}, "Te": {"trailers"}, "X-Forwarded-For": {"198.51.100.1"}, "X-Amzn-Trace-Id": {"Root=1-2-3"},
	}
	got := through(t, r)
	if len(got.RequestContext.RequestID) != 16 {
		t.Errorf("the request id %q", got.RequestContext.RequestID)
	}
	got.RequestContext.RequestID = ""
	want := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: "$default", RawPath: "/v1/users/a b/c", RawQueryString: "q=1&q=a%2Cb&empty=&flag&bad=%zz&sp=a+b",
		Cookies: []string{"a=1", "b=2", "c=3"},
		Headers: map[string]string{
			"content-type": "application/json; charset=utf-8", "content-length": "10", "x-two": "one,two, three", "user-agent": "probe/1",
			"host": "api.example.com:8443", "x-forwarded-for": "198.51.100.1, 203.0.113.7", "x-forwarded-port": "8443",
			"x-forwarded-proto": "http", "x-amzn-trace-id": "Root=1-2-3",
		},
		QueryStringParameters: map[string]string{"q": "1,a,b", "empty": "", "flag": "", "bad": "%zz", "sp": "a b"},
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RouteKey: "$default", AccountID: "000000000000", Stage: "$default", APIID: "localhost", DomainName: "api.example.com", DomainPrefix: "api",
			Time: "09/Mar/2026:13:05:06 +0000", TimeEpoch: 1773061506007,
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method: "POST", Path: "/v1/users/a b/c", Protocol: "HTTP/1.1", SourceIP: "203.0.113.7", UserAgent: "probe/1",
			},
		},
		Body: `{"a":"ü"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestGatewayPath(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"http://h": "/", "/": "/", "/a//b/": "/a//b/", "/%E2%82%AC": "/€", "/a%3Fb/c": "/a", "/a%25b": "/a%b", "/a;b=1": "/a;b=1",
	} {
		if got := through(t, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)); got.RawPath != want || got.RequestContext.HTTP.Path != want {
			t.Errorf("%s: rawPath %q, path %q, want %q", target, got.RawPath, got.RequestContext.HTTP.Path, want)
		}
	}
}

func TestGatewayBodies(t *testing.T) {
	t.Parallel()
	for contentType, binary := range map[string]bool{
		"application/json": false, "Application/JSON; charset=utf-8": false, "text/plain": false, "text/csv;header=present": false, "application/xml": false,
		"application/javascript": false, "text/html; =broken": false,
		"": true, "application/octet-stream": true, "application/proto": true, "application/x-www-form-urlencoded": true,
		"application/problem+json": true, "image/png": true, "application/grpc": true, "application/connect+json": true,
	} {
		body := "a body"
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		got := through(t, r)
		if got.IsBase64Encoded != binary {
			t.Errorf("%q: base64 %v, want %v", contentType, got.IsBase64Encoded, binary)
		}
		if want := base64.StdEncoding.EncodeToString([]byte(body)); binary && got.Body != want || !binary && got.Body != body {
			t.Errorf("%q: the body %q", contentType, got.Body)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", http.NoBody)
	if got := through(t, r); got.IsBase64Encoded || got.Body != "" {
		t.Errorf("no body: %q, base64 %v", got.Body, got.IsBase64Encoded)
	}
}

func TestGatewayAnswers(t *testing.T) {
	t.Parallel()
	const internal = `{"message":"Internal Server Error"}`
	for name, tt := range map[string]struct {
		out    string
		status int
		header http.Header
		body   string
	}{
		"all of it": {
			out: `{"statusCode":201,"headers":{"content-type":"application/json","x-one":"1,2","Connection":"close","content-length":"99"},
				"cookies":["a=1; Path=/","b=2"],"body":"{}","isBase64Encoded":false}`,
			status: 201, header: http.Header{"Content-Type": {"application/json"}, "X-One": {"1,2"}, "Set-Cookie": {"a=1; Path=/", "b=2"}, "Content-Length": {"2"}}, body: "{}",
		},
		"base64": {
			out: `{"statusCode":200,"headers":{"content-type":"application/proto"},"body":"AAEC/w==","isBase64Encoded":true}`, status: 200,
			header: http.Header{"Content-Type": {"application/proto"}, "Content-Length": {"4"}}, body: "\x00\x01\x02\xff",
		},
		"no content type":   {out: `{"statusCode":404,"body":"no"}`, status: 404, header: http.Header{"Content-Type": {"text/plain;charset=utf-8"}, "Content-Length": {"2"}}, body: "no"},
		"no content":        {out: `{"statusCode":204,"body":"no"}`, status: 204, header: http.Header{"Content-Type": {"text/plain;charset=utf-8"}}},
		"format 1.0 names":  {out: `{"statusCode":200,"multiValueHeaders":{"x":["1"]},"body":""}`, status: 200, header: http.Header{"Content-Type": {"text/plain;charset=utf-8"}, "Content-Length": {"0"}}},
		"inferred, object":  {out: `{"a": 1}`, status: 200, header: http.Header{"Content-Type": {"application/json"}, "Content-Length": {"8"}}, body: `{"a": 1}`},
		"inferred, string":  {out: `"Hello from Lambda!"`, status: 200, header: http.Header{"Content-Type": {"application/json"}, "Content-Length": {"18"}}, body: "Hello from Lambda!"},
		"inferred, number":  {out: `3`, status: 200, header: http.Header{"Content-Type": {"application/json"}, "Content-Length": {"1"}}, body: "3"},
		"no JSON":           {out: `{`, status: 500, header: http.Header{"Content-Type": {"application/json"}, "Content-Length": {"35"}}, body: internal},
		"a bad status":      {out: `{"statusCode":99}`, status: 500, header: http.Header{"Content-Type": {"application/json"}, "Content-Length": {"35"}}, body: internal},
		"an interim status": {out: `{"statusCode":101}`, status: 500, header: http.Header{"Content-Type": {"application/json"}, "Content-Length": {"35"}}, body: internal},
		"bad base64":        {out: `{"statusCode":200,"body":"%","isBase64Encoded":true}`, status: 500, header: http.Header{"Content-Type": {"application/json"}, "Content-Length": {"35"}}, body: internal},
		"bad headers":       {out: `{"statusCode":200,"headers":{"a":["b"]}}`, status: 500, header: http.Header{"Content-Type": {"application/json"}, "Content-Length": {"35"}}, body: internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			newGateway(t, lambdahost.GatewayConfig{Function: answering(tt.out)}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
			if id := w.Header().Get("Apigw-Requestid"); len(id) != 16 {
				t.Errorf("the request id %q", id)
			}
			w.Header().Del("Apigw-Requestid")
			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, tt.status, tt.body)
			}
			if diff := cmp.Diff(tt.header, w.Header()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGatewayFailures(t *testing.T) {
	t.Parallel()
	hanging := invokerFunc(func(ctx context.Context, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	failing := func(err error) invokerFunc {
		return func(context.Context, []byte) ([]byte, error) { return nil, err }
	}
	for name, tt := range map[string]struct {
		fn     lambdahost.Invoker
		body   int
		header int
		status int
		want   string
	}{
		"a function error": {fn: failing(&lambdahost.FunctionError{Cause: lambdahost.Exited}), status: 500, want: "Internal Server Error"},
		"too late":         {fn: hanging, status: 503, want: "Service Unavailable"},
		"throttled":        {fn: failing(lambdahost.ErrThrottled), status: 503, want: "Service Unavailable"},
		"closed":           {fn: failing(fmt.Errorf("so: %w", lambdahost.ErrClosed)), status: 503, want: "Service Unavailable"},
		"an odd error":     {fn: failing(errors.New("odd")), status: 500, want: "Internal Server Error"},
		"too large there":  {fn: failing(&lambdahost.TooLargeError{Bytes: 1}), status: 413, want: "Request Entity Too Large"},
		"too large here":   {fn: failing(nil), body: lambdahost.MaxGatewayBody + 1, status: 413, want: "Request Entity Too Large"},
		"large headers":    {fn: failing(nil), header: lambdahost.MaxGatewayHeaders, status: 431, want: "Request Header Fields Too Large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(make([]byte, tt.body)))
			r.Header.Set("X-Large", strings.Repeat("x", tt.header))
			w := httptest.NewRecorder()
			newGateway(t, lambdahost.GatewayConfig{Function: tt.fn, Timeout: 30 * time.Millisecond}).ServeHTTP(w, r)
			if want := `{"message":"` + tt.want + `"}`; w.Code != tt.status || w.Body.String() != want {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tt.status, want)
			}
		})
	}
}

// A real function behind a real server: 6 MB is its bound, less what base64 and the event's frame add.
func TestGatewayEndToEnd(t *testing.T) {
	t.Parallel()
	f := newFunction(t, lambdahost.Config{Timeout: 20 * time.Second})
	server := httptest.NewServer(newGateway(t, lambdahost.GatewayConfig{Function: f}))
	defer server.Close()
	for _, tt := range []struct {
		contentType string
		size        int
		status      int
	}{
		{"application/json", 1 << 20, 200}, {"application/proto", 4 << 20, 200}, {"application/proto", 5 << 20, 413}, {"text/plain", 6 << 20, 413},
		{"text/plain", 11 << 20, 413},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(strings.Repeat("x", tt.size)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", tt.contentType)
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status {
			t.Errorf("%d bytes of %s: %d %.100s %v, want %d", tt.size, tt.contentType, resp.StatusCode, body, err, tt.status)
		}
	}
}

// What a request says arrives, whatever it is.
func FuzzGatewayRequest(f *testing.F) {
	f.Add("/a%2Fb", "q=1&q=2;%zz", "a=1; b=\"2;\"", "text/plain", "v1", "v2", []byte("a"))
	f.Add("/%00%FF", "&&=&a=%", ";;=", "application/proto", ",", "", []byte{0, 255})
	f.Fuzz(func(t *testing.T, path, query, cookie, contentType, v1, v2 string, body []byte) {
		target := "http://host/" + strings.TrimLeft(path, "/") + "?" + query
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, target, bytes.NewReader(body))
		if err != nil || len(path)+len(query)+len(cookie)+len(contentType)+len(v1)+len(v2) > 9000 {
			t.Skip()
		}
		r.Header = http.Header{"Cookie": {cookie}, "Content-Type": {contentType}, "X-Values": {v1, v2}}
		e := through(t, r)
		if strings.ToValidUTF8(r.URL.RawQuery, "\uFFFD") != strings.ToValidUTF8(e.RawQueryString, "\uFFFD") && !strings.Contains(e.RawQueryString, "\uFFFD") {
			t.Errorf("the query %q became %q", r.URL.RawQuery, e.RawQueryString)
		}
		got := []byte(e.Body)
		if e.IsBase64Encoded {
			if got, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, body) {
				t.Errorf("the body %q became %q", body, got)
			}
		} else if !strings.Contains(e.Body, "\uFFFD") && !bytes.Equal(got, body) {
			t.Errorf("the text %q became %q", body, got)
		}
		if want := v1 + "," + v2; !strings.Contains(e.Headers["x-values"], "\uFFFD") && e.Headers["x-values"] != want {
			t.Errorf("the values %q became %q", want, e.Headers["x-values"])
		}
		for name := range e.Headers {
			if name != strings.ToLower(name) || name == "cookie" {
				t.Errorf("a header %q", name)
			}
		}
		for _, c := range e.Cookies {
			if c == "" || strings.Contains(c, ";") {
				t.Errorf("a cookie %q of %q", c, cookie)
			}
		}
	})
}

// Whatever a function answers, the gateway sends a response, and the one that was meant.
func FuzzGatewayAnswer(f *testing.F) {
	f.Add(200, "x-name", "value", "a=1", []byte("body"), true)
	f.Add(99, "Connection", "close", "", []byte{0, 1}, false)
	f.Fuzz(func(t *testing.T, status int, name, value, cookie string, body []byte, binary bool) {
		answer := events.APIGatewayV2HTTPResponse{
			StatusCode: status, Headers: map[string]string{name: value}, Cookies: []string{cookie}, Body: string(body), IsBase64Encoded: binary,
		}
		if binary {
			answer.Body = base64.StdEncoding.EncodeToString(body)
		}
		out, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		newGateway(t, lambdahost.GatewayConfig{Function: answering(string(out))}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		switch {
		case status < 200 || status > 599:
			if w.Code != http.StatusInternalServerError {
				t.Errorf("the status %d became %d", status, w.Code)
			}
		case w.Code != status:
			t.Errorf("the status %d became %d", status, w.Code)
		case binary && status != http.StatusNoContent && status != http.StatusNotModified && !bytes.Equal(w.Body.Bytes(), body):
			t.Errorf("the body %q became %q", body, w.Body)
		}
	})
}
