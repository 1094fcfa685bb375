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
			refuse("has no route; say (domicile.policy.v1.route) = ROUTE_HOME, ROUTE_NEAREST or ROUTE_CONTROL")
		}
		switch {
		case p.Idempotency == policyv1.Idempotency_IDEMPOTENCY_UNSPECIFIED:
			refuse("has no idempotency; say (domicile.policy.v1.idempotency) = IDEMPOTENCY_READ or IDEMPOTENCY_KEYED")
		case p.Idempotency == policyv1.Idempotency_IDEMPOTENCY_KEYED && p.NoSideEffects:
			refuse("is IDEMPOTENCY_KEYED, so it writes, and says NO_SIDE_EFFECTS")
		case p.Idempotency == policyv1.Idempotency_IDEMPOTENCY_KEYED && p.Route == policyv1.Route_ROUTE_NEAREST:
			refuse("is IDEMPOTENCY_KEYED, so it writes, and ROUTE_NEAREST; only the home region writes")
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
