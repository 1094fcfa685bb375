package routing

import (
	"fmt"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/topology"
)

// Outcome is one rule that a decision met.
type Outcome struct {
	// Rule is the rule's name, e.g. "transit".
	Rule string
	// Passed says whether the call went on after it.
	Passed bool
	// Detail says in words what was found. It has region ids and jurisdictions, nothing of the caller's.
	Detail string
}

// Explain returns the rules that the decision met, in order, the last one being the one that failed or the hand-over. It is for
// people and allocates.
func (d Decision) Explain() []Outcome {
	if d.topology == nil {
		return nil
	}
	words := [ruleCount]func(Decision, bool) string{
		RuleTenant:   Decision.tenantWords,
		RuleRoute:    Decision.routeWords,
		RuleRegion:   Decision.regionWords,
		RuleTransit:  Decision.transitWords,
		RuleStrict:   Decision.strictWords,
		RuleEdge:     Decision.edgeWords,
		RuleHandOver: Decision.handOverWords,
	}
	outcomes := make([]Outcome, 0, ruleCount)
	for rule := RuleTenant; rule <= d.Failed; rule++ {
		passed := rule < d.Failed || d.answered()
		outcomes = append(outcomes, Outcome{Rule: rule.String(), Passed: passed, Detail: words[rule](d, passed)})
	}
	return outcomes
}

// answered tells whether nothing stands in the call's way.
func (d Decision) answered() bool {
	return d.Action == Local || d.Action == Forward || d.Action == Replica
}

// name returns a region's id for a text.
func (d Decision) name(region topology.Index) string {
	if !d.topology.Has(region) {
		return "a region that is not in the topology"
	}
	return string(d.topology.ID(region))
}

// place returns a region's id and jurisdiction for a text.
func (d Decision) place(region topology.Index) string {
	if !d.topology.Has(region) {
		return d.name(region)
	}
	return fmt.Sprintf("%s (%s)", d.name(region), d.topology.Jurisdiction(region))
}

// target returns the region that the route asks for, which Region no longer says after a redirect.
func (d Decision) target() topology.Index { return target(d.topology, &d.in) }

func (d Decision) tenantWords(passed bool) string {
	switch {
	case passed && active(&d.in):
		return fmt.Sprintf("the tenant is active, at home in %s since epoch %d", d.place(d.in.Tenant.Home), d.in.Tenant.Epoch)
	case passed:
		return "no active tenant is named, and a method of the control region needs none"
	case d.in.Known:
		return "the tenant is deleted or purged, which answers as if it had never been"
	default:
		return "the directory has no such tenant"
	}
}

func (d Decision) routeWords(passed bool) string {
	switch {
	case !passed:
		return "the method has no route that is known here"
	case d.in.Route == policyv1.Route_ROUTE_CONTROL:
		return "CONTROL: answered by the control region, " + d.place(d.target())
	case d.in.Route == policyv1.Route_ROUTE_NEAREST:
		return d.nearestWords()
	case d.in.Route == policyv1.Route_ROUTE_ANY:
		return d.anyWords()
	default:
		return "HOME: answered at home, " + d.place(d.target())
	}
}

func (d Decision) nearestWords() string {
	edge, home := d.in.Edge, d.in.Tenant.Home
	switch {
	case edge == home:
		return "NEAREST: the call came in at home, " + d.place(home)
	case d.target() == edge:
		return fmt.Sprintf("NEAREST: answered by the replica of %s, once it has what the caller has seen; else at home, %s",
			d.place(edge), d.place(home))
	case !d.in.Replica:
		return "NEAREST: answered at home, " + d.place(home) + ", since the edge has no replica that can answer"
	case !residency.Holds(ScopeAt(d.topology, &d.in.Tenant, edge), d.in.Reach):
		return fmt.Sprintf("NEAREST: answered at home, %s, since %s may not hold what the answer reaches", d.place(home), d.place(edge))
	default:
		return fmt.Sprintf("NEAREST: answered at home, %s, since %s takes no calls", d.place(home), d.place(edge))
	}
}

func (d Decision) anyWords() string {
	edge, home := d.in.Edge, d.in.Tenant.Home
	switch {
	case edge == home:
		return "ANY: the call came in at home, " + d.place(home)
	case d.target() == edge:
		return fmt.Sprintf("ANY: answered by %s, once it has what the caller has seen; else at home, %s", d.place(edge), d.place(home))
	case !d.in.Replica:
		return "ANY: answered at home, " + d.place(home) + ", since the edge has no services that can answer"
	default:
		return fmt.Sprintf("ANY: answered at home, %s, since %s takes no calls", d.place(home), d.place(edge))
	}
}

func (d Decision) regionWords(passed bool) string {
	target := d.target()
	if !passed {
		return d.unfitWords(target, d.Reason)
	}
	return d.name(target) + " is neither declared dead nor being drained"
}

func (d Decision) unfitWords(region topology.Index, reason errorsv1.Reason) string {
	switch {
	case reason == errorsv1.Reason_REASON_REGION_DRAINING:
		return d.name(region) + " is being drained and takes no new calls"
	case !d.topology.Has(region):
		return "the home is " + d.name(region)
	case d.in.Route != policyv1.Route_ROUTE_CONTROL && d.topology.Has(d.in.Tenant.Standby):
		return fmt.Sprintf("%s is declared dead, and the standby %s has not taken the ownership over", d.name(region), d.name(d.in.Tenant.Standby))
	default:
		return d.name(region) + " is declared dead, and no other region may answer"
	}
}

func (d Decision) transitWords(passed bool) string {
	local := d.topology.SameJurisdiction(d.in.Edge, d.in.Tenant.Home)
	switch {
	case passed && !active(&d.in):
		return "no tenant's transit policy is in question"
	case passed && local:
		return fmt.Sprintf("the edge %s is in the home's jurisdiction and may relay", d.place(d.in.Edge))
	case passed:
		return fmt.Sprintf("transit FORWARD lets the foreign edge %s relay", d.place(d.in.Edge))
	case d.Action == Refuse:
		return "transit STRICT asks for an edge of the home's jurisdiction; " + d.unfitWords(d.in.Tenant.Home, d.Reason)
	case d.in.Tenant.Transit != uint8(tenancyv1.Transit_TRANSIT_STRICT):
		return fmt.Sprintf("the transit policy is not known here, so the foreign edge %s may not relay", d.place(d.in.Edge))
	default:
		return fmt.Sprintf("transit STRICT lets no foreign edge relay, and %s is one; the home is %s",
			d.place(d.in.Edge), d.place(d.in.Tenant.Home))
	}
}

func (d Decision) strictWords(passed bool) string {
	switch {
	case passed && !d.in.Strict:
		return "the caller allows a forward"
	case passed:
		return "the caller forbids a forward, and none is needed"
	case d.Action == Refuse:
		return fmt.Sprintf("the caller forbids a forward, and transit STRICT forbids that %s takes the call itself", d.place(d.target()))
	default:
		return fmt.Sprintf("the caller forbids a forward, and %s answers", d.place(d.target()))
	}
}

func (d Decision) edgeWords(passed bool) string {
	switch {
	case !passed:
		return "the call came in at " + d.name(d.in.Edge)
	case !active(&d.in):
		return "the call carries no tenant's data through " + d.place(d.in.Edge)
	case d.topology.SameJurisdiction(d.in.Edge, d.in.Tenant.Home):
		return d.place(d.in.Edge) + " is in the tenant's jurisdiction"
	default:
		return d.place(d.in.Edge) + " is outside the tenant's jurisdiction: it relays, and neither stores nor logs what it relays"
	}
}

func (d Decision) handOverWords(bool) string {
	if d.Action == Replica && d.in.Route == policyv1.Route_ROUTE_ANY {
		return fmt.Sprintf("the edge's own region %s answers: no other region is asked", d.name(d.Region))
	}
	if d.Action == Replica {
		return fmt.Sprintf("the edge's own replica in %s answers: no other region is asked", d.name(d.Region))
	}
	if d.Action == Local {
		return fmt.Sprintf("the edge is in %s itself: handed over without a network", d.name(d.Region))
	}
	return fmt.Sprintf("forwarded in one hop from %s to %s", d.name(d.in.Edge), d.name(d.Region))
}
