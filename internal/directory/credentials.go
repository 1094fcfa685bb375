package directory

import (
	"context"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/credential"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// Verifiers find what proves a key. A Resolver does, and a ReadThrough.
type Verifiers interface {
	// KeyVerifier returns what proves a tenant's API key, and whether there is such a key.
	KeyVerifier(ctx context.Context, tenant ident.TenantID, keyID string) (Verifier, bool, error)
	// OperatorKeyVerifier returns what proves an operator's key, and whether there is such a key.
	OperatorKeyVerifier(ctx context.Context, keyID string) (Verifier, bool, error)
}

// CredentialsConfig is what Credentials are made of.
type CredentialsConfig struct {
	// Resolver finds verifiers.
	Resolver Verifiers
	// Clock judges expiry; time.Now in production.
	Clock func() time.Time
}

// Credentials checks the keys that callers prove themselves with. All methods are safe for concurrent use.
type Credentials struct{ cfg CredentialsConfig }

// NewCredentials returns a checker.
func NewCredentials(cfg CredentialsConfig) *Credentials { return &Credentials{cfg: cfg} }

// Check returns who proved a key; full is the whole key that k was parsed from. A key that is damaged, unknown, expired,
// revoked or has another secret is refused with CREDENTIAL_INVALID, in the same words, so that the refusal tells nothing about
// keys. A damaged one costs no look-up. If it cannot be known whether there is such a key, the error is that of the Resolver.
func (c *Credentials) Check(ctx context.Context, k credential.Key, full string) (call.Principal, error) {
	return c.check(ctx, k, full, false)
}

// CheckAlsoRevoked is Check for the one method that a revoked key may still call: the revocation of the tenant's own keys.
func (c *Credentials) CheckAlsoRevoked(ctx context.Context, k credential.Key, full string) (call.Principal, error) {
	return c.check(ctx, k, full, true)
}

func (c *Credentials) check(ctx context.Context, k credential.Key, full string, alsoRevoked bool) (call.Principal, error) {
	if !k.Wellformed() {
		return call.Principal{}, invalid()
	}
	v, known, err := c.find(ctx, k)
	if err != nil {
		return call.Principal{}, err
	}
	switch {
	case !known, !credential.Matches(full, v.Hash[:]), v.Revoked && !alsoRevoked:
		return call.Principal{}, invalid()
	case !v.Expires.IsZero() && !c.cfg.Clock().Before(v.Expires):
		return call.Principal{}, invalid()
	}
	return call.Principal{Kind: k.Kind, KeyID: k.ID}, nil
}

func (c *Credentials) find(ctx context.Context, k credential.Key) (Verifier, bool, error) {
	switch k.Kind {
	case call.TenantKey:
		return c.cfg.Resolver.KeyVerifier(ctx, k.Tenant, k.ID)
	case call.OperatorKey:
		return c.cfg.Resolver.OperatorKeyVerifier(ctx, k.ID)
	case call.Anonymous:
		return Verifier{}, false, nil
	default:
		return Verifier{}, false, nil
	}
}

func invalid() error {
	return fault.New(errorsv1.Reason_REASON_CREDENTIAL_INVALID, "the API key is not valid")
}
