package check

import (
	"fmt"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/residency"
)

// methodPolicy: where a call is answered and what its repetition does are decisions, so they have no defaults.
func methodPolicy(c *Contract) []Finding {
	var found []Finding
	for _, m := range c.methods() {
		p := residency.MethodPolicyOf(m)
		refuse := func(text string) {
			found = append(found, Finding{At: m, Text: fmt.Sprintf("method %q %s", m.FullName(), text)})
		}
		if p.Route == policyv1.Route_ROUTE_UNSPECIFIED {
			refuse("has no route; say (domicile.policy.v1.route) = ROUTE_HOME, ROUTE_NEAREST, ROUTE_ANY or ROUTE_CONTROL")
		}
		switch {
		case p.Idempotency == policyv1.Idempotency_IDEMPOTENCY_UNSPECIFIED:
			refuse("has no idempotency; say (domicile.policy.v1.idempotency) = IDEMPOTENCY_READ or IDEMPOTENCY_KEYED")
		case p.Idempotency == policyv1.Idempotency_IDEMPOTENCY_KEYED && p.NoSideEffects:
			refuse("is IDEMPOTENCY_KEYED, so it writes, and says NO_SIDE_EFFECTS")
		case p.Idempotency == policyv1.Idempotency_IDEMPOTENCY_KEYED && p.Route == policyv1.Route_ROUTE_NEAREST:
			refuse("is IDEMPOTENCY_KEYED, so it writes, and ROUTE_NEAREST; only the home region writes, " +
				"or any region what is multi-primary: ROUTE_HOME or ROUTE_ANY")
		}
	}
	return found
}

// secretRevealed: a SECRET is shown at most once, by a method whose author meant it.
func secretRevealed(c *Contract) []Finding {
	var found []Finding
	for _, m := range c.methods() {
		if p := residency.MethodPolicyOf(m); p.Response == policyv1.DataClass_DATA_CLASS_SECRET && !p.RevealsSecret {
			found = append(found, Finding{At: m, Text: fmt.Sprintf(
				"method %q answers a SECRET field; mark it (domicile.policy.v1.reveals_secret) = true or answer without it", m.FullName())})
		}
	}
	return found
}

// anyGlobal: a region that may hold nothing but GLOBAL fields takes the call and answers it.
func anyGlobal(c *Contract) []Finding {
	var found []Finding
	for _, m := range c.methods() {
		p := residency.MethodPolicyOf(m)
		if p.Route != policyv1.Route_ROUTE_ANY {
			continue
		}
		refuse := func(what string, class policyv1.DataClass) {
			if class > policyv1.DataClass_DATA_CLASS_GLOBAL {
				found = append(found, Finding{At: m, Text: fmt.Sprintf(
					"method %q is ROUTE_ANY and its %s reaches a %s field; every region takes such calls, so make it GLOBAL or use ROUTE_HOME",
					m.FullName(), what, residency.Label(class))})
			}
		}
		refuse("request", p.Request)
		refuse("answer", p.Response)
	}
	return found
}
