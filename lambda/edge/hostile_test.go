package edge

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/domicile-api/domicile/internal/routeheader"
)

// A path is what the gateway says it is, and never becomes a host.
func TestPathsStayPaths(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"//evil.example/v1/users", "///x", "/a?b#c", "/../x", "/%2e%2e/x", "a:b/c", "//[::1", "//a b/c", "/a%zz", "*"} {
		e := events.APIGatewayV2HTTPRequest{RawPath: path, Headers: map[string]string{"host": "api.example"}}
		r, err := requestOf(t.Context(), &e)
		if err != nil {
			t.Errorf("%q: %v", path, err)
			continue
		}
		if r.URL.Path != path || r.URL.Host != "" || r.Host != "api.example" {
			t.Errorf("%q becomes %q at %q, %q", path, r.URL.Path, r.URL.Host, r.Host)
		}
	}
}

func TestAddressesOfBothKinds(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"203.0.113.7", "2001:db8::1"} {
		e := events.APIGatewayV2HTTPRequest{}
		e.RequestContext.HTTP.SourceIP = address
		r, err := requestOf(t.Context(), &e)
		if err != nil {
			t.Fatal(err)
		}
		if host, _, err := net.SplitHostPort(r.RemoteAddr); err != nil || host != address {
			t.Errorf("%s arrives as %q: %v", address, r.RemoteAddr, err)
		}
	}
}

// A text that its quotes make too long for an answer goes in base64, if it fits then.
func TestTextThatEscapesMakeLonger(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		size int
		fits bool
	}{
		"few quotes":                   {`{"name":"` + strings.Repeat("x", 1000) + `"}`, 6_000_000, true},
		"quotes alone":                 {`"`, 4_500_000, true},
		"quotes beyond base64 as well": {`"`, 5_000_000, false},
		"control characters":           {"\x01", 4_500_000, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAnswer()
			a.Header().Set("Content-Type", "application/json")
			if _, err := io.WriteString(a, strings.Repeat(tt.text, tt.size/len(tt.text))); err != nil {
				t.Fatal(err)
			}
			if a.fits() != tt.fits {
				t.Fatalf("it fits: %v", a.fits())
			}
			event, err := json.Marshal(a.event())
			if err != nil || tt.fits && len(event) > 6<<20 {
				t.Errorf("the answer has %d bytes: %v", len(event), err)
			}
		})
	}
}

// A call whose outcome a gateway cannot carry is not executed.
func TestOnlyUnary(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{
		"application/json": true, "application/proto": true, "": true, "application/grpc-web+proto": true,
		"application/grpc": false, "application/grpc+proto": false, "application/connect+json": false,
	} {
		executed := false
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/domicile.profile.v1.ProfileService/CreateUser", strings.NewReader("x"))
		r.Header["Content-Type"] = []string{kind}
		through(t, unary(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { executed = true })), r)
		if executed != want {
			t.Errorf("%q is executed: %v", kind, executed)
		}
	}
}

// A client that says that an edge has routed its call is told that none has.
func TestRoutedByNobody(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"": `"UNSUPPORTED"`, routeheader.Name: `"MISROUTED"`} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/users", http.NoBody)
		if name != "" {
			r.Header.Set(name, "v1.a.b")
		}
		elsewhere(w, r)
		if got := w.Body.String(); !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

// closings counts.
type closings int

// Close implements io.Closer.
func (c *closings) Close() error {
	*c++
	return nil
}

// Connections that lay idle while the function was frozen are not used again: a write on a dead one would be of unknown outcome.
func TestRestEndsConnections(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rest time.Duration
		want closings
	}{"called again at once": {time.Second, 0}, "frozen for a while": {time.Hour, 1}} {
		var closed closings
		h := &Handler{edge: http.NotFoundHandler(), connections: &closed, called: time.Now().Round(0).Add(-tt.rest)}
		for range 2 {
			if _, err := h.handler(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if closed != tt.want {
			t.Errorf("%s: closed %d times, want %d", name, closed, tt.want)
		}
	}
}
