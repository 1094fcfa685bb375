package replication

import (
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

// Grant is what a region may get of a tenant. The zero Grant is nothing.
type Grant struct {
	// Scope is how far the projections go that it may hold; SCOPE_UNSPECIFIED: none.
	Scope policyv1.Scope
	// Standby says that it holds sealed copies of whole entities.
	Standby bool
}

// GrantOf returns what a region other than the home may get. It is a pure function of the tenant's record and the topology: nothing
// for a tenant that is neither active nor softly deleted, for a policy that is not known, for a home or a region that the
// topology does not have, and for the home itself, which has everything.
func GrantOf(t *topology.Topology, tenant routing.Tenant, region topology.Index) Grant {
	living := tenant.State == uint8(tenancyv1.TenantState_TENANT_STATE_ACTIVE) ||
		tenant.State == uint8(tenancyv1.TenantState_TENANT_STATE_DELETED)
	if !living || !t.Has(tenant.Home) || !t.Has(region) || region == tenant.Home {
		return Grant{}
	}
	return Grant{
		Scope:   routing.ScopeAt(t, &tenant, region),
		Standby: region == tenant.Standby && t.SameJurisdiction(region, tenant.Home),
	}
}

// Has tells whether the grant covers a feed of the home.
func (g Grant) Has(feed replicationv1.Feed) bool {
	switch feed {
	case replicationv1.Feed_FEED_PROJECTIONS:
		return g.Scope != policyv1.Scope_SCOPE_UNSPECIFIED
	case replicationv1.Feed_FEED_STANDBY:
		return g.Standby
	case replicationv1.Feed_FEED_SETTINGS, replicationv1.Feed_FEED_UNSPECIFIED:
		return false
	default:
		return false
	}
}

// Queue returns the queue that a feed goes through under the grant: one for all its events, so that they keep their order.
func (g Grant) Queue(feed replicationv1.Feed) string {
	if feed == replicationv1.Feed_FEED_STANDBY || g.Scope == policyv1.Scope_SCOPE_JURISDICTION {
		return QueueSealed
	}
	return QueueEvents
}
