package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"

	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/topology"
)

// newFront returns what answers at a region's port: unary calls over REST and Connect go through the HTTP API to the function edge. What an
// HTTP API does not carry (gRPC, streams, health, reflection) goes to the region's services, which have the same edge in front.
func newFront(gateway http.Handler, services *url.URL) http.Handler {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	direct := &httputil.ReverseProxy{
		Transport: &http.Transport{Protocols: protocols, DisableCompression: true}, FlushInterval: -1,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(services)
			pr.Out.Host = pr.In.Host
			if pr.In.ProtoMajor == 2 && pr.Out.Body != nil {
				pr.Out.Body = pr.In.Body // Else a stream's answer would wait for the end of its request.
			}
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch rpc.ProtocolOf(r) {
		case rpc.GRPC, rpc.GRPCWeb, rpc.ConnectStream:
			direct.ServeHTTP(w, r)
			return
		default:
		}
		if rpc.IsInfrastructure(r.URL.Path) {
			direct.ServeHTTP(w, r)
			return
		}
		gateway.ServeHTTP(w, r)
	})
}

// serveGlobal answers at the global name: the nearest region's front, as a CDN's latency records would choose it.
func (d *deployment) serveGlobal(ctx context.Context, fronts map[topology.Index]http.Handler) error {
	global, err := edge.NewGlobal(edge.GlobalConfig{Topology: d.topology, Edges: fronts, TrustCountry: true})
	if err != nil {
		return fmt.Errorf("making the global name: %w", err)
	}
	return d.serve(ctx, d.topology.GlobalPort(), global)
}

// serve answers at a port of this machine.
func (d *deployment) serve(ctx context.Context, port int, handler http.Handler) error {
	var lc net.ListenConfig
	socket, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("opening port %d: %w; stop what uses it", port, err)
	}
	server := rpc.NewServer(rpc.ServerConfig{Handler: handler, Logger: slog.Default()})
	d.servers = append(d.servers, server)
	d.loops.Go(func() {
		if err := server.Serve(socket); err != nil && ctx.Err() == nil {
			d.fail(fmt.Errorf("serving port %d: %w", port, err))
		}
	})
	return nil
}
