package app

import (
	"context"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/gen/domicile/tenancy/v1/tenancyv1connect"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/credential"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/topology"
)

// authenticator proves credentials with the region's directory; it is the mount.Authenticator.
type authenticator struct {
	credentials *directory.Credentials
	// region is this one, index what its directory says of tenants.
	region topology.Index
	index  *directory.Index
}

// Authenticate takes a revoked key for one method: the one by which a tenant revokes its own keys, so that a repetition of it,
// with the key that it revoked, succeeds again.
func (a authenticator) Authenticate(ctx context.Context, bearer string, c *call.Call) (call.Principal, error) {
	if err := a.atHome(c); err != nil {
		return call.Principal{}, err
	}
	key, err := credential.Parse(bearer)
	if err != nil {
		return call.Principal{}, fault.Wrap(errorsv1.Reason_REASON_CREDENTIAL_INVALID, err, "the API key is not valid")
	}
	if c.Procedure == tenancyv1connect.TenancyServiceRevokeOwnApiKeyProcedure {
		return a.credentials.CheckAlsoRevoked(ctx, key, bearer)
	}
	return a.credentials.Check(ctx, key, bearer)
}

// atHome refuses the call of a tenant that, as this region knows it, is no longer active or, unless the region's replica answers it,
// has another home. The edge has looked already, but its directory may be older, and between its look and the end of the call's body
// the tenant may have been deleted.
func (a authenticator) atHome(c *call.Call) error {
	if c.Home == "" {
		return nil // A method of the control region: not a tenant's call.
	}
	t, known := a.index.Tenant(string(c.Tenant))
	switch {
	case !known:
		return nil // Newer than this region's directory: the key is looked up in the table.
	case t.State != uint8(tenancyv1.TenantState_TENANT_STATE_ACTIVE):
		return fault.New(errorsv1.Reason_REASON_TENANT_UNKNOWN, "host, API key and Domicile-Tenant header name no tenant of the platform")
	case t.Home != a.region && c.Home == c.Region:
		return fault.New(errorsv1.Reason_REASON_MISROUTED, "the call was routed to a region that is not the tenant's home")
	default:
		return nil
	}
}
