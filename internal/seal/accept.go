package seal

import (
	"context"
	"errors"
	"fmt"

	"github.com/domicile-api/domicile/internal/ident"
)

// Accept takes a key that another region of the tenant's jurisdiction delivers, wrapped for this one, and holds it durably; when
// it is ready it comes into use. A repeated or late delivery changes nothing.
//
// A key that differs from the one held takes its place if nothing is sealed under what it replaces: if it is ready, or is
// delivered under a later epoch than the one held was, and agrees with all generations that are in use. It fails
// with ErrConflict otherwise.
func (k *Keyring) Accept(ctx context.Context, d Delivery) error {
	tenant := ident.TenantID(d.Key.GetTenant())
	delivered, err := k.unwrap(ctx, tenant, d.Key.GetWrapped(), d.Key.GetGeneration())
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
		c, err := k.accept(ctx, r, delivered, d)
		if err != nil || c.empty() {
			return err
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
func (k *Keyring) accept(ctx context.Context, r record, delivered *dataKey, d Delivery) (change, error) {
	now, generation := k.cfg.Clock(), delivered.generation()
	c := change{held: wrapped(r.tenant, generation, d.Key.GetWrapped(), now), epoch: d.Epoch}
	if d.Ready && r.usable() < generation {
		c.inUse = wrapped(r.tenant, generation, nil, now)
	}
	if r.held.key == nil {
		return c, nil
	}
	held, err := k.unwrap(ctx, r.tenant, r.held.key.GetWrapped(), r.held.key.GetGeneration())
	if err != nil {
		return change{}, err
	}
	same, err := held.begins(delivered, min(held.generation(), generation))
	if err != nil {
		return change{}, err
	}
	if !same {
		return c, k.mayReplace(r, held, delivered, d)
	}
	later := d.Epoch > r.held.version.Epoch && generation > r.usable()
	if generation < held.generation() || generation == held.generation() && !later {
		c.held = nil // It is here already, and so is the promise to its owner.
	}
	return c, nil
}

// mayReplace tells whether a key may take the place of another one that is held.
func (k *Keyring) mayReplace(r record, held, delivered *dataKey, d Delivery) error {
	if !d.Ready && d.Epoch <= r.held.version.Epoch {
		return ErrConflict
	}
	same, err := held.begins(delivered, r.usable())
	if err == nil && !same {
		err = ErrConflict
	}
	return err
}
