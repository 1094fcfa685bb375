package edge

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/topology"
)

const (
	maxIdlePerRegion = 512
	// idleTimeout is shorter than that of the servers on the other side, so that a call seldom meets a connection that is being
	// closed.
	idleTimeout = time.Minute
	pingAfter   = 15 * time.Second
	pingTimeout = 5 * time.Second
	bufferSize  = 16 << 10
)

// DialFunc opens a connection to another region.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// upstream has the connections to all regions. By measurement (docs/decisions/0007-edge-forwarding.md) calls that are one message
// each way go over a pool of HTTP/1.1 connections, and gRPC and streams, which need HTTP/2, over a few HTTP/2 ones: on one
// connection Go writes one frame at a time.
type upstream struct {
	targets []*url.URL
	unary   *http.Transport
	streams []*http.Transport
	next    atomic.Uint32
	always  bool // HTTP/2 for all calls
}

func newUpstream(cfg Config) (*upstream, error) {
	targets, err := services(cfg.Topology)
	if err != nil {
		return nil, err
	}
	u := &upstream{targets: targets, unary: newTransport(cfg, false), always: cfg.alwaysHTTP2}
	for range min(8, max(2, runtime.GOMAXPROCS(0))) {
		u.streams = append(u.streams, newTransport(cfg, true))
	}
	return u, nil
}

func newTransport(cfg Config, http2 bool) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2) // must be alone: beside HTTP1 it is never chosen for http:// URLs
	protocols.SetHTTP2(http2)
	dialer := &net.Dialer{Timeout: cfg.DialTimeout}
	dial := dialer.DialContext
	if cfg.Dial != nil {
		dial = cfg.Dial(dial)
	}
	return &http.Transport{
		Protocols:           protocols,
		DialContext:         dial,
		TLSClientConfig:     cfg.TLS,
		TLSHandshakeTimeout: cfg.DialTimeout,
		MaxIdleConnsPerHost: maxIdlePerRegion,
		IdleConnTimeout:     idleTimeout,
		DisableCompression:  true,
		ReadBufferSize:      bufferSize,
		WriteBufferSize:     bufferSize,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
}

func (u *upstream) close() {
	u.unary.CloseIdleConnections()
	for _, t := range u.streams {
		t.CloseIdleConnections()
	}
}

// transport chooses the connections for a call.
func (u *upstream) transport(v *visit) *http.Transport {
	if u.usesHTTP2(v) {
		return u.streams[int(u.next.Add(1))%len(u.streams)]
	}
	return u.unary
}

// usesHTTP2 tells whether a call needs HTTP/2.
func (u *upstream) usesHTTP2(v *visit) bool {
	return u.always || v.protocol == rpc.GRPC || v.protocol == rpc.ConnectStream || v.method.Streams
}

// urlOf returns where a request goes: its path and query at the region's endpoint.
func (u *upstream) urlOf(target topology.Index, in *url.URL) *url.URL {
	base := u.targets[target]
	return &url.URL{
		Scheme: base.Scheme, Host: base.Host, Path: base.Path + in.Path, RawPath: rawPath(base, in),
		// HTTP/2 lets a space into the query, which would end the target in HTTP/1.1's request line.
		RawQuery: strings.ReplaceAll(in.RawQuery, " ", "%20"),
	}
}

// rawPath is needed only where the client escaped what need not be.
func rawPath(base, in *url.URL) string {
	if in.RawPath == "" {
		return ""
	}
	return base.EscapedPath() + in.RawPath
}

// pause waits, or returns early with the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
