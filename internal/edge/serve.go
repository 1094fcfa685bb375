package edge

import (
	"net/http"
	"strings"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/handover"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routeheader"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/rpc"
)

// visit is one call at this edge: what is known of it, for the answer's headers and the log.
type visit struct {
	begin    time.Time
	protocol rpc.Protocol
	method   *Method // nil if the path is none of the platform's
	who      resolution
	action   string
	target   ident.RegionID // the region that answers, or would
	reason   errorsv1.Reason
	gone     bool     // the client did not wait for the answer
	body     *outBody // the request's, if it was read already
}

// The actions beyond routing's.
const (
	actionArrived        = "arrived"        // forwarded to here by another edge
	actionInfrastructure = "infrastructure" // health and reflection
	actionDocumentation  = "documentation"  // pages and documents, which the region's services have
	actionRefused        = "refuse"
)

// ServeHTTP implements http.Handler.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := &visit{begin: e.cfg.Clock(), protocol: rpc.ProtocolOf(r), action: actionRefused}
	rec := &recorder{w: w, edge: e, visit: v}
	r, end := e.trace(r, rec)
	defer func() {
		e.observe(r, v, rec)
		end()
	}()
	method, allow := e.matcher.Match(r.Method, r.URL.Path)
	v.method = method
	if method == nil && rpc.IsInfrastructure(r.URL.Path) {
		stripInternal(r.Header)
		r.Header.Del(routeheader.Name)
		v.action = actionInfrastructure
		rpc.Stream(rec)
		e.cfg.Local.ServeHTTP(rec, r)
		return
	}
	if method != nil && method.Streams {
		rpc.Stream(rec)
	}
	if method == nil || !method.Uploads {
		var err error
		if r, err = rpc.LimitBody(r, e.cfg.MaxBytes); err != nil {
			e.refuseUnread(rec, r, err)
			return
		}
	}
	stripInternal(r.Header)
	e.takeOver(r)
	switch {
	case len(r.Header[routeheader.Name]) > 0:
		// Another edge has decided. Its word is judged by the guard, and whatever it is worth, the call goes no further.
		v.action = actionArrived
		e.cfg.Local.ServeHTTP(rec, r)
	case method == nil && allow != "":
		e.refuseMethod(rec, r, allow)
	case method == nil:
		e.noMethod(rec, r)
	default:
		e.route(rec, r)
	}
}

// noMethod answers what is no method's. What is for developers, pages and documents, is too large for an edge that runs apart: the region's
// services have it. No tenant is looked for.
func (e *Edge) noMethod(rec *recorder, r *http.Request) {
	if !e.cfg.Apart || !rpc.IsDocumentation(r.URL.Path) {
		e.refuse(rec, r, fault.New(errorsv1.Reason_REASON_VERSION_UNAVAILABLE, "there is no such path or method"))
		return
	}
	v := rec.visit
	v.action, v.target, v.method = actionDocumentation, ident.RegionID(e.region), &Method{Route: policyv1.Route_ROUTE_CONTROL}
	e.forward(rec, r, e.cfg.Region) //nolint:contextcheck // it is the request's, see outBody.context
}

// takeOver takes the route header from a call that an edge of this region hands over.
func (e *Edge) takeOver(r *http.Request) {
	words := r.Header[routeheader.Name]
	if e.cfg.HandedOver != nil && len(words) == 1 && e.cfg.HandedOver(words[0]) {
		delete(r.Header, routeheader.Name)
	}
}

// route decides about a call that came in here, and does it.
func (e *Edge) route(rec *recorder, r *http.Request) {
	v := rec.visit
	who, err := e.resolve(r.Context(), r)
	v.who = who
	if err != nil {
		e.refuse(rec, r, err)
		return
	}
	control := v.method.Route == policyv1.Route_ROUTE_CONTROL
	if !who.known && !control {
		e.refuse(rec, r, who.unresolved(r.Header))
		return
	}
	strict, err := wantsStrict(r.Header)
	if err != nil {
		e.refuse(rec, r, err)
		return
	}
	input := routing.Input{
		Tenant: who.tenant, Known: who.known, Route: v.method.Route, Reach: v.method.Reach, Edge: e.cfg.Region,
		Strict: strict, Health: e.cfg.Health(), Replica: (e.cfg.Apart || e.gate(v.method.Route) != nil) && !v.method.Streams,
	}
	decision := e.decide(v, input)
	if decision.Action == routing.Replica && !e.cfg.Apart {
		if e.answerNearest(rec, r) {
			return
		}
		input.Replica = false
		decision = e.decide(v, input)
	}
	switch decision.Action {
	case routing.Local, routing.Replica:
		if e.cfg.Apart {
			e.forward(rec, r, e.cfg.Region) //nolint:contextcheck // it is the request's, see outBody.context
			return
		}
		e.cfg.Local.ServeHTTP(rec, r.WithContext(handover.With(r.Context(), e.callOf(v, control))))
	case routing.Forward:
		e.forward(rec, r, decision.Region) //nolint:contextcheck // it is the request's, see outBody.context
	case routing.Redirect:
		e.redirect(rec, r, decision)
	default:
		e.refuse(rec, r, e.refusal(decision))
	}
}

// decide routes the call, and notes how.
func (e *Edge) decide(v *visit, input routing.Input) routing.Decision {
	decision := routing.Decide(e.cfg.Topology, input)
	v.action, v.target = decision.Action.String(), e.cfg.Topology.ID(decision.Region)
	return decision
}

// headerRouting is the header by which a caller forbids a forward.
const headerRouting = "Domicile-Routing"

// wantsStrict tells whether the caller forbids a forward. The header may be given more than once and hold a list: strict anywhere is strict.
// What is not strict at all is refused: a word that is misspelt would let a call go where its caller does not want it.
func wantsStrict(header http.Header) (bool, error) {
	lines := header[headerRouting]
	for _, line := range lines {
		for word := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(word), "strict") {
				return true, nil
			}
		}
	}
	if len(lines) == 0 {
		return false, nil
	}
	const rule = "strict, or is left out"
	f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "%s is %s", headerRouting, rule)
	f.Violations = []fault.Violation{{Field: headerRouting, Rule: "header", Message: rule}}
	return false, f
}

// callOf is what the guard takes over. A method of the control region is not a tenant's, whoever is named beside it.
func (e *Edge) callOf(v *visit, control bool) *call.Call {
	c := &call.Call{
		Procedure:    v.method.Procedure,
		Region:       v.target,
		Edge:         ident.RegionID(e.region),
		Jurisdiction: e.cfg.Topology.Jurisdiction(e.cfg.Region),
	}
	if !control {
		c.Tenant, c.Epoch = v.who.id, v.who.tenant.Epoch
		c.Home = e.cfg.Topology.ID(v.who.tenant.Home)
		c.Jurisdiction = e.cfg.Topology.Jurisdiction(v.who.tenant.Home)
	}
	return c
}

// routeHeader is the signed form of callOf.
func (e *Edge) routeHeader(v *visit) string {
	if v.method.Route == policyv1.Route_ROUTE_CONTROL {
		return e.cfg.Signer.Sign(v.target, "", 0)
	}
	return e.cfg.Signer.Sign(v.target, v.who.id, v.who.tenant.Epoch)
}

// trace begins the call's span and makes it the parent of what follows, here and in the region that answers.
func (e *Edge) trace(r *http.Request, rec *recorder) (*http.Request, func()) {
	if e.tracer == nil || e.cfg.Propagator == nil {
		return r, func() {}
	}
	return e.startSpan(r, rec)
}
