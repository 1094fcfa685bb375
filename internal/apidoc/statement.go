package apidoc

import (
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
)

// statement says in words where an operation is answered and where what it carries may be.
func (l layer) statement(op *openapi3.Operation) string {
	route, _ := op.Extensions[ExtRoute].(string)
	class, _ := op.Extensions[ExtClass].(string)
	var sentences []string
	say := func(sentence string) {
		if sentence != "" {
			sentences = append(sentences, sentence)
		}
	}
	switch route {
	case RouteControl:
		l.sayControl(say)
	case RouteAny:
		say("By the region that the call comes in at, from its own copy" + l.here() + ".")
		say(l.strictOnly())
	case RouteNearest:
		say(l.nearest(class))
		say(l.strictOnly())
	default:
		say(l.home())
		say(l.foreign())
	}
	say(aboutClass(class))
	return strings.Join(sentences, " ")
}

func (l layer) here() string {
	if l.global() {
		return ""
	}
	return ": " + l.name(l.at)
}

func (l layer) sayControl(say func(string)) {
	control := l.topo.Control()
	switch {
	case l.global():
		say("By the control region, " + l.name(control) + "; every other region forwards the call there.")
	case l.at == control:
		say("Here: " + l.name(control) + " is the control region.")
	default:
		say("By the control region, " + l.name(control) + ", to which this region forwards the call.")
	}
	say("It takes an operator's key.")
}

// home says where the methods go that only a tenant's home answers.
func (l layer) home() string {
	same, _ := l.homes()
	switch {
	case l.global():
		return "By the tenant's home region, whichever region the call comes in at."
	case !l.topo.Is(l.at, topologyv1.Role_ROLE_HOME) && len(same) > 0:
		return "No tenant lives in this region. A call of a tenant of " + l.names(same) + " is forwarded there, inside of the jurisdiction."
	case len(same) > 0:
		return "Here, for tenants whose home is " + l.name(l.at) + "; a call of a tenant of " + l.names(same) +
			" is forwarded there, inside of the jurisdiction."
	default:
		return "Here, for tenants whose home is " + l.name(l.at) + "."
	}
}

// foreign says what a tenant of another jurisdiction gets.
func (l layer) foreign() string {
	if l.global() {
		return "A region outside of the tenant's jurisdiction forwards the call in one hop if the tenant's transit is FORWARD, and keeps nothing of it. " +
			"If it is STRICT, it refuses with 421 WRONG_REGION, which names the home's endpoint, and does not read the body."
	}
	_, other := l.homes()
	if len(other) == 0 {
		return "There is no home in another jurisdiction."
	}
	return "A call of a tenant of " + l.names(other) + " is forwarded there in one hop if the tenant's transit is FORWARD, and nothing of it " +
		"is kept here. If it is STRICT, it is refused with 421 WRONG_REGION, which names the home's endpoint, and its body is not read."
}

// strictOnly is foreign for methods that a region outside of the jurisdiction may answer itself.
func (l layer) strictOnly() string {
	if _, other := l.homes(); !l.global() && len(other) == 0 {
		return ""
	}
	return "Outside of the jurisdiction of a tenant whose transit is STRICT, the call is refused with 421 WRONG_REGION."
}

func (l layer) nearest(class string) string {
	where := "the region that the call comes in at"
	if !l.global() {
		where = "this region"
	}
	if class == ClassRegional {
		where += ", if it lies in the tenant's jurisdiction,"
	}
	return "By " + where + " from its replica, when that has all that the call's consistency token asks for and the tenant's policy " +
		"lets it be held there; otherwise by the tenant's home."
}

// aboutClass says where the data may be that an operation carries.
func aboutClass(class string) string {
	switch class {
	case ClassGlobal:
		return "Request and answer hold nothing but configuration and metadata (GLOBAL), which may be in every region."
	case ClassRegional:
		return "Request or answer holds regulated content (REGIONAL): it is readable in the tenant's jurisdiction and nowhere else."
	case ClassSecret:
		return "The answer holds a credential (SECRET): it is shown this once and not stored."
	default:
		return "Request or answer holds personal data (PII): it is readable at the tenant's home and nowhere else; " +
			"a standby of the same jurisdiction may hold a sealed copy."
	}
}
