package replication

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

func TestGrantOf(t *testing.T) {
	t.Parallel()
	acme := routing.Tenant{Home: frankfurt, Standby: dublin, Projections: everywhere, State: active, Epoch: 1}
	with := func(change func(*routing.Tenant)) routing.Tenant {
		tenant := acme
		change(&tenant)
		return tenant
	}
	inside := uint8(tenancyv1.Projections_PROJECTIONS_JURISDICTION)
	none := uint8(tenancyv1.Projections_PROJECTIONS_NONE)
	global, law := policyv1.Scope_SCOPE_GLOBAL, policyv1.Scope_SCOPE_JURISDICTION
	tests := map[string]struct {
		tenant routing.Tenant
		region topology.Index
		want   Grant
	}{
		"abroad":                           {acme, virginia, Grant{Scope: global}},
		"the standby":                      {acme, dublin, Grant{Scope: law, Standby: true}},
		"home has everything":              {acme, frankfurt, Grant{}},
		"no such region":                   {acme, 9, Grant{}},
		"no such home":                     {with(func(t *routing.Tenant) { t.Home = 9 }), dublin, Grant{}},
		"no standby":                       {with(func(t *routing.Tenant) { t.Standby = topology.NoRegion }), dublin, Grant{Scope: law}},
		"a standby abroad is none":         {with(func(t *routing.Tenant) { t.Standby = virginia }), virginia, Grant{Scope: global}},
		"jurisdiction only, abroad":        {with(func(t *routing.Tenant) { t.Projections = inside }), virginia, Grant{}},
		"jurisdiction only, inside":        {with(func(t *routing.Tenant) { t.Projections = inside }), dublin, Grant{Scope: law, Standby: true}},
		"no projections, abroad":           {with(func(t *routing.Tenant) { t.Projections = none }), virginia, Grant{}},
		"no projections, a standby though": {with(func(t *routing.Tenant) { t.Projections = none }), dublin, Grant{Standby: true}},
		"a policy that is not known":       {with(func(t *routing.Tenant) { t.Projections = 77 }), virginia, Grant{}},
		"no policy":                        {with(func(t *routing.Tenant) { t.Projections = 0 }), virginia, Grant{}},
		"softly deleted":                   {with(func(t *routing.Tenant) { t.State = uint8(tenancyv1.TenantState_TENANT_STATE_DELETED) }), virginia, Grant{Scope: global}},
		"purged":                           {with(func(t *routing.Tenant) { t.State = uint8(tenancyv1.TenantState_TENANT_STATE_PURGED) }), dublin, Grant{}},
		"no state":                         {with(func(t *routing.Tenant) { t.State = 0 }), dublin, Grant{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, GrantOf(topologyfile.Default(), test.tenant, test.region)); diff != "" {
				t.Errorf("grant (-want +got):\n%s", diff)
			}
		})
	}
}

// Every combination of a record and a region keeps what the platform promises, in words of residency that know nothing of how a
// grant is made.
func TestGrantsKeepThePromises(t *testing.T) {
	t.Parallel()
	d := topologyfile.Default()
	regions := append([]topology.Index{9, topology.NoRegion}, 0, 1, 2, 3, 4, 5)
	for _, home := range regions {
		for _, standby := range regions {
			for _, region := range regions {
				for policy := range uint8(6) {
					for state := range uint8(6) {
						tenant := routing.Tenant{Home: home, Standby: standby, Projections: policy, State: state, Epoch: 1}
						if broken := promises(d, tenant, region, GrantOf(d, tenant, region)); broken != "" {
							t.Fatalf("not so: %s: %+v in %d", broken, tenant, region)
						}
					}
				}
			}
		}
	}
}

func promises(d *topology.Topology, tenant routing.Tenant, region topology.Index, got Grant) string {
	regional := got.Scope == policyv1.Scope_SCOPE_JURISDICTION
	anything := got.Standby || got.Scope != policyv1.Scope_SCOPE_UNSPECIFIED
	sameLaw := d.Jurisdiction(region) != "" && d.Jurisdiction(region) == d.Jurisdiction(tenant.Home)
	for _, promise := range []struct {
		words string
		kept  bool
	}{
		{"REGIONAL fields stay in the home's jurisdiction", !regional || sameLaw},
		{"whole entities lie in the tenant's standby alone", !got.Standby || region == tenant.Standby},
		{"whole entities stay in the home's jurisdiction", !got.Standby || sameLaw},
		{"a tenant without a standby has no copies", tenant.Standby != topology.NoRegion || !got.Standby},
		{"NONE means that no region has projections", tenant.Projections != 3 || got.Scope == policyv1.Scope_SCOPE_UNSPECIFIED},
		{"JURISDICTION means that no foreign region has anything", tenant.Projections != 2 || !anything || sameLaw},
		{"a tenant that was purged has nothing anywhere", tenant.State != 3 || !anything},
		{"the home is not told of its own", region != tenant.Home || !anything},
		{"EVERYWHERE reaches every other region of a living tenant", tenant.Projections != 1 || tenant.State != 1 && tenant.State != 2 ||
			!d.Has(region) || !d.Has(tenant.Home) || region == tenant.Home || got.Scope != policyv1.Scope_SCOPE_UNSPECIFIED},
		{"what has sealed parts goes through sealed queues", !regional && !got.Standby ||
			got.Queue(replicationv1.Feed_FEED_STANDBY) == QueueSealed && (!regional || got.Queue(replicationv1.Feed_FEED_PROJECTIONS) == QueueSealed)},
		{"what leaves the jurisdiction goes through the open queue", sameLaw || !anything || got.Queue(replicationv1.Feed_FEED_PROJECTIONS) == QueueEvents},
	} {
		if !promise.kept {
			return fmt.Sprintf("%s (%+v)", promise.words, got)
		}
	}
	return ""
}
