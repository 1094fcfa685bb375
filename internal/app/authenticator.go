package app

import (
	"context"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/gen/domicile/tenancy/v1/tenancyv1connect"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/credential"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/fault"
)

// authenticator proves credentials with the region's directory; it is the rpc.Authenticator.
type authenticator struct{ credentials *directory.Credentials }

// Authenticate takes a revoked key for one method: the one by which a tenant revokes its own keys, so that a repetition of it,
// with the key that it revoked, succeeds again.
func (a authenticator) Authenticate(ctx context.Context, bearer string, c *call.Call) (call.Principal, error) {
	key, err := credential.Parse(bearer)
	if err != nil {
		return call.Principal{}, fault.Wrap(errorsv1.Reason_REASON_CREDENTIAL_INVALID, err, "the API key is not valid")
	}
	if c.Procedure == tenancyv1connect.TenancyServiceRevokeOwnApiKeyProcedure {
		return a.credentials.CheckAlsoRevoked(ctx, key, bearer)
	}
	return a.credentials.Check(ctx, key, bearer)
}
