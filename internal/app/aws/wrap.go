package aws

import (
	"context"
	"fmt"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal/kms"
)

// tenantsKey is how the key of a region is reached under which tenants' keys are wrapped.
func (o *opener) tenantsKey(region ident.RegionID) kms.Config {
	return kms.Config{AWS: o.aws, Deployment: o.names.Deployment(), Region: region, Key: o.accounts.key(region, o.names.TenantsKey())}
}

// wrapFor wraps a tenant's key under the key of another region.
func (o *opener) wrapFor(ctx context.Context, region ident.RegionID, tenant ident.TenantID, keyset []byte) ([]byte, error) {
	recipient, err := kms.NewRecipient(o.tenantsKey(region))
	if err != nil {
		return nil, fmt.Errorf("reaching the key of %s: %w", region, err)
	}
	return recipient.Wrap(ctx, tenant, keyset)
}
