package routing

import (
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/topology"
)

// ScopeAt returns how much of a tenant's entities the replica of a region that is not its home may hold: the tenant's policy
// says how far projections go, and what is REGIONAL never leaves the jurisdiction. SCOPE_UNSPECIFIED: nothing. A policy that is not
// known counts as NONE.
func ScopeAt(t *topology.Topology, tenant *Tenant, region topology.Index) policyv1.Scope {
	inside := t.SameJurisdiction(region, tenant.Home)
	switch tenancyv1.Projections(tenant.Projections) {
	case tenancyv1.Projections_PROJECTIONS_EVERYWHERE, tenancyv1.Projections_PROJECTIONS_JURISDICTION:
		if inside {
			return policyv1.Scope_SCOPE_JURISDICTION
		}
		if tenant.Projections == uint8(tenancyv1.Projections_PROJECTIONS_EVERYWHERE) && t.Has(region) && t.Has(tenant.Home) {
			return policyv1.Scope_SCOPE_GLOBAL
		}
		return policyv1.Scope_SCOPE_UNSPECIFIED
	case tenancyv1.Projections_PROJECTIONS_NONE, tenancyv1.Projections_PROJECTIONS_UNSPECIFIED:
		return policyv1.Scope_SCOPE_UNSPECIFIED
	default:
		return policyv1.Scope_SCOPE_UNSPECIFIED
	}
}
