package tenancy

import (
	"context"

	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/services/operations"
)

// Methods finds the route of a method by its full name or an unambiguous last part; a *routing.Methods.
type Methods interface {
	// Find fails when there is no such method, or more than one.
	Find(name string) (routing.Method, error)
}

// ExplainOwnRoute decides as the edge would for the tenant whom the call was routed for: what it says of any other, nobody can ask.
func (s *service) ExplainOwnRoute(ctx context.Context, req *tenancyv1.ExplainOwnRouteRequest) (*tenancyv1.ExplainOwnRouteResponse, error) {
	c, topo := call.From(ctx), s.cfg.Topology
	from := req.GetFrom()
	if from == "" {
		from = string(c.Edge)
	}
	edge, err := operations.Place(topo, from)
	if err != nil {
		return nil, err
	}
	method, err := s.cfg.Methods.Find(req.GetMethod())
	if err != nil {
		return nil, err
	}
	t, known, err := s.cfg.Resolver.ResolveTenant(ctx, c.Tenant)
	if err := orUnknown(t, known, err); err != nil {
		return nil, err
	}
	d := routing.Decide(topo, routing.Input{
		Tenant: t, Known: known, Route: method.Route, Reach: method.Reach, Edge: edge, Strict: req.GetStrict(),
		Health: s.cfg.Health(), Replica: !method.Streams,
	})
	return s.explained(c.Tenant, t, edge, d), nil
}

func (s *service) explained(id ident.TenantID, t routing.Tenant, edge topology.Index, d routing.Decision) *tenancyv1.ExplainOwnRouteResponse {
	topo := s.cfg.Topology
	answer := &tenancyv1.ExplainOwnRouteResponse{
		Tenant: string(id), Home: string(topo.ID(t.Home)), HomeEndpoint: topo.Endpoint(t.Home), Jurisdiction: string(topo.Jurisdiction(t.Home)),
		Standby: noStandby, Transit: tenancyv1.Transit(t.Transit), Projections: tenancyv1.Projections(t.Projections),
		Edge: string(topo.ID(edge)), Action: operations.Action(d.Action), Region: string(topo.ID(d.Region)), Endpoint: topo.Endpoint(d.Region),
		Reason: fault.Name(d.Reason), Rules: operations.Rules(d),
	}
	if t.Standby != topology.NoRegion {
		answer.Standby = string(topo.ID(t.Standby))
	}
	return answer
}
