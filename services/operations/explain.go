package operations

import (
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

// Place reads where a caller is: a region's id or a two-letter country code, which stands for the region nearest to it. Anything else is a
// violation of the field "from".
func Place(t *topology.Topology, from string) (topology.Index, error) {
	if i, ok := t.Index(ident.RegionID(from)); ok {
		return i, nil
	}
	if len(from) != 2 {
		return topology.NoRegion, violation("from", "known_place", "is neither a region of the topology nor a two-letter country code")
	}
	return t.Nearest(from), nil
}

// Rules are the rules that a decision met, as they are sent.
func Rules(d routing.Decision) []*operationsv1.RuleOutcome {
	outcomes := d.Explain()
	rules := make([]*operationsv1.RuleOutcome, 0, len(outcomes))
	for _, o := range outcomes {
		rules = append(rules, &operationsv1.RuleOutcome{Rule: o.Rule, Passed: o.Passed, Detail: o.Detail})
	}
	return rules
}

// Action is an action as it is sent.
func Action(a routing.Action) operationsv1.RouteAction {
	switch a {
	case routing.Local, routing.Replica:
		return operationsv1.RouteAction_ROUTE_ACTION_LOCAL
	case routing.Forward:
		return operationsv1.RouteAction_ROUTE_ACTION_FORWARD
	case routing.Redirect:
		return operationsv1.RouteAction_ROUTE_ACTION_REDIRECT
	default:
		return operationsv1.RouteAction_ROUTE_ACTION_REFUSE
	}
}
