// Package edge is where calls come in: one http.Handler a region, and the global name in front of them.
//
// An edge finds out whose call it is and which method it calls, asks internal/routing what is lawful, and then hands the call to
// its own region's services within the process, forwards it to the home region in one hop, or refuses it. What it promises:
//
//   - It sends a call where routing.Decide says and nowhere else, and it never forwards what was forwarded already.
//   - What it refuses for its region (WRONG_REGION) it refuses by host or key alone: the body is not read.
//   - A call passes through as it is: streams, trailers, deadlines and cancellation. Headers that are the platform's own are the
//     platform's alone, whatever the client sends.
//   - A call is sent a second time only when nothing of it had been sent, or when the home has said that it did not look at it.
//     Where a write may have been executed and no answer came, the answer says so (OUTCOME_UNKNOWN).
//   - Nothing of a call's content is stored or logged, and the caller's address only in the jurisdiction of the tenant's home.
package edge

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/topology"
)

// Signer makes route headers; routeheader.Signer is one.
type Signer interface {
	// Sign returns a header for calls of a tenant (empty: an operator's call) that target is to answer.
	Sign(target ident.RegionID, tenant ident.TenantID, epoch ident.Epoch) string
}

// What a Config says when it says nothing.
const (
	// DefaultUpstreamTimeout is how long another region may take for an answer that is not a stream.
	DefaultUpstreamTimeout = 30 * time.Second
	// DefaultDialTimeout is how long connecting to another region may take.
	DefaultDialTimeout = 3 * time.Second
	// DefaultRetryAfter is what a client is told to wait when a region does not answer.
	DefaultRetryAfter = 2 * time.Second
)

// Config is what an edge is made of. Zero numbers stand for the defaults above.
type Config struct {
	// Region is the edge's own; Topology has it.
	Region   topology.Index
	Topology *topology.Topology
	// Services are those whose methods the platform has, in whatever region.
	Services []protoreflect.ServiceDescriptor
	// Resolver finds tenants. Required.
	Resolver Resolver
	// Health says which regions are dead or draining; nil: none is.
	Health func() routing.Health
	// Signer signs for calls that are forwarded. Required.
	Signer Signer
	// Local answers what the edge's own region answers; it is the guarded handler of its services. Required.
	Local http.Handler
	// Apart says that the region's services run in other processes, at the topology's services endpoint: what the region answers, and what
	// it might answer from its replica, goes there like a call to another region, and so does what is for developers. Local then gets
	// health and reflection, and what other edges forwarded, which should not have come here.
	Apart bool
	// HandedOver tells whether a route header is the word of an edge of this region that runs apart: the call is then decided about here,
	// as if it had come in here. Nil: nobody hands over.
	HandedOver func(routeHeader string) bool
	// Nearest says whether the region's replica may answer; nil: the region has none, and all calls go home.
	Nearest Nearest
	// Any says whether the region's services may answer a call of route ANY that is not at home in it; nil: such calls go home.
	Any Nearest
	// Staleness returns how old the region's replica of a tenant is at the most, and whether that is known; nil: it never is.
	Staleness func(tenant ident.TenantID) (time.Duration, bool)
	// OwnHosts are names of the platform, beside those of the regions' endpoints, that stand for no tenant.
	OwnHosts []string
	// Clock is time.Now in production. Required.
	Clock func() time.Time
	// Logger gets a line a call. Required.
	Logger *slog.Logger
	// Metrics counts calls; nil: nobody does.
	Metrics Metrics
	// Tracer makes a span a call; nil: none is made. Propagator reads and writes traces.
	Tracer     trace.TracerProvider
	Propagator propagation.TextMapPropagator
	// TLS is for endpoints that are https; nil: the system's roots.
	TLS *tls.Config
	// Dial, if set, wraps how connections to other regions are opened, e.g. to meet them with faults.
	Dial func(DialFunc) DialFunc
	// MaxBytes bounds a request that is not a stream; zero: rpc.DefaultMaxBytes.
	MaxBytes int64
	// UpstreamTimeout, DialTimeout and RetryAfter: see their defaults.
	UpstreamTimeout, DialTimeout, RetryAfter time.Duration

	// alwaysHTTP2 is what the benchmark of the two protocols compares.
	alwaysHTTP2 bool
}

var errConfig = errors.New("edge: incomplete configuration")

// Edge is the http.Handler of a region's port. It is safe for concurrent use.
type Edge struct {
	cfg      Config
	matcher  *Matcher
	ownHosts map[string]struct{}
	upstream *upstream
	region   string
	tracer   trace.Tracer
}

// New returns an edge. Close it when no call is running any more.
func New(cfg Config) (*Edge, error) {
	if cfg.Topology == nil || !cfg.Topology.Has(cfg.Region) || cfg.Resolver == nil || cfg.Signer == nil || cfg.Local == nil ||
		cfg.Clock == nil || cfg.Logger == nil {
		return nil, errConfig
	}
	cfg = cfg.withDefaults()
	matcher, err := NewMatcher(cfg.Services...)
	if err != nil {
		return nil, err
	}
	e := &Edge{cfg: cfg, matcher: matcher, region: string(cfg.Topology.ID(cfg.Region)), ownHosts: make(map[string]struct{})}
	for _, host := range cfg.OwnHosts {
		e.ownHosts[bareHost(host)] = struct{}{}
	}
	if e.upstream, err = newUpstream(cfg); err != nil {
		return nil, err
	}
	for _, i := range cfg.Topology.Regions() {
		if u, err := url.Parse(cfg.Topology.Endpoint(i)); err == nil {
			e.ownHosts[bareHost(u.Host)] = struct{}{}
		}
		e.ownHosts[bareHost(e.upstream.targets[i].Host)] = struct{}{}
	}
	if cfg.Tracer != nil {
		e.tracer = cfg.Tracer.Tracer("github.com/domicile-api/domicile/internal/edge")
	}
	return e, nil
}

func (c Config) withDefaults() Config {
	if c.Health == nil {
		c.Health = func() routing.Health { return routing.Health{} }
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = rpc.DefaultMaxBytes
	}
	if c.UpstreamTimeout <= 0 {
		c.UpstreamTimeout = DefaultUpstreamTimeout
	}
	if c.DialTimeout <= 0 {
		c.DialTimeout = DefaultDialTimeout
	}
	if c.RetryAfter <= 0 {
		c.RetryAfter = DefaultRetryAfter
	}
	return c
}

// Close gives the connections to other regions back.
func (e *Edge) Close() error {
	e.upstream.close()
	return nil
}

// services reads the URLs of all regions' services.
func services(t *topology.Topology) ([]*url.URL, error) {
	out := make([]*url.URL, t.Len())
	for i := range out {
		u, err := url.Parse(t.Services(topology.Index(i)))
		if err != nil || u.Host == "" {
			return nil, errEndpoint
		}
		out[i] = u
	}
	return out, nil
}

var errEndpoint = errors.New("edge: a region's endpoint is not a URL")
