package seal

import (
	"context"
	"errors"
	"fmt"

	"github.com/domicile-api/domicile/internal/ident"
)

// Release removes this region's copy of a tenant's key when the region may no longer open the tenant's data. The key lives on in the
// regions that may, and can be delivered here again when this region may. Never call it in the tenant's home or standby. Repeating it does
// nothing.
func (k *Keyring) Release(ctx context.Context, tenant ident.TenantID) error {
	for range maxRaces {
		r, err := k.read(ctx, tenant)
		if err != nil {
			return err
		}
		if r.purged.key != nil || r.held.key == nil && r.inUse.key == nil {
			return nil
		}
		err = k.save(ctx, r, change{released: true})
		k.cache.drop(tenant)
		if !errors.Is(err, errChanged) {
			return err
		}
	}
	return fmt.Errorf("releasing the key of tenant %s: %w", tenant, errChanged)
}
