// Package operations answers operators' questions about a running platform. It translates between RPC and domain, nothing else.
package operations

import (
	"context"
	"net/http"

	"github.com/domicile-api/domicile"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	"github.com/domicile-api/domicile/gen/domicile/operations/v1/operationsv1connect"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

// Resolver finds a tenant's routing part in the region's directory.
type Resolver interface {
	// ResolveTenant returns how a tenant's calls are routed, and whether there is such a tenant.
	ResolveTenant(ctx context.Context, id ident.TenantID) (routing.Tenant, bool, error)
}

// Methods finds the route of a method by its full name or an unambiguous last part.
type Methods interface {
	// Find fails when there is no such method, or more than one.
	Find(name string) (routing.Method, error)
}

// Config is what the service answers from.
type Config struct {
	Topology *topology.Topology
	Resolver Resolver
	Methods  Methods
	// Health is what the region knows of the others.
	Health func() routing.Health
	// Regions answers for each region.
	Regions Regions
	// Faults disturbs the regions; nil where that is not to be.
	Faults Faults
}

// Service makes the service of one region.
func Service(cfg Config) domicile.Service {
	return domicile.Service{
		Name: "operations",
		Register: func(rt domicile.Runtime) (string, http.Handler, error) {
			path, handler := operationsv1connect.NewOperationsServiceHandler(&service{cfg}, rt.HandlerOptions...)
			return path, handler, nil
		},
	}
}

type service struct{ cfg Config }

// ExplainRoute decides as the edge would, and answers the rules in words.
func (s *service) ExplainRoute(ctx context.Context, req *operationsv1.ExplainRouteRequest) (*operationsv1.ExplainRouteResponse, error) {
	edge, err := Place(s.cfg.Topology, req.GetFrom())
	if err != nil {
		return nil, err
	}
	method, err := s.cfg.Methods.Find(req.GetMethod())
	if err != nil {
		return nil, err
	}
	tenant, known, err := s.cfg.Resolver.ResolveTenant(ctx, ident.TenantID(req.GetTenant()))
	if err != nil {
		return nil, err
	}
	d := routing.Decide(s.cfg.Topology, routing.Input{
		Tenant: tenant, Known: known, Route: method.Route, Reach: method.Reach, Edge: edge, Strict: req.GetStrict(),
		Health: s.cfg.Health(), Replica: !method.Streams,
	})
	return s.answer(edge, d), nil
}

func violation(field, rule, message string) error {
	f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "the request breaks a rule of the contract")
	f.Violations = []fault.Violation{{Field: field, Rule: rule, Message: message}}
	return f
}

func (s *service) answer(edge topology.Index, d routing.Decision) *operationsv1.ExplainRouteResponse {
	return &operationsv1.ExplainRouteResponse{
		Action:   Action(d.Action),
		Edge:     string(s.cfg.Topology.ID(edge)),
		Region:   string(s.cfg.Topology.ID(d.Region)),
		Endpoint: s.cfg.Topology.Endpoint(d.Region),
		Reason:   fault.Name(d.Reason),
		Rules:    Rules(d),
	}
}

// GetTopology answers the topology that the process runs with.
func (s *service) GetTopology(context.Context, *operationsv1.GetTopologyRequest) (*operationsv1.GetTopologyResponse, error) {
	return &operationsv1.GetTopologyResponse{Topology: s.cfg.Topology.Proto()}, nil
}
