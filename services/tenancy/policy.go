package tenancy

import (
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
)

// noStandby is what a tenant says who wants no copy outside its home.
const noStandby = "none"

// checkPolicies refuses a tenant whose policies are left out, with an explanation of the choice, or cannot be kept by the
// topology. It sets the jurisdiction.
func checkPolicies(topo *topology.Topology, t *tenancyv1.Tenant) error {
	var vs []fault.Violation
	add := func(field, rule, message string) {
		vs = append(vs, fault.Violation{Field: "tenant." + field, Rule: rule, Message: message})
	}
	if t.GetId() == "" {
		add("id", "required", "choose an id: 2 to 40 lower-case letters, digits and hyphens")
	}
	if t.GetTransit() == tenancyv1.Transit_TRANSIT_UNSPECIFIED {
		add("transit", "required", "choose: TRANSIT_FORWARD lets an edge outside the jurisdiction relay calls, neither storing nor logging them; "+
			"TRANSIT_STRICT makes it refuse with the home's endpoint, so that TLS ends inside the jurisdiction")
	}
	if t.GetProjections() == tenancyv1.Projections_PROJECTIONS_UNSPECIFIED {
		add("projections", "required", "choose how far copies of GLOBAL fields may go: "+
			"PROJECTIONS_EVERYWHERE, PROJECTIONS_JURISDICTION or PROJECTIONS_NONE (a user id with a role is still pseudonymous personal data)")
	}
	home, known := topo.Index(ident.RegionID(t.GetHome()))
	switch {
	case t.GetHome() == "":
		add("home", "required", "choose the region where the tenant's data lives; 'domicile topology show' lists them")
	case !known:
		add("home", "known_region", "is not a region of the topology; 'domicile topology show' lists them")
	case !topo.Is(home, topologyv1.Role_ROLE_HOME):
		add("home", "home_role", "is a region that takes no tenants; 'domicile topology show' lists the roles")
	}
	vs = append(vs, standbyViolations(topo, t, home, known)...)
	if len(vs) > 0 {
		f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "the tenant's policies are incomplete or cannot be kept")
		f.Violations = vs
		return f
	}
	t.Jurisdiction = string(topo.Jurisdiction(home))
	return nil
}

func standbyViolations(topo *topology.Topology, t *tenancyv1.Tenant, home topology.Index, homeKnown bool) []fault.Violation {
	one := func(rule, message string) []fault.Violation {
		return []fault.Violation{{Field: "tenant.standby", Rule: rule, Message: message}}
	}
	switch {
	case t.GetStandby() == "":
		return one("required", "choose: a region of the home's jurisdiction that keeps a sealed copy and may take over, "+
			`or "none", after which nobody answers while the home is away`)
	case t.GetStandby() == noStandby || !homeKnown:
		return nil
	}
	standby, known := topo.Index(ident.RegionID(t.GetStandby()))
	switch {
	case !known:
		return one("known_region", "is not a region of the topology; 'domicile topology show' lists them")
	case !topo.SameJurisdiction(home, standby):
		return one("same_jurisdiction", "lies in another jurisdiction than the home, where this tenant's data may not go")
	case topo.Region(home).GetStandby() != t.GetStandby():
		return one("paired_standby", "is not the standby that the topology pairs with the home")
	}
	return nil
}
