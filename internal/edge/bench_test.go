package edge_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"syscall"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
)

// get is a GetUser call in one protocol, made by hand so that the client costs the same whatever is in between.
type get struct {
	name   string
	client *http.Client
	method string
	path   string
	header http.Header
	body   []byte
	route  func() string // nil: an edge is in between
}

func gets(b *testing.B, p *platform) []get {
	b.Helper()
	many := func(http2 bool) *http.Client {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(!http2)
		protocols.SetUnencryptedHTTP2(http2)
		t := &http.Transport{Protocols: protocols, MaxIdleConnsPerHost: 256, DisableCompression: true}
		b.Cleanup(t.CloseIdleConnections)
		return &http.Client{Transport: t}
	}
	header := func(contentType string) http.Header {
		h := http.Header{"Authorization": {"Bearer " + p.tenant["acme-eu"]}}
		if contentType != "" {
			h.Set("Content-Type", contentType)
		}
		return h
	}
	procedure := profilev1connect.ProfileServiceGetUserProcedure
	message := &profilev1.GetUserRequest{Id: "usr_1"}
	return []get{
		{"REST", many(false), http.MethodGet, "/v1/users/usr_1", header(""), nil, nil},
		{"Connect", many(false), http.MethodPost, procedure, header("application/json"), rpctest.JSONBody(b, message), nil},
		{"gRPC", many(true), http.MethodPost, procedure, header("application/grpc"), rpctest.FramedBody(b, message), nil},
	}
}

func (g get) send(base string) error {
	r, err := http.NewRequestWithContext(context.Background(), g.method, base+g.path, bytes.NewReader(g.body))
	if err != nil {
		return err
	}
	r.Header = g.header.Clone()
	if g.route != nil {
		r.Header.Set("Domicile-Route", g.route())
	}
	answer, err := g.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return nil
}

// reportCPU reports the processor time that an operation takes on all sides together. Unlike the time on the clock it is much the same
// on a machine that does other work.
func reportCPU(b *testing.B) func() {
	b.Helper()
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkForward sends the same calls directly to the home, through a plain httputil.ReverseProxy, and through an edge in another
// region, in one run. The plain proxy has the HTTP/2 body mended, else it stops, and knows where to send: it resolves nothing.
func BenchmarkForward(b *testing.B) {
	p := newPlatform(b, platformConfig{})
	home := p.home("acme-eu")
	if _, err := home.profiles.CreateUser(b.Context(), &profilev1.CreateUserRequest{User: validUser()}); err != nil {
		b.Fatal(err)
	}
	signer := p.signer("us-east-1") // a header is good for half a minute
	route := func() string { return signer.Sign("eu-central-1", "acme-eu", 3) }
	for _, g := range gets(b, p) {
		ways := map[string]string{
			"local":  home.url,
			"edge":   p.places["us-east-1"].url,
			"h1":     plainProxy(b, home.url, route, false),
			"h2c":    plainProxy(b, home.url, route, true),
			"direct": "",
		}
		for _, way := range []string{"direct", "local", "edge", "h1", "h2c"} {
			if way == "h1" && g.name == "gRPC" {
				continue
			}
			b.Run(g.name+"/"+way, func(b *testing.B) {
				g, base := g, ways[way]
				if way == "direct" {
					g.route, base = route, home.url
				}
				defer reportCPU(b)()
				b.ReportAllocs()
				b.SetParallelism(16)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := g.send(base); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}

func plainProxy(b *testing.B, target string, route func() string, http2 bool) string {
	b.Helper()
	u, err := url.Parse(target)
	if err != nil {
		b.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	proxy := &httputil.ReverseProxy{
		Transport:     &http.Transport{Protocols: protocols, DisableCompression: true, MaxIdleConnsPerHost: 512},
		FlushInterval: -1,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(u)
			pr.Out.Host = pr.In.Host
			pr.Out.Header.Set("Domicile-Route", route())
			if pr.In.ProtoMajor == 2 && pr.Out.Body != nil {
				pr.Out.Body = pr.In.Body
			}
		},
	}
	serve := new(http.Protocols)
	serve.SetHTTP1(true)
	serve.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: proxy, Protocols: serve}
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String()
}

// BenchmarkUpstreamProtocol sends calls that are one message each way over the pool of HTTP/1.1 connections and over the HTTP/2 ones.
func BenchmarkUpstreamProtocol(b *testing.B) {
	for _, http2 := range []bool{false, true} {
		p := newPlatform(b, platformConfig{edge: func(_ *place, c *edge.Config) { edge.AlwaysHTTP2(c, http2) }})
		if _, err := p.home("acme-eu").profiles.CreateUser(b.Context(), &profilev1.CreateUserRequest{User: validUser()}); err != nil {
			b.Fatal(err)
		}
		for _, g := range gets(b, p)[:2] {
			b.Run(fmt.Sprintf("%s/http2=%v", g.name, http2), func(b *testing.B) {
				defer reportCPU(b)()
				b.ReportAllocs()
				b.SetParallelism(16)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := g.send(p.places["us-east-1"].url); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}

// BenchmarkHandOver is the edge's own part of a call that it hands over in the process: everything but sockets and services.
func BenchmarkHandOver(b *testing.B) {
	var reached atomic.Int64
	p := newPlatform(b, platformConfig{edge: func(_ *place, c *edge.Config) {
		c.Local = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	}})
	e := p.home("acme-eu").edge
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/v1/users/usr_1", nil)
		r.Header.Set("Authorization", "Bearer "+p.tenant["acme-eu"])
		e.ServeHTTP(httptest.NewRecorder(), r)
	}
	if int(reached.Load()) < b.N {
		b.Fatal("calls were refused")
	}
}

// BenchmarkStream sends messages through an edge and back.
func BenchmarkStream(b *testing.B) {
	p := newPlatform(b, platformConfig{})
	for way, base := range map[string]string{"local": p.home("acme-eu").url, "edge": p.places["us-east-1"].url} {
		b.Run(way, func(b *testing.B) {
			client := rpctest.NewStreamClient(rpctest.H2C(b), base, connect.WithGRPC(), rpctest.Bearer(p.tenant["acme-eu"]))
			echo := client.Echo.CallBidiStream(b.Context())
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if err := echo.Send(wrapperspb.String("x")); err != nil {
					b.Fatal(err)
				}
				if _, err := echo.Receive(); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if err := echo.CloseRequest(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
