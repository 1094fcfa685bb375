package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
)

// kinds are the calls whose failure means different things.
var kinds = []struct {
	name, method, path, body string
	key                      bool
	// sent is the reason once the home may have executed the call.
	sent string
}{
	{"a read", "GET", "/v1/users/x", "", false, "REGION_UNAVAILABLE"},
	{"a read by POST", "POST", "/v1/users:lookup", `{"email":"ada@example.com"}`, false, "REGION_UNAVAILABLE"},
	{"a write", "POST", "/v1/users", `{"handle":"ada"}`, false, "OUTCOME_UNKNOWN"},
	{"a write without a body", "DELETE", "/v1/users/x", "", false, "OUTCOME_UNKNOWN"},
	{"a write whose key is for the first hop alone", "POST", "/v1/users", `{"handle":"ada"}`, true, "OUTCOME_UNKNOWN"},
	{"a write with a key", "POST", "/v1/users", `{"handle":"ada"}`, true, "REGION_UNAVAILABLE"},
	{"a write with a key and no body", "DELETE", "/v1/users/x", "", true, "REGION_UNAVAILABLE"},
}

func (p *platform) kind(t testing.TB, i int) *http.Request {
	t.Helper()
	k := kinds[i]
	r := p.request(t, "us-east-1", "acme-eu", k.method, k.path, "application/json", strings.NewReader(k.body))
	if k.key {
		r.Header.Set("Idempotency-Key", "k1")
	}
	if strings.Contains(k.name, "first hop") {
		r.Header.Set("Connection", "keep-alive, idempotency-key")
	}
	return r
}

// A home that is down is unavailable, in every protocol, with a time to wait; the call was not executed, so it may be repeated.
func TestHomeIsDown(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{silent: map[identRegion]bool{"eu-central-1": true}})
	if err := p.places["eu-central-1"].listener.Close(); err != nil {
		t.Fatal(err)
	}
	for i, k := range kinds {
		got := rpctest.Exchange(t, rpctest.H1(t), p.kind(t, i))
		if got.Status != http.StatusServiceUnavailable || got.Reason != "REGION_UNAVAILABLE" || got.Header.Get("Retry-After") != "2" ||
			got.Metadata["retry_safe"] != "true" || got.Metadata["home_region"] != "eu-central-1" {
			t.Errorf("%s: %+v", k.name, got)
		}
		if strings.Contains(got.Body, "127.0.0.1") || strings.Contains(got.Body, "refused") {
			t.Errorf("%s: the cause was sent: %s", k.name, got.Body)
		}
	}
	for _, w := range rpctest.Wires(createUser, "/v1/users") {
		got := rpctest.Exchange(t, w.Client(t), p.request(t, "us-east-1", "acme-eu", http.MethodPost, w.Path, w.ContentType, bytes.NewReader(bodyOf(t, w))))
		if got.Reason != "REGION_UNAVAILABLE" {
			t.Errorf("%s: %s", w.Name, got.Reason)
		}
	}
}

// rawHome is a home that does by hand what serve says with each connection.
func rawHome(t testing.TB, p *platform, serve func(conn net.Conn)) {
	t.Helper()
	go func() {
		for {
			conn, err := p.places["eu-central-1"].listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			go serve(conn)
		}
	}()
}

// A home that takes the call and hangs, or hangs up, may have executed it: a write without a key says that its outcome is not known.
// No call is sent a second time.
func TestHomeDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for name, hangsUp := range map[string]bool{"hangs": false, "hangs up": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, platformConfig{
				silent: map[identRegion]bool{"eu-central-1": true},
				edge:   func(_ *place, c *edge.Config) { c.UpstreamTimeout = 300 * time.Millisecond },
			})
			var requests atomic.Int64
			rawHome(t, p, func(conn net.Conn) {
				reader := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(reader)
					if err != nil {
						return
					}
					requests.Add(1)
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						return
					}
					if hangsUp {
						_ = conn.Close()
						return
					}
				}
			})
			for i, k := range kinds {
				before := requests.Load()
				got := rpctest.Exchange(t, rpctest.H1(t), p.kind(t, i))
				if got.Reason != k.sent {
					t.Errorf("%s: %d %s, want %s", k.name, got.Status, got.Reason, k.sent)
				}
				if n := requests.Load() - before; n != 1 {
					t.Errorf("%s: sent %d times", k.name, n)
				}
			}
		})
	}
}

// Where neither the home nor anything else keeps the caller's deadline, the edge does.
func TestCallersDeadlineAtTheEdge(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{silent: map[identRegion]bool{"eu-central-1": true}})
	rawHome(t, p, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	for i, k := range kinds {
		r := p.kind(t, i)
		r.Header.Set("X-Server-Timeout", "0.01")
		if got := rpctest.Exchange(t, rpctest.H1(t), r); got.Reason != "DEADLINE_EXCEEDED" || got.Status != http.StatusGatewayTimeout {
			t.Errorf("%s: %d %s", k.name, got.Status, got.Reason)
		}
	}
}

// A connection that served calls before and breaks at the next one: here the transport would repeat what has an Idempotency-Key, or
// looks repeatable to it, by itself.
func TestWritesAreNotRepeatedOnABrokenConnection(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{silent: map[identRegion]bool{"eu-central-1": true}})
	var writes atomic.Int64
	rawHome(t, p, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for {
			r, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			if r.URL.Path == "/v1/users" && r.Method == http.MethodGet {
				if _, err := fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"); err != nil {
					return
				}
				continue
			}
			writes.Add(1)
			_ = conn.Close()
			return
		}
	})
	for i, k := range kinds {
		if k.sent == "REGION_UNAVAILABLE" && !k.key {
			continue // reads may be repeated
		}
		before := writes.Load()
		if got := rpctest.Exchange(t, rpctest.H1(t), p.request(t, "us-east-1", "acme-eu", http.MethodGet, "/v1/users", "", nil)); got.Status != http.StatusOK {
			t.Fatalf("warming up: %d %s", got.Status, got.Reason)
		}
		if got := rpctest.Exchange(t, rpctest.H1(t), p.kind(t, i)); got.Reason != k.sent {
			t.Errorf("%s: %s, want %s", k.name, got.Reason, k.sent)
		}
		if n := writes.Load() - before; n != 1 {
			t.Errorf("%s: executed %d times", k.name, n)
		}
	}
}

// A home that comes back between the first attempt and the second answers: nothing had been sent.
func TestUnsentCallsAreTriedAgain(t *testing.T) {
	t.Parallel()
	var dials atomic.Int64
	p := newPlatform(t, platformConfig{edge: func(_ *place, c *edge.Config) {
		c.Dial = func(dial edge.DialFunc) edge.DialFunc {
			return func(ctx context.Context, network, address string) (net.Conn, error) {
				if dials.Add(1)%2 == 1 {
					return nil, &net.OpError{Op: "dial", Err: io.ErrUnexpectedEOF}
				}
				return dial(ctx, network, address)
			}
		}
	}})
	for _, w := range rpctest.Wires(createUser, "/v1/users") {
		if dials.Load()%2 == 1 {
			dials.Add(1)
		}
		got := rpctest.Exchange(t, w.Client(t), p.request(t, "us-east-1", "acme-eu", http.MethodPost, w.Path, w.ContentType, bytes.NewReader(bodyOf(t, w))))
		if got.Reason != "" || got.Status != http.StatusOK {
			t.Errorf("%s: %d %s", w.Name, got.Status, got.Reason)
		}
	}
	if n := p.home("acme-eu").profiles.Calls(); n != 6 {
		t.Errorf("%d calls came home", n)
	}
}

// A refusal for the region is answered before any of the body is there, on a connection that then ends; nothing of the body is asked for.
func TestRefusalLeavesTheBodyUnread(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
		for _, length := range []string{"Content-Length: 1000", "Content-Length: 3000000", "Transfer-Encoding: chunked"} {
			conn := p.dial(t, "us-east-1")
			sayf(t, conn, "POST /v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n%s%s\r\n\r\n",
				p.tenant["bank-eu"], expect, length)
			reader := bufio.NewReader(conn)
			answer, err := hear(t, reader)
			if err != nil || answer.status != http.StatusMisdirectedRequest || !strings.Contains(answer.body, "WRONG_REGION") || !answer.closes {
				t.Errorf("%s%s: %+v, %v", expect, length, answer, err)
			}
			// What the client still sends finds no reader, and does not spoil the answer.
			if rest, err := io.ReadAll(reader); len(rest) > 0 || err != nil {
				t.Errorf("%s%s: %q %v", expect, length, rest, err)
			}
		}
	}
}

// A body that is sent while the refusal comes does not destroy the refusal on its way.
func TestRefusalArrivesWhileTheBodyIsSent(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	for _, w := range rpctest.Wires(createUser, "/v1/users") {
		for _, size := range []int{10, 1 << 20} {
			r := p.request(t, "us-east-1", "bank-eu", http.MethodPost, w.Path, w.ContentType, rpctest.Chunked(bytes.Repeat([]byte(" "), size)))
			if got := rpctest.Exchange(t, w.Client(t), r); got.Reason != "WRONG_REGION" {
				t.Errorf("%s with %d bytes: %s", w.Name, size, got.Reason)
			}
		}
	}
}

// A client that stops in the middle of its body does not reach the home.
func TestBodyThatBreaksOff(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	conn := p.dial(t, "us-east-1")
	sayf(t, conn, "POST /v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
		p.tenant["acme-eu"])
	if tcp, ok := conn.(*net.TCPConn); !ok || tcp.CloseWrite() != nil {
		t.Fatal("half a connection")
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("reading: %v", err)
	}
	_ = conn.Close()
	// Another call shows that the edge goes on, and orders what came before it.
	client := profilev1connect.NewProfileServiceClient(rpctest.H1(t), p.places["us-east-1"].url, rpctest.Bearer(p.tenant["acme-eu"]))
	if _, err := client.CreateUser(t.Context(), &profilev1.CreateUserRequest{User: validUser()}); err != nil {
		t.Error(err)
	}
	if n := p.home("acme-eu").profiles.Calls(); n != 1 {
		t.Errorf("%d calls came home", n)
	}
}
