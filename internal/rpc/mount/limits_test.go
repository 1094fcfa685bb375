package mount_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
)

// dial opens a connection on which a test writes by hand. Whatever happens, it ends.
func dial(t testing.TB, url string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatalf("dialling: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// sayf writes a text to a connection.
func sayf(t testing.TB, conn io.Writer, format string, args ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(conn, format, args...); err != nil {
		t.Fatal(err)
	}
}

// The rest of a body that was refused for its size must not be taken for another request: that would let one client speak as another
// behind a proxy that shares connections.
func TestRestOfARefusedBodyIsNoRequest(t *testing.T) {
	t.Parallel()
	for _, rest := range []int{100 << 10, 1 << 20} {
		for _, path := range []string{"/v1/users", "/domicile.profile.v1.ProfileService/CreateUser"} {
			var smuggled atomic.Bool
			r := newRegion(t, regionConfig{seen: func(r *http.Request) {
				if r.URL.Path == "/v1/smuggled" {
					smuggled.Store(true)
				}
			}})
			var request bytes.Buffer
			fmt.Fprintf(&request, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", path)
			inside := "GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
			for sent := 0; sent < rpc.DefaultMaxBytes+rest; sent += len(inside) {
				fmt.Fprintf(&request, "%x\r\n%s\r\n", len(inside), inside)
			}
			request.WriteString("0\r\n\r\nGET /v1/last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			conn := dial(t, r.url)
			go func() { _, _ = conn.Write(request.Bytes()) }()
			reader := bufio.NewReader(conn)
			answer, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("%s: %d", path, answer.StatusCode)
			}
			after, err := io.ReadAll(reader)
			if err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: %v", path, err)
			}
			if smuggled.Load() || bytes.Contains(after, []byte("400 Bad Request")) {
				t.Errorf("%s with a rest of %d bytes: the inside of the body was answered: %q", path, rest, after)
			}
		}
	}
}

// A client that is slow in sending its body is told so, in its protocol, and let go. The clock is the bubble's, and stands still while
// the server is at work: a machine that is busy takes nothing from the time that the answer has.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/v1/users", "/domicile.profile.v1.ProfileService/CreateUser"} {
		synctest.Test(t, func(t *testing.T) {
			const timeout = time.Minute
			pipes := newPipes(t)
			r := newRegion(t, regionConfig{listener: pipes, server: func(cfg *rpc.ServerConfig) { cfg.CallTimeout = timeout }})
			conn := pipes.dial()
			begun := time.Now()
			sayf(t, conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", path)
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			body, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if err != nil || answer.StatusCode != http.StatusGatewayTimeout || !strings.Contains(string(body), "DEADLINE_EXCEEDED") {
				t.Errorf("%s: %d %s %v", path, answer.StatusCode, body, err)
			}
			if took := time.Since(begun); took != timeout {
				t.Errorf("%s: answered after %v", path, took)
			}
			if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
				t.Errorf("%s: the connection was not ended: %q %v", path, rest, err)
			}
			if n := r.profiles.Calls(); n != 0 {
				t.Errorf("%s: %d calls reached a handler", path, n)
			}
		})
	}
}

// pipes is a listener whose connections stay in the process, so that they know the time of a bubble.
type pipes struct {
	t      testing.TB
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes(t testing.TB) *pipes {
	t.Helper()
	return &pipes{t: t, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// dial returns the client's end of a connection that the server has accepted.
func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.t.Cleanup(func() { _ = client.Close() })
	p.conns <- server
	return client
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A client that is slow in sending its headers is let go, and nothing of its address is logged.
func TestSlowHeaders(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{server: func(cfg *rpc.ServerConfig) { cfg.HeaderTimeout = 50 * time.Millisecond }})
	conn := dial(t, r.url)
	sayf(t, conn, "GET /v1/users HTTP/1.1\r\nHost:")
	var timeout net.Error
	if rest, err := io.ReadAll(conn); errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the connection was not ended: %q %v", rest, err)
	}
}

// What net/http complains of is logged without addresses and without what a handler threw.
func TestServerLogHasNoAddresses(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	r := &region{}
	r.serve(t, regionConfig{server: func(cfg *rpc.ServerConfig) {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("canary@example.com") }))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := rpctest.H1(t).Do(request); err == nil {
		_ = answer.Body.Close()
		t.Error("a panic was answered")
	}
	if err := r.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := log.String()
	if !strings.Contains(got, "a handler panicked") || !strings.Contains(got, "limits_test.go") {
		t.Errorf("the panic is not logged: %s", got)
	}
	if strings.Contains(got, "127.0.0.1") || strings.Contains(got, "canary") {
		t.Errorf("the log says too much: %s", got)
	}
}
