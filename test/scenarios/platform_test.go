package scenarios

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/app/embedded"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
	"github.com/domicile-api/domicile/services"
)

// pipes are listeners in memory, by their address. A goroutine that waits for one is known to wait, unlike one that waits for a socket: so
// time moves on in a bubble.
type pipes struct {
	mu     sync.Mutex
	byName map[string]*pipe
}

type pipe struct {
	address string
	calls   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (p *pipes) listen(_ context.Context, host string, port int) (net.Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &pipe{address: net.JoinHostPort(host, strconv.Itoa(port)), calls: make(chan net.Conn), closed: make(chan struct{})}
	p.byName[l.address] = l
	return l, nil
}

func (p *pipes) dial(ctx context.Context, _, address string) (net.Conn, error) {
	p.mu.Lock()
	l := p.byName[address]
	p.mu.Unlock()
	if l == nil {
		return nil, net.ErrClosed
	}
	ours, theirs := net.Pipe()
	select {
	case l.calls <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (l *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-l.calls:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipe) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *pipe) Addr() net.Addr {
	host, port, _ := net.SplitHostPort(l.address)
	n, _ := strconv.Atoi(port)
	return &net.TCPAddr{IP: net.ParseIP(host), Port: n}
}

// The assembled platform, all six regions of it with their loops, runs in a bubble too: what was written through Frankfurt is read with its
// token in Singapore, from the copy there, minutes pass in no time, and it ends. Edges forward over sockets, which have no place in a bubble:
// nothing is forwarded here.
func TestThePlatformInABubble(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		wires := &pipes{byName: make(map[string]*pipe)}
		topo := topologyfile.Default()
		platform, err := app.Start(t.Context(), app.Config{
			Backend: embedded.New(dir), DataDir: dir, Host: "127.0.0.1", Topology: topo, Services: services.All(), OperationsPort: topo.OperationsPort(), Demo: true,
			Logger: slog.New(slog.DiscardHandler), Clock: time.Now, Random: rand.Reader, Listen: wires.listen,
			Env: func(string) (string, bool) { return "", false },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := platform.Close(); err != nil {
				t.Error(err)
			}
		}()
		if err := platform.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{DialContext: wires.dial}
		defer transport.CloseIdleConnections()
		demo := platform.Demo().Tenants[0]
		token := ""
		call := func(method, region, path, body string) map[string]any {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), method, platform.Endpoint(topo.ID(indexOf(t, topo, region)))+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+demo.APIKey)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Domicile-Consistency", token)
			r.Header.Set("Domicile-Max-Wait", "2000")
			answer, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = answer.Body.Close() }()
			raw, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Fatalf("%s %s: %d %s %v", method, path, answer.StatusCode, raw, err)
			}
			token = answer.Header.Get("Domicile-Consistency")
			var out map[string]any
			if err := json.Unmarshal(raw, &out); err != nil {
				t.Fatal(err)
			}
			return out
		}
		user := call("POST", "eu-central-1", "/v1/users",
			`{"givenName":"A","familyName":"B","email":"a@example.org","locale":"de-DE","handle":"first"}`)
		id, _ := user["id"].(string)
		for _, handle := range []string{"second", "third"} {
			time.Sleep(time.Minute) // Of the bubble.
			call("PATCH", "eu-central-1", "/v1/users/"+id+"?updateMask=handle", `{"handle":"`+handle+`"}`)
			if got := call("GET", "ap-southeast-1", "/v1/users/"+id+"/summary", ""); !strings.Contains(toJSON(got), handle) {
				t.Errorf("Singapore shows %v, and %s was written", got, handle)
			}
		}
	})
}

func toJSON(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}

func indexOf(t *testing.T, topo *topology.Topology, region string) topology.Index {
	t.Helper()
	for _, i := range topo.Regions() {
		if string(topo.ID(i)) == region {
			return i
		}
	}
	t.Fatalf("no region %s", region)
	return 0
}
