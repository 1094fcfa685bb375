package tenancy

import (
	"context"
	"strings"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

// ResolveTenant answers from the routing part of the directory, as the edge would.
func (s *service) ResolveTenant(ctx context.Context, req *tenancyv1.ResolveTenantRequest) (*tenancyv1.ResolveTenantResponse, error) {
	id, t, err := s.resolve(ctx, req)
	if err != nil {
		return nil, err
	}
	topo := s.cfg.Topology
	answer := &tenancyv1.ResolveTenantResponse{
		Tenant: string(id), Home: string(topo.ID(t.Home)), HomeEndpoint: topo.Endpoint(t.Home), Jurisdiction: string(topo.Jurisdiction(t.Home)),
		Standby: noStandby, Transit: tenancyv1.Transit(t.Transit), Projections: tenancyv1.Projections(t.Projections), Epoch: uint64(t.Epoch),
	}
	if t.Standby != topology.NoRegion {
		answer.Standby = string(topo.ID(t.Standby))
	}
	return answer, nil
}

func (s *service) resolve(ctx context.Context, req *tenancyv1.ResolveTenantRequest) (ident.TenantID, routing.Tenant, error) {
	if host := req.GetHost(); host != "" {
		id, t, known, err := s.cfg.Resolver.ResolveHost(ctx, strings.ToLower(host))
		return id, t, orUnknown(t, known, err)
	}
	id := req.GetId()
	if prefix := req.GetKeyPrefix(); prefix != "" {
		parts := strings.Split(prefix, "_")
		if len(parts) != 3 { // The contract's pattern says so; a change of it must not become a panic.
			return "", routing.Tenant{}, fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "a key prefix is dk_<tenant>_<key id>")
		}
		id = parts[1]
	}
	t, known, err := s.cfg.Resolver.ResolveTenant(ctx, ident.TenantID(id))
	return ident.TenantID(id), t, orUnknown(t, known, err)
}

// orUnknown answers for a deleted tenant as for one that never was, as the edge does.
func orUnknown(t routing.Tenant, known bool, err error) error {
	if err != nil {
		return err
	}
	if !known || tenancyv1.TenantState(t.State) != tenancyv1.TenantState_TENANT_STATE_ACTIVE {
		return fault.New(errorsv1.Reason_REASON_TENANT_UNKNOWN, "no such tenant")
	}
	return nil
}
