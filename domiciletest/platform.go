// Package domiciletest runs a whole platform inside a test: all regions of a topology in one process on a durable store in a
// temporary folder, on ports of its own. What a product's test talks to is what its users talk to; nothing is replaced.
package domiciletest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/domicile-api/domicile"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/gen/domicile/tenancy/v1/tenancyv1connect"
	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/app/developers"
	"github.com/domicile-api/domicile/internal/app/embedded"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// startTimeout bounds how long a platform may take to be ready, on a busy machine.
const startTimeout = 60 * time.Second

// Config says what to run.
type Config struct {
	// Services are the product's services.
	Services []domicile.Service
	// OpenAPI has the product's OpenAPI documents; nil: the portal is without them.
	OpenAPI fs.FS
	// Topology is the text of a topology file; empty: the six regions of the default topology.
	Topology string
	// Dir is the data folder; empty: a temporary one.
	Dir string
	// Demo makes the demonstration tenants.
	Demo bool
}

// Platform is a running platform.
type Platform struct {
	cfg     Config
	topo    *topology.Topology
	sockets *sockets
	log     *logBuffer
	running *app.Platform
}

// Start runs a platform until the test ends. It fails the test if the platform does not become ready.
func Start(t testing.TB, cfg Config) *Platform {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	topo := topologyfile.Default()
	if cfg.Topology != "" {
		parsed, err := topologyfile.Parse("topology.yaml", []byte(cfg.Topology))
		if err != nil {
			t.Fatalf("the topology: %v", err)
		}
		topo = parsed
	}
	p := &Platform{cfg: cfg, log: &logBuffer{}}
	p.topo, p.sockets = freePorts(t, topo)
	p.start(t)
	t.Cleanup(func() { p.stop(t) })
	return p
}

func (p *Platform) start(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	logger := slog.New(residency.NewLogHandler(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	portal, err := developers.New(p.cfg.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	running, err := app.Start(ctx, app.Config{
		Backend: embedded.New(p.cfg.Dir), DataDir: p.cfg.Dir, Host: "127.0.0.1", Topology: p.topo, Services: p.cfg.Services, Portal: portal,
		Global: true, OperationsPort: p.topo.OperationsPort(), Demo: p.cfg.Demo, Faults: true, Logger: logger, Clock: time.Now, Random: rand.Reader,
		Env: func(string) (string, bool) { return "", false }, Listen: p.sockets.listen,
	})
	if err != nil {
		t.Fatalf("starting the platform: %v", err)
	}
	p.running = running
	if err := running.WaitReady(ctx); err != nil {
		t.Fatalf("the platform is not ready: %v\n%s", err, p.log)
	}
}

func (p *Platform) stop(t testing.TB) {
	t.Helper()
	if p.running == nil {
		return
	}
	if err := p.running.Close(); err != nil {
		t.Errorf("stopping the platform: %v", err)
	}
	p.running = nil
}

// Restart stops the platform and starts it again on the same data and ports.
func (p *Platform) Restart(t testing.TB) {
	t.Helper()
	p.stop(t)
	p.start(t)
}

// Dir is the data folder; region R's data is in Dir/R.
func (p *Platform) Dir() string { return p.cfg.Dir }

// Endpoint is the URL of a region.
func (p *Platform) Endpoint(region string) string {
	for _, i := range p.topo.Regions() {
		if string(p.topo.ID(i)) == region {
			return p.topo.Endpoint(i)
		}
	}
	return ""
}

// Regions are the ids of all regions.
func (p *Platform) Regions() []string {
	ids := make([]string, 0, p.topo.Len())
	for _, i := range p.topo.Regions() {
		ids = append(ids, string(p.topo.ID(i)))
	}
	return ids
}

// GlobalEndpoint is the URL of the global name.
func (p *Platform) GlobalEndpoint() string {
	return "http://127.0.0.1:" + strconv.Itoa(p.topo.GlobalPort())
}

// OperationsEndpoint is the URL of the operations port.
func (p *Platform) OperationsEndpoint() string { return p.running.OperationsURL() }

// OperatorKey is a credential for operators' calls.
func (p *Platform) OperatorKey() string { return p.running.Demo().OperatorKey }

// DemoKey is the API key of a demonstration tenant.
func (p *Platform) DemoKey(tenant string) string {
	for _, d := range p.running.Demo().Tenants {
		if d.ID == tenant {
			return d.APIKey
		}
	}
	return ""
}

// Log is what the platform logged so far, all levels.
func (p *Platform) Log() string { return p.log.String() }

// Tenancy is a client of the tenancy service with the operator's key.
func (p *Platform) Tenancy() tenancyv1connect.TenancyServiceClient {
	return tenancyv1connect.NewTenancyServiceClient(newHTTPClient(), p.OperationsEndpoint(), connect.WithInterceptors(bearer(p.OperatorKey())))
}

// CreateTenant makes a tenant with an API key and returns the key. The tenant is routable from every region when it returns.
func (p *Platform) CreateTenant(t testing.TB, tenant *tenancyv1.Tenant) (apiKey string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	client := p.Tenancy()
	if _, err := client.CreateTenant(ctx, &tenancyv1.CreateTenantRequest{Tenant: tenant}); err != nil {
		t.Fatalf("creating tenant %s: %v", tenant.GetId(), err)
	}
	key, err := client.CreateApiKey(ctx, &tenancyv1.CreateApiKeyRequest{Tenant: tenant.GetId()})
	if err != nil {
		t.Fatalf("creating a key of tenant %s: %v", tenant.GetId(), err)
	}
	if err := p.running.WaitKnown(ctx, ident.TenantID(tenant.GetId()), key.GetApiKey().GetId()); err != nil {
		t.Fatalf("tenant %s is not known everywhere: %v", tenant.GetId(), err)
	}
	return key.GetSecret()
}

// sockets are the ports of a platform, opened before it starts so that no other process takes them.
type sockets struct {
	mu   sync.Mutex
	open map[int]net.Listener
}

// listen hands out a socket that was opened before; after a restart it opens the port again.
func (s *sockets) listen(ctx context.Context, host string, port int) (net.Listener, error) {
	s.mu.Lock()
	l, ok := s.open[port]
	delete(s.open, port)
	s.mu.Unlock()
	if ok {
		return l, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("opening port %d again: %w", port, err)
	}
	return l, nil
}

// freePorts moves a topology to a run of ports that are all free, and opens them.
func freePorts(t testing.TB, topo *topology.Topology) (*topology.Topology, *sockets) {
	t.Helper()
	for range 100 {
		moved, open, err := tryPorts(topo)
		if err == nil {
			s := &sockets{open: open}
			t.Cleanup(s.close)
			return moved, s
		}
	}
	t.Fatal("found no run of free ports for the platform")
	return nil, nil
}

// tryPorts takes a port that the system gives as the port base, and all others from there.
func tryPorts(topo *topology.Topology) (moved *topology.Topology, open map[int]net.Listener, err error) {
	s := &sockets{open: map[int]net.Listener{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	first, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, fmt.Errorf("asking for a free port: %w", err)
	}
	base := first.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // A TCP listener has a TCP address.
	s.open[base] = first
	if moved, err = topo.WithPortBase(base); err != nil {
		return nil, nil, fmt.Errorf("moving the ports: %w", err)
	}
	ports := []int{moved.OperationsPort()}
	for _, i := range moved.Regions() {
		ports = append(ports, moved.Port(i))
	}
	for _, port := range ports {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			return nil, nil, fmt.Errorf("opening port %d: %w", port, err)
		}
		s.open[port] = l
	}
	return moved, s.open, nil
}

func (s *sockets) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.open {
		_ = l.Close() // Never served.
	}
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p) //nolint:wrapcheck // bytes.Buffer has no errors.
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
