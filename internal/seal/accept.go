package seal

import (
	"context"
	"errors"
	"fmt"

	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

// Accept takes a key that another region of the tenant's jurisdiction delivers, wrapped for this one, and holds it durably; ready
// says that every lawful region holds it, so it may be used. A repeated or late delivery changes nothing. A key that differs
// from the one held fails with ErrConflict, unless it is ready and the one held was never in use: that one is then what a region
// made that ceased to be the home before it could deliver, and nothing is sealed under it.
func (k *Keyring) Accept(ctx context.Context, key *storagev1.WrappedKey, ready bool) error {
	tenant := ident.TenantID(key.GetTenant())
	delivered, err := k.unwrap(ctx, tenant, key.GetWrapped(), key.GetGeneration())
	if err != nil {
		return err
	}
	for range maxRaces {
		r, err := k.read(ctx, tenant)
		if err != nil {
			return err
		}
		if r.purged.key != nil {
			return ErrPurged
		}
		c, err := k.accept(ctx, r, delivered, key, ready)
		if err != nil {
			return err
		}
		if c == (change{}) {
			return nil
		}
		err = k.save(ctx, r, c)
		// Dropped whatever the outcome: when it is not known, it may have taken effect.
		k.cache.drop(tenant)
		if !errors.Is(err, errChanged) {
			return err
		}
	}
	return fmt.Errorf("accepting the key of tenant %s: %w", tenant, errChanged)
}

// accept decides what a delivery changes.
func (k *Keyring) accept(ctx context.Context, r record, delivered *dataKey, key *storagev1.WrappedKey, ready bool) (change, error) {
	now, generation := k.cfg.Clock(), delivered.generation()
	take := change{held: wrapped(r.tenant, generation, key.GetWrapped(), now)}
	use := wrapped(r.tenant, generation, nil, now)
	if ready && r.usable() < generation {
		take.inUse = use
	}
	if r.held.key == nil {
		return take, nil
	}
	held, err := k.unwrap(ctx, r.tenant, r.held.key.GetWrapped(), r.held.key.GetGeneration())
	if err != nil {
		return change{}, err
	}
	same, err := held.begins(delivered, min(held.generation(), generation))
	if err != nil {
		return change{}, err
	}
	switch {
	case same && generation <= held.generation():
		take.held = nil // it is here already
		return take, nil
	case same:
		return take, nil
	case !ready:
		return change{}, ErrConflict
	}
	// The one held differs. What of it is in use must be the same; the rest gives way.
	same, err = held.begins(delivered, r.usable())
	if err != nil {
		return change{}, err
	}
	if !same || generation <= r.usable() {
		return change{}, ErrConflict
	}
	return take, nil
}
