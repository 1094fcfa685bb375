package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routeheader"
)

// plainProxy is httputil.ReverseProxy with what a careful user gives it: enough idle connections, pooled buffers, HTTP/2 for gRPC.
// It adds the route header that the edge would add, else the home's guard would let none of its calls in, and looks nothing up.
func plainProxy(args []string) int {
	if err := serveProxy(args); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench: the plain proxy:", err)
		return 1
	}
	return 0
}

func serveProxy(args []string) error {
	flags := flag.NewFlagSet(roleProxy, flag.ContinueOnError)
	listen := flags.String("listen", "", "address of the proxy")
	operations := flags.String("operations", "", "address of its metrics")
	target := flags.String("target", "", "URL of the home region")
	keyFile := flags.String("key", "", "route key of the edge's region")
	origin := flags.String("origin", "", "the edge's region")
	home := flags.String("home", "", "the home region")
	tenant := flags.String("tenant", "", "the tenant that calls")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("reading the flags: %w", err)
	}
	upstream, err := url.Parse(*target)
	if err != nil {
		return fmt.Errorf("reading -target: %w", err)
	}
	seed, err := os.ReadFile(*keyFile)
	if err != nil || len(seed) != ed25519.SeedSize {
		return errors.Join(errors.New("reading the route key"), err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	public, _ := key.Public().(ed25519.PublicKey)
	signer := routeheader.NewSigner(routeheader.SignerConfig{
		Region: ident.RegionID(*origin), KeyID: routeheader.KeyID(public), Key: key, Clock: time.Now,
	})
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.Out.Header.Set(routeheader.Name, signer.Sign(ident.RegionID(*home), ident.TenantID(*tenant), 1))
		},
		Transport:  newPlainTransport(),
		BufferPool: &buffers{},
	}
	return serveBoth(*listen, proxy, *operations)
}

// serveBoth serves the handler and, on a port of their own, the process's metrics, until the process is told to end.
func serveBoth(listen string, handler http.Handler, operations string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics := http.NewServeMux()
	metrics.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	metrics.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	failed := make(chan error, 2)
	for address, h := range map[string]http.Handler{listen: handler, operations: metrics} {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("opening %s: %w", address, err)
		}
		server := &http.Server{Handler: h, Protocols: new(http.Protocols), ReadHeaderTimeout: 10 * time.Second}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
		go func() { failed <- server.Serve(l) }()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	}
}

// plainTransport takes HTTP/2 for gRPC, which needs it, and else HTTP/1.1, as the edge does.
type plainTransport struct{ http1, http2 *http.Transport }

func newPlainTransport() plainTransport {
	t := plainTransport{http1: newHTTPTransport(false), http2: newHTTPTransport(true)}
	t.http1.MaxIdleConnsPerHost = 512
	return t
}

func newHTTPTransport(http2 bool) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	return &http.Transport{Protocols: protocols, DisableCompression: true}
}

// RoundTrip implements http.RoundTripper.
func (t plainTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		return t.http2.RoundTrip(r) //nolint:wrapcheck // a plain delegate
	}
	return t.http1.RoundTrip(r) //nolint:wrapcheck // a plain delegate
}

// buffers is an httputil.BufferPool.
type buffers struct{ pool sync.Pool }

const bufferBytes = 32 << 10

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferBytes]byte); ok {
		return buffer[:]
	}
	return make([]byte, bufferBytes)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(buffer []byte) { b.pool.Put((*[bufferBytes]byte)(buffer)) }
