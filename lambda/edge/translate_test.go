package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/lambdahost"
)

// function invokes a handler as Lambda does: with the gateway's event as JSON, and the answer as JSON.
type function struct{ handler http.Handler }

// Invoke implements lambdahost.Invoker.
func (f function) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	var e events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, err
	}
	r, err := requestOf(ctx, &e)
	if err != nil {
		return nil, err
	}
	a := newAnswer()
	if err := serveTo(f.handler, a, r); err != nil {
		return nil, err
	}
	return json.Marshal(a.event())
}

// through sends a request through a gateway to a function.
func through(t *testing.T, handler http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	gateway, err := lambdahost.NewGateway(lambdahost.GatewayConfig{Function: function{handler}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	gateway.ServeHTTP(w, r)
	return w
}

// What a client sends arrives at the handler, whatever its form.
func TestRequestArrives(t *testing.T) {
	t.Parallel()
	binary := []byte{0, 1, 0xfe, 0xff, '"', '\n'}
	for name, tt := range map[string]struct {
		method, target, kind string
		body                 []byte
		header               map[string][]string
	}{
		"a get":              {method: http.MethodGet, target: "/v1/users/usr_1?pageSize=3&filter=a%20b&filter=%C3%A9", header: map[string][]string{"X-List": {"a", "b"}}},
		"json":               {method: http.MethodPost, target: "/v1/users", kind: "application/json", body: []byte(`{"givenName":"Zoë"}`)},
		"protobuf":           {method: http.MethodPost, target: "/domicile.profile.v1.ProfileService/GetUser", kind: "application/proto", body: binary},
		"cookies":            {method: http.MethodGet, target: "/", header: map[string][]string{"Cookie": {"a=1; b=2"}}},
		"an escaped path":    {method: http.MethodGet, target: "/v1/users/a%20b%C3%A9"},
		"an empty body":      {method: http.MethodDelete, target: "/v1/users/usr_1"},
		"patch":              {method: http.MethodPatch, target: "/v1/users/usr_1?updateMask=locale", kind: "application/json", body: []byte(`{}`)},
		"a key and a header": {method: http.MethodGet, target: "/", header: map[string][]string{"Authorization": {"Bearer dk_a_b_c"}, "Domicile-Country": {"JP"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := httptest.NewRequestWithContext(t.Context(), tt.method, "http://eu-central-1.api.example"+tt.target, bytes.NewReader(tt.body))
			maps.Copy(sent.Header, tt.header)
			if tt.kind != "" {
				sent.Header.Set("Content-Type", tt.kind)
			}
			arrived := false
			through(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				arrived = true
				body, err := io.ReadAll(r.Body)
				if err != nil || !bytes.Equal(body, tt.body) || r.ContentLength != int64(len(tt.body)) {
					t.Errorf("the body is %q of %d: %v", body, r.ContentLength, err)
				}
				if r.Method != tt.method || r.URL.Path != sent.URL.Path || r.URL.RawQuery != sent.URL.RawQuery || r.Host != "eu-central-1.api.example" {
					t.Errorf("%s %s %s at %s", r.Method, r.URL.Path, r.URL.RawQuery, r.Host)
				}
				for key, values := range tt.header {
					if got, want := strings.Join(r.Header[key], ","), strings.Join(values, ","); got != want {
						t.Errorf("%s: %q, want %q", key, got, want)
					}
				}
			}), sent)
			if !arrived {
				t.Error("nothing arrived")
			}
		})
	}
}

// What a handler answers gets to the client.
func TestAnswerGoesBack(t *testing.T) {
	t.Parallel()
	binary := string([]byte{0, 1, 0xfe, 0xff})
	for name, tt := range map[string]struct {
		kind, encoding, body string
		status               int
	}{
		"json":                  {"application/json", "", `{"a":"é"}`, 201},
		"protobuf":              {"application/proto", "", binary, 200},
		"compressed":            {"application/json", "gzip", binary, 200},
		"text that is no UTF-8": {"text/plain", "", binary, 400},
		"nothing":               {"", "", "", 204},
		"the default status":    {"application/json", "", "{}", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := through(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Domicile-Region", "eu-central-1")
				w.Header().Add("Vary", "Origin")
				w.Header().Add("Vary", "Accept-Encoding")
				w.Header().Add("Set-Cookie", "a=1, expires")
				w.Header().Add("Set-Cookie", "b=2")
				w.Header()["Content-Type"] = []string{tt.kind}
				if tt.encoding != "" {
					w.Header().Set("Content-Encoding", tt.encoding)
				}
				w.WriteHeader(http.StatusEarlyHints)
				if tt.status != 0 {
					w.WriteHeader(tt.status)
				}
				if _, err := io.WriteString(w, tt.body); err != nil {
					t.Error(err)
				}
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
			}), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
			body := got.Body.Bytes()
			want := tt.status
			if want == 0 {
				want = http.StatusOK
			}
			if got.Code != want || string(body) != tt.body {
				t.Errorf("%d %q", got.Code, body)
			}
			if diff := cmp.Diff([]string{"a=1, expires", "b=2"}, got.Header()["Set-Cookie"]); diff != "" {
				t.Errorf("cookies (-want +got):\n%s", diff)
			}
			if got.Header().Get("Domicile-Region") != "eu-central-1" || got.Header().Get("Vary") != "Origin, Accept-Encoding" {
				t.Errorf("headers %v", got.Header())
			}
		})
	}
}

func TestAnswersHaveALimit(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		kind string
		size int
		fits bool
	}{
		"text at the limit":       {"application/json", maxAnswer, true},
		"text beyond it":          {"application/json", maxAnswer + 1, false},
		"binary that base64 lets": {"application/proto", maxAnswer * 3 / 4, true},
		"binary beyond it":        {"application/proto", maxAnswer*3/4 + 4, false},
	} {
		a := newAnswer()
		a.Header().Set("Content-Type", tt.kind)
		for range tt.size / 1024 {
			_, _ = a.Write(bytes.Repeat([]byte("x"), 1024)) // An answer takes everything.
		}
		_, _ = a.Write(bytes.Repeat([]byte("x"), tt.size%1024))
		if a.fits() != tt.fits {
			t.Errorf("%s fits: %v", name, a.fits())
		}
	}
}

// A handler that cuts the connection, because what it passes on broke off, is told from one that answered.
func TestCutConnection(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	err := serveTo(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		panic(http.ErrAbortHandler)
	}), newAnswer(), r)
	if !errors.Is(err, errCutOff) {
		t.Errorf("serving: %v", err)
	}
}

func TestBodyThatIsNotBase64(t *testing.T) {
	t.Parallel()
	_, err := requestOf(t.Context(), &events.APIGatewayV2HTTPRequest{IsBase64Encoded: true, Body: "%%%"})
	if err == nil {
		t.Error("it is taken")
	}
}

// FuzzRequest holds that whatever event comes makes a request or an error.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/v1/users", "a=b", "body", false)
	f.Add("", "", "", "", true)
	f.Add("G ET", "//x?#", "%zz", "%%%", true)
	f.Fuzz(func(t *testing.T, method, path, query, body string, encoded bool) {
		e := events.APIGatewayV2HTTPRequest{RawPath: path, RawQueryString: query, Body: body, IsBase64Encoded: encoded}
		e.RequestContext.HTTP.Method = method
		r, err := requestOf(t.Context(), &e)
		if (r == nil) == (err == nil) {
			t.Errorf("%v, %v", r, err)
		}
	})
}
