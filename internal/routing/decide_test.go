package routing_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

const (
	forward = uint8(tenancyv1.Transit_TRANSIT_FORWARD)
	strict  = uint8(tenancyv1.Transit_TRANSIT_STRICT)
	active  = uint8(tenancyv1.TenantState_TENANT_STATE_ACTIVE)
	deleted = uint8(tenancyv1.TenantState_TENANT_STATE_DELETED)
	purged  = uint8(tenancyv1.TenantState_TENANT_STATE_PURGED)

	everywhere   = uint8(tenancyv1.Projections_PROJECTIONS_EVERYWHERE)
	jurisdiction = uint8(tenancyv1.Projections_PROJECTIONS_JURISDICTION)

	global   = policyv1.DataClass_DATA_CLASS_GLOBAL
	regional = policyv1.DataClass_DATA_CLASS_REGIONAL

	routeHome    = policyv1.Route_ROUTE_HOME
	routeNearest = policyv1.Route_ROUTE_NEAREST
	routeAny     = policyv1.Route_ROUTE_ANY
	routeControl = policyv1.Route_ROUTE_CONTROL

	ok          = errorsv1.Reason_REASON_UNSPECIFIED
	wrongRegion = errorsv1.Reason_REASON_WRONG_REGION
	unknown     = errorsv1.Reason_REASON_TENANT_UNKNOWN
	noLawful    = errorsv1.Reason_REASON_NO_LAWFUL_REGION
	draining    = errorsv1.Reason_REASON_REGION_DRAINING
	noVersion   = errorsv1.Reason_REASON_VERSION_UNAVAILABLE
	misrouted   = errorsv1.Reason_REASON_MISROUTED
)

// The default topology's regions, in its order.
const (
	frankfurt topology.Index = iota
	dublin
	virginia
	oregon
	singapore
	saoPaulo
)

func set(regions ...topology.Index) uint32 {
	var bits uint32
	for _, region := range regions {
		bits = routing.With(bits, region)
	}
	return bits
}

func TestDecide(t *testing.T) {
	t.Parallel()
	acme := routing.Tenant{Home: frankfurt, Standby: dublin, Transit: forward, State: active, Epoch: 1}
	bank := routing.Tenant{Home: frankfurt, Standby: topology.NoRegion, Transit: strict, State: active, Epoch: 1}
	near := acme
	near.Projections = everywhere
	gone, erased, odd := acme, acme, acme
	gone.State, erased.State, odd.Transit = deleted, purged, 77
	lost := acme
	lost.Home = 9
	moved := acme
	moved.Home, moved.Standby, moved.Epoch = dublin, frankfurt, 2
	type in = routing.Input
	tests := map[string]struct {
		in     in
		action routing.Action
		region topology.Index
		failed routing.Rule
		reason errorsv1.Reason
	}{
		"at home":                     {in{Tenant: acme, Known: true, Route: routeHome, Edge: frankfurt}, routing.Local, frankfurt, routing.RuleHandOver, ok},
		"from abroad":                 {in{Tenant: acme, Known: true, Route: routeHome, Edge: virginia}, routing.Forward, frankfurt, routing.RuleHandOver, ok},
		"nearest, no replica":         {in{Tenant: near, Known: true, Route: routeNearest, Reach: global, Edge: virginia}, routing.Forward, frankfurt, routing.RuleHandOver, ok},
		"nearest, at home":            {in{Tenant: near, Known: true, Route: routeNearest, Reach: global, Replica: true, Edge: frankfurt}, routing.Local, frankfurt, routing.RuleHandOver, ok},
		"nearest, summary abroad":     {in{Tenant: near, Known: true, Route: routeNearest, Reach: global, Replica: true, Edge: virginia}, routing.Replica, virginia, routing.RuleHandOver, ok},
		"nearest, record abroad":      {in{Tenant: near, Known: true, Route: routeNearest, Reach: regional, Replica: true, Edge: virginia}, routing.Forward, frankfurt, routing.RuleHandOver, ok},
		"nearest, record in Dublin":   {in{Tenant: near, Known: true, Route: routeNearest, Reach: regional, Replica: true, Edge: dublin}, routing.Replica, dublin, routing.RuleHandOver, ok},
		"nearest while home is dead":  {in{Tenant: near, Known: true, Route: routeNearest, Reach: global, Replica: true, Edge: virginia, Health: routing.Health{Dead: set(frankfurt)}}, routing.Replica, virginia, routing.RuleHandOver, ok},
		"nearest, edge draining":      {in{Tenant: near, Known: true, Route: routeNearest, Reach: global, Replica: true, Edge: virginia, Health: routing.Health{Draining: set(virginia)}}, routing.Forward, frankfurt, routing.RuleHandOver, ok},
		"nearest, strict caller":      {in{Tenant: near, Known: true, Route: routeNearest, Reach: global, Replica: true, Edge: virginia, Strict: true}, routing.Replica, virginia, routing.RuleHandOver, ok},
		"nearest goes home":           {in{Tenant: acme, Known: true, Route: routeNearest, Edge: virginia}, routing.Forward, frankfurt, routing.RuleHandOver, ok},
		"any, abroad":                 {in{Tenant: acme, Known: true, Route: routeAny, Replica: true, Edge: virginia}, routing.Replica, virginia, routing.RuleHandOver, ok},
		"any, at home":                {in{Tenant: acme, Known: true, Route: routeAny, Replica: true, Edge: frankfurt}, routing.Local, frankfurt, routing.RuleHandOver, ok},
		"any, edge alone":             {in{Tenant: acme, Known: true, Route: routeAny, Edge: virginia}, routing.Forward, frankfurt, routing.RuleHandOver, ok},
		"any while home is dead":      {in{Tenant: acme, Known: true, Route: routeAny, Replica: true, Edge: virginia, Health: routing.Health{Dead: set(frankfurt)}}, routing.Replica, virginia, routing.RuleHandOver, ok},
		"any, edge draining":          {in{Tenant: acme, Known: true, Route: routeAny, Replica: true, Edge: virginia, Health: routing.Health{Draining: set(virginia)}}, routing.Forward, frankfurt, routing.RuleHandOver, ok},
		"any, strict caller":          {in{Tenant: acme, Known: true, Route: routeAny, Replica: true, Edge: virginia, Strict: true}, routing.Replica, virginia, routing.RuleHandOver, ok},
		"any, strict tenant abroad":   {in{Tenant: bank, Known: true, Route: routeAny, Replica: true, Edge: virginia}, routing.Redirect, frankfurt, routing.RuleTransit, wrongRegion},
		"any, strict tenant inside":   {in{Tenant: bank, Known: true, Route: routeAny, Replica: true, Edge: dublin}, routing.Replica, dublin, routing.RuleHandOver, ok},
		"strict tenant abroad":        {in{Tenant: bank, Known: true, Route: routeHome, Edge: virginia}, routing.Redirect, frankfurt, routing.RuleTransit, wrongRegion},
		"strict tenant in Dublin":     {in{Tenant: bank, Known: true, Route: routeHome, Edge: dublin}, routing.Forward, frankfurt, routing.RuleHandOver, ok},
		"strict tenant at home":       {in{Tenant: bank, Known: true, Route: routeHome, Edge: frankfurt}, routing.Local, frankfurt, routing.RuleHandOver, ok},
		"odd policy abroad":           {in{Tenant: odd, Known: true, Route: routeHome, Edge: virginia}, routing.Redirect, frankfurt, routing.RuleTransit, wrongRegion},
		"strict caller abroad":        {in{Tenant: acme, Known: true, Route: routeHome, Edge: virginia, Strict: true}, routing.Redirect, frankfurt, routing.RuleStrict, wrongRegion},
		"strict caller in Dublin":     {in{Tenant: acme, Known: true, Route: routeHome, Edge: dublin, Strict: true}, routing.Redirect, frankfurt, routing.RuleStrict, wrongRegion},
		"strict caller at home":       {in{Tenant: acme, Known: true, Route: routeHome, Edge: frankfurt, Strict: true}, routing.Local, frankfurt, routing.RuleHandOver, ok},
		"unknown tenant":              {in{Route: routeHome, Edge: frankfurt}, routing.Refuse, topology.NoRegion, routing.RuleTenant, unknown},
		"deleted tenant":              {in{Tenant: gone, Known: true, Route: routeHome, Edge: frankfurt}, routing.Refuse, topology.NoRegion, routing.RuleTenant, unknown},
		"purged tenant":               {in{Tenant: erased, Known: true, Route: routeHome, Edge: frankfurt}, routing.Refuse, topology.NoRegion, routing.RuleTenant, unknown},
		"no route":                    {in{Tenant: acme, Known: true, Edge: frankfurt}, routing.Refuse, topology.NoRegion, routing.RuleRoute, noVersion},
		"new route":                   {in{Tenant: acme, Known: true, Route: 9, Edge: frankfurt}, routing.Refuse, topology.NoRegion, routing.RuleRoute, noVersion},
		"dead home with a standby":    {in{Tenant: acme, Known: true, Route: routeHome, Edge: dublin, Health: routing.Health{Dead: set(frankfurt)}}, routing.Refuse, frankfurt, routing.RuleRegion, noLawful},
		"dead home, strict, abroad":   {in{Tenant: bank, Known: true, Route: routeHome, Edge: virginia, Health: routing.Health{Dead: set(frankfurt)}}, routing.Refuse, frankfurt, routing.RuleRegion, noLawful},
		"taken over":                  {in{Tenant: moved, Known: true, Route: routeHome, Edge: virginia, Health: routing.Health{Dead: set(frankfurt)}}, routing.Forward, dublin, routing.RuleHandOver, ok},
		"draining home":               {in{Tenant: acme, Known: true, Route: routeHome, Edge: dublin, Health: routing.Health{Draining: set(frankfurt)}}, routing.Refuse, frankfurt, routing.RuleRegion, draining},
		"dead and draining":           {in{Tenant: acme, Known: true, Route: routeHome, Edge: dublin, Health: routing.Health{Dead: set(frankfurt), Draining: set(frankfurt)}}, routing.Refuse, frankfurt, routing.RuleRegion, noLawful},
		"another is dead":             {in{Tenant: acme, Known: true, Route: routeHome, Edge: dublin, Health: routing.Health{Dead: set(dublin, virginia)}}, routing.Forward, frankfurt, routing.RuleHandOver, ok},
		"home not in the topology":    {in{Tenant: lost, Known: true, Route: routeHome, Edge: dublin}, routing.Refuse, 9, routing.RuleRegion, noLawful},
		"edge not in the topology":    {in{Tenant: acme, Known: true, Route: routeHome, Edge: 9}, routing.Refuse, frankfurt, routing.RuleEdge, misrouted},
		"operator at the control":     {in{Route: routeControl, Edge: virginia}, routing.Local, virginia, routing.RuleHandOver, ok},
		"operator elsewhere":          {in{Route: routeControl, Edge: saoPaulo}, routing.Forward, virginia, routing.RuleHandOver, ok},
		"operator, strict caller":     {in{Route: routeControl, Edge: saoPaulo, Strict: true}, routing.Redirect, virginia, routing.RuleStrict, wrongRegion},
		"operator, deleted tenant":    {in{Tenant: gone, Known: true, Route: routeControl, Edge: saoPaulo}, routing.Forward, virginia, routing.RuleHandOver, ok},
		"control dead":                {in{Route: routeControl, Edge: saoPaulo, Health: routing.Health{Dead: set(virginia)}}, routing.Refuse, virginia, routing.RuleRegion, noLawful},
		"control draining":            {in{Route: routeControl, Edge: saoPaulo, Health: routing.Health{Draining: set(virginia)}}, routing.Refuse, virginia, routing.RuleRegion, draining},
		"bank asks control abroad":    {in{Tenant: bank, Known: true, Route: routeControl, Edge: virginia}, routing.Redirect, frankfurt, routing.RuleTransit, wrongRegion},
		"bank asks control at home":   {in{Tenant: bank, Known: true, Route: routeControl, Edge: frankfurt}, routing.Forward, virginia, routing.RuleHandOver, ok},
		"bank asks control, strictly": {in{Tenant: bank, Known: true, Route: routeControl, Edge: frankfurt, Strict: true}, routing.Refuse, virginia, routing.RuleStrict, noLawful},
		"bank asks control, home dead": {
			in{Tenant: bank, Known: true, Route: routeControl, Edge: singapore, Health: routing.Health{Dead: set(frankfurt)}},
			routing.Refuse, virginia, routing.RuleTransit, noLawful,
		},
		"bank asks control, home draining": {
			in{Tenant: bank, Known: true, Route: routeControl, Edge: singapore, Health: routing.Health{Draining: set(frankfurt)}},
			routing.Refuse, virginia, routing.RuleTransit, draining,
		},
	}
	d := topologyfile.Default()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := routing.Decide(d, test.in)
			if got.Action != test.action || got.Region != test.region || got.Failed != test.failed || got.Reason != test.reason {
				t.Errorf("got %s %d %s %s, want %s %d %s %s", got.Action, got.Region, got.Failed, got.Reason,
					test.action, test.region, test.failed, test.reason)
			}
			if broken := statements(d, test.in, got); broken != "" {
				t.Error(broken)
			}
		})
	}
}

// statements holds a decision against what the platform promises, in words of residency, knowing nothing of rules or their
// order. It returns the first promise that is broken.
func statements(t *topology.Topology, in routing.Input, got routing.Decision) string {
	law := func(i topology.Index) ident.Jurisdiction { return t.Jurisdiction(i) }
	isTenants := in.Known && in.Tenant.State == active
	home := in.Tenant.Home
	foreignEdge := law(in.Edge) == "" || law(in.Edge) != law(home)
	keepsOut := isTenants && in.Tenant.Transit != forward && foreignEdge
	answered := got.Action == routing.Local || got.Action == routing.Forward || got.Action == routing.Replica
	owner := home
	holds := in.Tenant.Projections == everywhere && in.Reach == global && law(in.Edge) != "" && law(home) != "" ||
		(in.Tenant.Projections == everywhere || in.Tenant.Projections == jurisdiction) && !foreignEdge && (in.Reach == global || in.Reach == regional)
	nearest := in.Route == routeNearest && in.Replica && in.Edge != home && holds && in.Health.Dead>>in.Edge&1 == 0 && in.Health.Draining>>in.Edge&1 == 0
	anywhere := in.Route == routeAny && in.Replica && in.Edge != home && law(in.Edge) != "" && law(home) != "" &&
		in.Health.Dead>>in.Edge&1 == 0 && in.Health.Draining>>in.Edge&1 == 0
	switch {
	case in.Route == routeControl:
		owner = t.Control()
	case nearest, anywhere:
		owner = in.Edge
	}
	dead, isDraining := in.Health.Dead>>owner&1 == 1, in.Health.Draining>>owner&1 == 1
	strictCaller := in.Strict && in.Edge != owner
	sound := t.Has(in.Edge) && t.Has(owner) && in.Route >= routeHome && in.Route <= routeAny
	for _, promise := range []struct {
		words string
		kept  bool
	}{
		{"local or forward only ever to the home, the control region for its methods, a replica that may hold the answer, or any region that may write what is everybody's", !answered || got.Region == owner},
		{"a region that is not the home answers just the NEAREST calls whose answer it may hold, and calls of route ANY", (got.Action == routing.Replica) == (answered && (nearest || anywhere))},
		{"an answer has no reason, a refusal has one", answered == (got.Reason == ok)},
		{"local means that edge and region are one, forward that they are two", !answered || (got.Action != routing.Forward) == (in.Edge == got.Region)},
		{"a STRICT tenant's call passes no foreign edge", !keepsOut || !answered},
		{"a strict caller is not forwarded", !in.Strict || got.Action != routing.Forward},
		{"a dead region answers nothing", !answered || !dead},
		{"a draining region takes nothing new", !answered || !isDraining},
		{"a method of the home is answered for living tenants only", !answered || isTenants || in.Route == routeControl},
		{"an unknown, deleted or purged tenant is unknown", isTenants || in.Route == routeControl || got.Reason == unknown},
		{"nobody else is unknown", !isTenants && in.Route != routeControl || got.Reason != unknown},
		{"a dead home has no lawful other", !isTenants || !sound || !dead || got.Reason == noLawful},
		{"a redirect is a wrong region and says a region that lives", (got.Action == routing.Redirect) == (got.Reason == wrongRegion) &&
			(got.Action != routing.Redirect || t.Has(got.Region) && in.Health.Dead>>got.Region&1 == 0 && in.Health.Draining>>got.Region&1 == 0 && got.Region != in.Edge)},
		{"a foreign edge sends a STRICT tenant into the home's jurisdiction", got.Action != routing.Redirect || !keepsOut || law(got.Region) == law(home)},
		{"a redirect names the home, or the control region for its methods", got.Action != routing.Redirect || got.Region == home || got.Region == owner},
		{"whatever nothing forbids is answered", answered || !sound || !isTenants && in.Route != routeControl || keepsOut || strictCaller || dead || isDraining},
		{"what is redirected is forbidden here", got.Action != routing.Redirect || keepsOut || strictCaller},
	} {
		if !promise.kept {
			return fmt.Sprintf("not so: %s: %+v gave %s %d %s", promise.words, in, got.Action, got.Region, got.Reason)
		}
	}
	if got.Action == routing.Redirect {
		in.Edge = got.Region
		if next := routing.Decide(t, in); next.Action == routing.Redirect {
			return fmt.Sprintf("not so: who follows a redirect is not redirected again: %+v at %d to %d", in, got.Region, next.Region)
		}
	}
	return explained(got)
}

// explained holds the words against the decision.
func explained(d routing.Decision) string {
	outcomes := d.Explain()
	answered := d.Action == routing.Local || d.Action == routing.Forward || d.Action == routing.Replica
	reasons := map[string][]errorsv1.Reason{
		"tenant":  {unknown},
		"route":   {noVersion},
		"region":  {noLawful, draining},
		"transit": {wrongRegion, noLawful, draining},
		"strict":  {wrongRegion, noLawful},
		"edge":    {misrouted},
	}
	order := []string{"tenant", "route", "region", "transit", "strict", "edge", "hand-over"}
	for i, outcome := range outcomes {
		last := i == len(outcomes)-1
		switch {
		case outcome.Rule != order[i]:
			return fmt.Sprintf("rule %d is %s, not %s", i, outcome.Rule, order[i])
		case outcome.Detail == "":
			return outcome.Rule + " has no words"
		case !last && !outcome.Passed:
			return outcome.Rule + " failed and the decision went on"
		case last && outcome.Passed != answered:
			return fmt.Sprintf("%s passed: %t, and the action is %s", outcome.Rule, outcome.Passed, d.Action)
		case last && !answered && !contains(reasons[outcome.Rule], d.Reason):
			return fmt.Sprintf("%s failed, and the reason is %s", outcome.Rule, d.Reason)
		case last && answered && len(outcomes) != len(order):
			return "answered without having met every rule"
		}
	}
	if len(outcomes) == 0 {
		return "no rule was met"
	}
	return ""
}

func contains(all []errorsv1.Reason, one errorsv1.Reason) bool {
	return slices.Contains(all, one)
}

// Every home, standby, policy, state, route and edge of the default topology, strict and not, with every single region and a
// few sets of them dead or draining.
func TestEveryCombination(t *testing.T) {
	t.Parallel()
	d := topologyfile.Default()
	healths := make([]routing.Health, 0, 4+2*d.Len())
	healths = append(healths, routing.Health{}, routing.Health{Dead: ^uint32(0)}, routing.Health{Draining: ^uint32(0)},
		routing.Health{Dead: set(frankfurt, dublin), Draining: set(virginia, frankfurt)})
	for i := range d.Regions() {
		healths = append(healths,
			routing.Health{Dead: set(topology.Index(i))}, routing.Health{Draining: set(topology.Index(i))})
	}
	regions := append(d.Regions(), 6, 31, topology.NoRegion)
	count, byAction := 0, map[routing.Action]int{}
	each := func(in routing.Input) {
		got := routing.Decide(d, in)
		if broken := statements(d, in, got); broken != "" {
			t.Fatal(broken)
		}
		byAction[got.Action]++
		count++
	}
	for _, home := range regions {
		for _, edge := range regions {
			for _, transit := range []uint8{0, forward, strict, 3} {
				for _, health := range healths {
					everyCall(routing.Input{
						Tenant: routing.Tenant{Home: home, Standby: d.Standby(home), Transit: transit, State: active, Epoch: 1},
						Edge:   edge, Health: health,
					}, each)
				}
			}
		}
	}
	t.Logf("%d combinations: %v", count, byAction)
	for _, action := range []routing.Action{routing.Local, routing.Replica, routing.Forward, routing.Redirect, routing.Refuse} {
		if byAction[action] == 0 {
			t.Errorf("no combination leads to %s", action)
		}
	}
}

// everyCall varies what the caller decides: the method's route, the header, and whether the tenant lives.
func everyCall(in routing.Input, each func(routing.Input)) {
	for route := policyv1.Route(-1); route <= 5; route++ {
		for _, state := range []uint8{0, active, deleted, purged} {
			for mask := range 4 {
				in.Route, in.Tenant.State = route, state
				in.Known, in.Strict = mask&1 != 0, mask&2 != 0
				if route == routeNearest {
					everyNearest(in, each)
					continue
				}
				if route == routeAny {
					with := in
					with.Replica = true
					each(with)
				}
				each(in)
			}
		}
	}
}

// everyNearest varies what decides about replicas.
func everyNearest(in routing.Input, each func(routing.Input)) {
	each(in)
	in.Replica = true
	for policy := range uint8(5) {
		for class := range policyv1.DataClass_DATA_CLASS_SECRET {
			in.Tenant.Projections, in.Reach = policy, class+1
			each(in)
		}
	}
}

func TestRandomTopologies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := randomTopology(t)
		region := rapid.Custom(func(t *rapid.T) topology.Index {
			if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
				return topology.Index(rapid.Uint8().Draw(t, "any"))
			}
			return topology.Index(rapid.IntRange(0, d.Len()-1).Draw(t, "region"))
		})
		for range 50 {
			in := routing.Input{
				Tenant: routing.Tenant{
					Home: region.Draw(t, "home"), Standby: region.Draw(t, "standby"),
					Projections: rapid.Uint8Range(0, 4).Draw(t, "projections"),
					Transit:     rapid.Uint8Range(0, 3).Draw(t, "transit"), State: rapid.Uint8Range(0, 4).Draw(t, "state"),
				},
				Known: rapid.Bool().Draw(t, "known"), Strict: rapid.Bool().Draw(t, "strict"),
				Route: policyv1.Route(rapid.Int32Range(0, 5).Draw(t, "route")), Edge: region.Draw(t, "edge"),
				Reach: policyv1.DataClass(rapid.Int32Range(0, 4).Draw(t, "reach")), Replica: rapid.Bool().Draw(t, "replica"),
				Health: routing.Health{Dead: rapid.Uint32().Draw(t, "dead") & rapid.Uint32().Draw(t, "and"), Draining: rapid.Uint32().Draw(t, "draining")},
			}
			if rapid.Bool().Draw(t, "well") {
				in.Health = routing.Health{}
			}
			if broken := statements(d, in, routing.Decide(d, in)); broken != "" {
				t.Fatal(broken)
			}
		}
	})
}

// randomTopology makes a topology of 1 to 32 regions in a few jurisdictions, each with a home.
func randomTopology(t *rapid.T) *topology.Topology {
	count := rapid.IntRange(1, topology.MaxRegions).Draw(t, "regions")
	control := rapid.IntRange(0, count-1).Draw(t, "control")
	laws := rapid.SliceOfN(rapid.IntRange(0, 5), count, count).Draw(t, "laws")
	var text strings.Builder
	_, _ = text.WriteString("regions:\n")
	for i, law := range laws {
		roles := "home"
		if i == control {
			roles += ", control"
		}
		_, _ = fmt.Fprintf(&text, "  - {id: r-%d, jurisdiction: L%d, roles: [%s], port: %d}\n", i, law, roles, 10000+20*i)
	}
	d, err := topologyfile.Parse("random", []byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return d
}
