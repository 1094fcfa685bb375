// Package routing decides what an edge does with a call: answer it here, forward it in one hop, send the client elsewhere, or
// refuse. The decision is a pure function of the tenant's record, the method's route, the edge and the regions' health; it
// does no I/O, reads no clock and allocates nothing.
//
// What it promises, whatever its input is:
//
//   - A call is answered by, or forwarded to, the tenant's home, or the control region for a method of that route. A NEAREST
//     call may also be answered by the edge's own region, from its replica, if that may hold all that the answer reaches, and a call
//     of route ANY by the edge's own region, whatever it does; no other region ever.
//   - A call of a tenant with transit STRICT is neither answered nor forwarded by an edge outside the home's jurisdiction. A
//     transit policy that is not known counts as STRICT.
//   - A call that says Domicile-Routing: strict is never forwarded.
//   - A region that is declared dead or is being drained is not sent a call. A dead home is not replaced here: a standby
//     becomes the home by taking the ownership over, and then the tenant's record names it.
//   - A client that follows a redirect is not redirected again.
//
// A Decision says in words how it came about (Explain), by the same rules in the same order.
package routing

import (
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/topology"
)

// Tenant is the part of a tenant's directory record that routes its calls.
type Tenant struct {
	// Home may write the tenant's data; Standby holds a sealed copy, or is topology.NoRegion.
	Home, Standby topology.Index
	// Transit, Projections and State are numbers of the enums tenancyv1.Transit, Projections and TenantState.
	Transit, Projections, State uint8
	// Epoch numbers the home's ownership.
	Epoch ident.Epoch
}

// Health is what is said of the regions: sets of bits by topology.Index.
type Health struct {
	// Dead regions were declared dead: they are not asked.
	Dead uint32
	// Draining regions take no new calls.
	Draining uint32
}

// With returns the set with a region added; the same set if there can be no such region.
func With(set uint32, region topology.Index) uint32 {
	if region >= topology.MaxRegions {
		return set
	}
	return set | 1<<region
}

// in tells whether a region is in a set; no region beyond topology.MaxRegions is.
func in(set uint32, region topology.Index) bool { return set>>region&1 != 0 }

// Input is what a decision is made from.
type Input struct {
	// Tenant is the caller's tenant; it counts only if Known.
	Tenant Tenant
	// Known says that host, key or header name a tenant, and that the directory has it.
	Known bool
	// Route is the method's.
	Route policyv1.Route
	// Reach is the highest class that the answer of a NEAREST method reaches.
	Reach policyv1.DataClass
	// Replica says that the edge's region has services to answer methods of route NEAREST or ANY that are not at home there.
	Replica bool
	// Edge is the region that the call came in at.
	Edge topology.Index
	// Strict says that the caller sent Domicile-Routing: strict.
	Strict bool
	// Health is the regions'.
	Health Health
}

// Action is what the edge does with a call.
type Action uint8

// The actions. The zero Action refuses, so that a Decision that nobody made lets nothing pass.
const (
	// Refuse answers with the reason alone.
	Refuse Action = iota
	// Redirect answers with the reason and where the call belongs; the body stays unread.
	Redirect
	// Forward sends the call to the region.
	Forward
	// Local hands the call over to the services of the edge's own region, which is the call's home.
	Local
	// Replica hands the call over to the services of the edge's own region, which is not the home: it answers a NEAREST call
	// from its replica, and one of route ANY from what it writes itself. If it cannot answer after all, decide again without one.
	Replica
)

// String returns the action's name in lower case.
func (a Action) String() string {
	switch a {
	case Local:
		return "local"
	case Replica:
		return "replica"
	case Forward:
		return "forward"
	case Redirect:
		return "redirect"
	default:
		return "refuse"
	}
}

// Rule is one step of a decision. The rules are met in the order of their numbers, up to the one that fails.
type Rule uint8

// The rules.
const (
	// RuleTenant asks for an active tenant; a method of the control region goes without one.
	RuleTenant Rule = iota
	// RuleRoute asks for a route and says which region answers: the target.
	RuleRoute
	// RuleRegion asks whether the target may be sent calls.
	RuleRegion
	// RuleTransit asks whether the edge may relay the tenant's calls.
	RuleTransit
	// RuleStrict asks whether the caller allows a forward.
	RuleStrict
	// RuleEdge asks whether the edge is a region of the topology.
	RuleEdge
	// RuleHandOver never fails: it tells a hand-over within the region from a forward.
	RuleHandOver
	ruleCount
)

// String returns the name that explanations use.
func (r Rule) String() string {
	switch r {
	case RuleTenant:
		return "tenant"
	case RuleRoute:
		return "route"
	case RuleRegion:
		return "region"
	case RuleTransit:
		return "transit"
	case RuleStrict:
		return "strict"
	case RuleEdge:
		return "edge"
	case RuleHandOver:
		return "hand-over"
	default:
		return "unknown"
	}
}

// Decision is what the edge does with a call, and why.
type Decision struct {
	// Action is what is done.
	Action Action
	// Region answers, or would; topology.NoRegion if that is not known.
	Region topology.Index
	// Failed is the rule that a Redirect or Refuse comes from; otherwise RuleHandOver.
	Failed Rule
	// Reason is the refusal's or redirect's; otherwise REASON_UNSPECIFIED.
	Reason errorsv1.Reason

	in       Input
	topology *topology.Topology
}

// Decide routes a call.
func Decide(t *topology.Topology, input Input) Decision {
	d := Decision{Region: topology.NoRegion, in: input, topology: t}
	tenant := active(&input)
	if !tenant && input.Route != policyv1.Route_ROUTE_CONTROL {
		return d.fail(RuleTenant, Refuse, errorsv1.Reason_REASON_TENANT_UNKNOWN)
	}
	if d.Region = target(t, &input); d.Region == topology.NoRegion && !routed(input.Route) {
		return d.fail(RuleRoute, Refuse, errorsv1.Reason_REASON_VERSION_UNAVAILABLE)
	}
	if reason := unfit(t, d.Region, input.Health); reason != errorsv1.Reason_REASON_UNSPECIFIED {
		return d.fail(RuleRegion, Refuse, reason)
	}
	switch {
	case tenant && !mayRelay(t, &input.Tenant, input.Edge):
		return d.redirectInside()
	case input.Strict && input.Edge != d.Region:
		return d.refuseForward(tenant)
	case !t.Has(input.Edge):
		return d.fail(RuleEdge, Refuse, errorsv1.Reason_REASON_MISROUTED)
	}
	d.Failed = RuleHandOver
	switch {
	case input.Edge != d.Region:
		d.Action = Forward
	case input.Route != policyv1.Route_ROUTE_CONTROL && d.Region != input.Tenant.Home:
		d.Action = Replica
	default:
		d.Action = Local
	}
	return d
}

// routed tells whether a route is one that is known here.
func routed(route policyv1.Route) bool {
	return route >= policyv1.Route_ROUTE_HOME && route <= policyv1.Route_ROUTE_ANY
}

// target returns the region that the route asks for; topology.NoRegion for a route that is not known here.
func target(t *topology.Topology, input *Input) topology.Index {
	switch {
	case !routed(input.Route):
		return topology.NoRegion
	case input.Route == policyv1.Route_ROUTE_CONTROL:
		return t.Control()
	case input.Route == policyv1.Route_ROUTE_NEAREST && answersNearest(t, input), input.Route == policyv1.Route_ROUTE_ANY && answersAny(t, input):
		return input.Edge
	default:
		return input.Tenant.Home
	}
}

// answersNearest tells whether the edge's own region may answer a NEAREST call that is not at home there.
func answersNearest(t *topology.Topology, input *Input) bool {
	return input.Replica && input.Edge != input.Tenant.Home && residency.Holds(ScopeAt(t, &input.Tenant, input.Edge), input.Reach) &&
		unfit(t, input.Edge, input.Health) == errorsv1.Reason_REASON_UNSPECIFIED
}

// answersAny tells whether the edge's own region may answer a call of route ANY that is not at home there.
func answersAny(t *topology.Topology, input *Input) bool {
	return input.Replica && input.Edge != input.Tenant.Home && t.Has(input.Tenant.Home) &&
		unfit(t, input.Edge, input.Health) == errorsv1.Reason_REASON_UNSPECIFIED
}

// active tells whether the call is a living tenant's. Deleted and purged tenants are as unknown as those that never were.
func active(input *Input) bool {
	return input.Known && input.Tenant.State == uint8(tenancyv1.TenantState_TENANT_STATE_ACTIVE)
}

// mayRelay tells whether a tenant's call may come in at an edge: at one of the home's jurisdiction always, at a foreign one only
// if the tenant says so.
func mayRelay(t *topology.Topology, tenant *Tenant, edge topology.Index) bool {
	return tenant.Transit == uint8(tenancyv1.Transit_TRANSIT_FORWARD) || t.SameJurisdiction(edge, tenant.Home)
}

// unfit returns why a region is not sent calls, or REASON_UNSPECIFIED. A region that is not in the topology is not lawful.
func unfit(t *topology.Topology, region topology.Index, health Health) errorsv1.Reason {
	switch {
	case !t.Has(region), in(health.Dead, region):
		return errorsv1.Reason_REASON_NO_LAWFUL_REGION
	case in(health.Draining, region):
		return errorsv1.Reason_REASON_REGION_DRAINING
	default:
		return errorsv1.Reason_REASON_UNSPECIFIED
	}
}

func (d Decision) fail(rule Rule, action Action, reason errorsv1.Reason) Decision {
	d.Failed, d.Action, d.Reason = rule, action, reason
	return d
}

// redirectInside sends a call out of a foreign edge to one of the home's jurisdiction, where TLS may end: to that of the
// region that answers, or else to the home's, from which a method of the control region goes on.
func (d Decision) redirectInside() Decision {
	inside := d.Region
	if !mayRelay(d.topology, &d.in.Tenant, inside) {
		inside = d.in.Tenant.Home
	}
	if reason := unfit(d.topology, inside, d.in.Health); reason != errorsv1.Reason_REASON_UNSPECIFIED {
		return d.fail(RuleTransit, Refuse, reason)
	}
	d.Region = inside
	return d.fail(RuleTransit, Redirect, errorsv1.Reason_REASON_WRONG_REGION)
}

// refuseForward sends a caller who wants no forward to the region that answers. If that region's edge may not take the
// tenant's call, as with the control region's methods and a STRICT tenant of another jurisdiction, then nobody may.
func (d Decision) refuseForward(tenant bool) Decision {
	if tenant && !mayRelay(d.topology, &d.in.Tenant, d.Region) {
		return d.fail(RuleStrict, Refuse, errorsv1.Reason_REASON_NO_LAWFUL_REGION)
	}
	return d.fail(RuleStrict, Redirect, errorsv1.Reason_REASON_WRONG_REGION)
}
