package app

import (
	"context"
	"fmt"
	"net/http"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/consistency"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routeheader"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/topology"
)

// newEdge makes what answers at a region's port. local answers what is at home in the region.
func (p *Platform) newEdge(r *region, local http.Handler, metrics edge.Metrics) (*edge.Edge, error) {
	cfg := edge.Config{
		Region: r.index, Topology: p.cfg.Topology, Services: p.services, Resolver: r.directory.Resolver, Health: healthy,
		Signer: r.signer(p.cfg), Local: local, OwnHosts: p.cfg.ownHosts(), Clock: p.cfg.Clock, Logger: p.cfg.Logger,
		Metrics: metrics, Tracer: p.tracing.Provider, Propagator: p.tracing.Propagator, Dial: p.network.dial(r.id),
	}
	switch apart := p.cfg.Topology.ServicesApart(r.index); {
	case r.edgeOnly:
		cfg.Apart = apart
	case apart:
		cfg.HandedOver = r.handedOver(p.cfg)
	}
	if r.tokens != nil {
		cfg.Nearest, cfg.Any, cfg.Staleness = nearest{r.tokens.gate}, r.settings, r.sync.Staleness
	}
	e, err := edge.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("making the edge of %s: %w", r.id, err)
	}
	return e, nil
}

// handedOver returns what tells the word of the region's own edges, which may run in other processes.
func (r *region) handedOver(cfg Config) func(string) bool {
	verifier := routeheader.NewVerifier(routeheader.VerifierConfig{Region: r.id, Keys: r.directory.Index, Clock: cfg.Clock})
	return func(header string) bool {
		claims, err := verifier.Verify(header)
		return err == nil && claims.GetOrigin() == string(r.id)
	}
}

// nearest is a gate as the edge asks it.
type nearest struct{ gate *consistency.Gate }

// Admit implements edge.Nearest.
func (n nearest) Admit(ctx context.Context, tenant ident.TenantID, t routing.Tenant, header http.Header) (bool, error) {
	return n.gate.Admit(ctx, tenant, t, header)
}

// healthy says that no region is dead or draining: nothing declares that yet.
func healthy() routing.Health { return routing.Health{} }

// servicesOf makes what answers calls that are at home in a region.
func (p *Platform) servicesOf(r *region) (http.Handler, error) {
	if !r.edgeOnly {
		return r.mountServices(p)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		f := fault.New(errorsv1.Reason_REASON_REGION_UNAVAILABLE, "this process runs the region's edge without its services")
		f.RetryAfter = edge.DefaultRetryAfter
		rpc.WriteError(w, req, f)
	}), nil
}

// globalName makes what answers at the global name: the nearest edge. A process that runs all regions stands in for the CDN, too,
// so it takes a caller's own word for where it is.
func (p *Platform) globalName() (http.Handler, error) {
	edges := make(map[topology.Index]http.Handler, len(p.nodes))
	for _, n := range p.nodes {
		edges[n.index] = n
	}
	global, err := edge.NewGlobal(edge.GlobalConfig{Topology: p.cfg.Topology, Edges: edges, TrustCountry: true})
	if err != nil {
		return nil, fmt.Errorf("making the global name: %w", err)
	}
	return global, nil
}

// describeServices finds the contracts that the edges route by.
func (p *Platform) describeServices() error {
	p.services = routing.Services()
	methods, err := routing.NewMethods(p.services...)
	if err != nil {
		return fmt.Errorf("reading the services' routes: %w", err)
	}
	p.methods = methods
	return nil
}
