package seal

import (
	"context"
	"errors"
	"fmt"

	"github.com/domicile-api/domicile/internal/ident"
)

// Purge destroys this region's copies of a tenant's key: what was sealed under it cannot be opened here again, and the tenant
// never gets another, by Provision or by Accept. Each lawful region purges its own. Repeating it does nothing. Other
// processes of the region may open with the key until it is MaxAge old in their memory.
func (k *Keyring) Purge(ctx context.Context, tenant ident.TenantID) error {
	for range maxRaces {
		r, err := k.read(ctx, tenant)
		if err != nil {
			return err
		}
		if r.purged.key != nil {
			k.cache.drop(tenant)
			return nil
		}
		err = k.save(ctx, r, change{purged: wrapped(tenant, 0, nil, k.cfg.Clock())})
		// Dropped whatever the outcome: when it is not known, it may have taken effect.
		k.cache.drop(tenant)
		if !errors.Is(err, errChanged) {
			return err
		}
	}
	return fmt.Errorf("purging the keys of tenant %s: %w", tenant, errChanged)
}
