package seal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

// maxRaces bounds how often a step is tried again because another process of the region took it first.
const maxRaces = 32

// Provision gives a tenant its key, if it has none, in every lawful region, this one among them. It is called in the home
// before the first Seal, and again when a region becomes lawful. Repeating it is cheap, and finishes what a crash or a
// region that did not answer has left: until it has succeeded once, Seal fails with ErrNotReady. epoch is the ownership under
// which this region is the home: of two regions that began to make a key, the later owner goes on.
func (k *Keyring) Provision(ctx context.Context, tenant ident.TenantID, epoch ident.Epoch, lawful []ident.RegionID) error {
	others, err := k.others(lawful)
	if err != nil {
		return err
	}
	if key := k.cache.peek(tenant); key != nil && key.usable > 0 && containsAll(key.holders, others) {
		return nil
	}
	_, err = k.settle(ctx, goal{tenant: tenant, epoch: epoch, others: others, generation: 1})
	return err
}

// Deliver is Provision that does not trust what this process remembers of who holds the key: a region may have released it since.
func (k *Keyring) Deliver(ctx context.Context, tenant ident.TenantID, epoch ident.Epoch, lawful []ident.RegionID) error {
	others, err := k.others(lawful)
	if err != nil {
		return err
	}
	_, err = k.settle(ctx, goal{tenant: tenant, epoch: epoch, others: others, generation: 1})
	return err
}

// Rotate gives a tenant a new generation, and returns its number, once every lawful region holds it. Values sealed under older
// ones still open; hashes stay as they are. A rotation that was left unfinished is finished instead of begun anew. ErrNotReady:
// Provision first.
func (k *Keyring) Rotate(ctx context.Context, tenant ident.TenantID, epoch ident.Epoch, lawful []ident.RegionID) (uint32, error) {
	others, err := k.others(lawful)
	if err != nil {
		return 0, err
	}
	r, err := k.read(ctx, tenant)
	switch {
	case err != nil:
		return 0, err
	case r.purged.key != nil:
		return 0, ErrPurged
	case r.usable() == 0:
		return 0, ErrNotReady
	}
	return k.settle(ctx, goal{tenant: tenant, epoch: epoch, others: others, generation: r.usable() + 1})
}

// goal is what Provision and Rotate bring about: at least a generation in use, here and in the other lawful regions.
type goal struct {
	tenant     ident.TenantID
	epoch      ident.Epoch
	others     []ident.RegionID
	generation uint32
}

// settle reaches a goal and returns the generation that is then in use.
//
// Steps: hold the key here, have all others hold it, have all others use it, use it here. Each is durable before the next
// begins and may be repeated, so after a crash anywhere the same key goes on from there; and a region uses a key only after every
// lawful region was seen to hold it. A region that holds one key does not take another under the same or an earlier epoch, so a later
// owner who does not hold the earlier owner's key knows that it never came into use, and never will.
func (k *Keyring) settle(ctx context.Context, g goal) (uint32, error) {
	for range maxRaces {
		marked := k.cache.mark()
		r, data, err := k.hold(ctx, g)
		if errors.Is(err, errChanged) {
			continue
		}
		if err != nil {
			return 0, err
		}
		newest := data.generation()
		if err := k.deliver(ctx, g, data, r.usable() == newest); err != nil {
			return 0, err
		}
		if r.usable() != newest {
			err := k.save(ctx, r, change{inUse: wrapped(g.tenant, newest, nil, k.cfg.Clock()), epoch: g.epoch})
			if errors.Is(err, errChanged) {
				continue
			}
			if err != nil {
				return 0, err
			}
		}
		keys, err := data.primitives()
		if err != nil {
			return 0, err
		}
		k.cache.replace(g.tenant, &openKey{keys: keys, usable: newest, holders: g.others, loaded: k.cfg.Clock()}, marked)
		return newest, nil
	}
	return 0, fmt.Errorf("providing the key of tenant %s: %w", g.tenant, errChanged)
}

// hold makes this region hold a key of at least the generation, under the epoch if it is not yet in use, and returns it
// with the record as it is stored.
func (k *Keyring) hold(ctx context.Context, g goal) (record, *dataKey, error) {
	r, err := k.read(ctx, g.tenant)
	if err != nil {
		return r, nil, err
	}
	if r.purged.key != nil {
		return r, nil, ErrPurged
	}
	held := r.held.key
	if held == nil {
		data, err := newDataKey()
		if err != nil {
			return r, nil, err
		}
		return k.keep(ctx, g, r, data)
	}
	data, err := k.unwrap(ctx, g.tenant, held.GetWrapped(), held.GetGeneration())
	if err != nil {
		return r, nil, err
	}
	switch newest := data.generation(); {
	case newest < g.generation:
		if data, err = data.next(); err != nil {
			return r, nil, err
		}
		return k.keep(ctx, g, r, data)
	case newest != r.usable() && r.held.version.Epoch < g.epoch:
		return k.keep(ctx, g, r, data)
	default:
		return r, data, nil
	}
}

// keep stores a key as held here and returns what is then stored: from there on that counts, whoever stored it.
func (k *Keyring) keep(ctx context.Context, g goal, r record, data *dataKey) (record, *dataKey, error) {
	own, err := k.wrap(ctx, data, func(plain []byte) ([]byte, error) { return k.cfg.Wrapper.Wrap(ctx, g.tenant, plain) })
	if err != nil {
		return r, nil, k.unusable(fmt.Sprintf("wrapping the key of tenant %s in %s", g.tenant, k.cfg.Region), err)
	}
	c := change{held: wrapped(g.tenant, data.generation(), own, k.cfg.Clock()), epoch: g.epoch}
	if err := k.save(ctx, r, c); err != nil {
		return r, nil, err
	}
	return k.hold(ctx, g)
}

// deliver makes the other regions hold a key and then use it; if it is in use here, they held it before, or become lawful now.
func (k *Keyring) deliver(ctx context.Context, g goal, data *dataKey, inUse bool) error {
	if len(g.others) > 0 && k.cfg.Courier == nil {
		return fmt.Errorf("delivering the key of tenant %s: no way to region %s", g.tenant, g.others[0])
	}
	keys := make([]*storagev1.WrappedKey, len(g.others))
	for i, to := range g.others {
		foreign, err := k.wrap(ctx, data, func(plain []byte) ([]byte, error) { return k.cfg.Courier.WrapFor(ctx, to, g.tenant, plain) })
		if err != nil {
			return fmt.Errorf("wrapping the key of tenant %s for %s: %w", g.tenant, to, err)
		}
		keys[i] = wrapped(g.tenant, data.generation(), foreign, k.cfg.Clock())
	}
	for _, ready := range []bool{false, true} {
		if inUse && !ready {
			continue
		}
		for i, to := range g.others {
			if err := k.cfg.Courier.Deliver(ctx, to, Delivery{Key: keys[i], Epoch: g.epoch, Ready: ready}); err != nil {
				return fmt.Errorf("delivering the key of tenant %s to %s: %w", g.tenant, to, err)
			}
		}
	}
	return nil
}

// wrap hands the serialized key to fn and wipes it.
func (k *Keyring) wrap(ctx context.Context, data *dataKey, fn func(plain []byte) ([]byte, error)) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	plain, err := data.marshal()
	if err != nil {
		return nil, err
	}
	defer wipe(plain)
	return fn(plain)
}

// others returns the lawful regions without this one, each once, in order.
func (k *Keyring) others(lawful []ident.RegionID) ([]ident.RegionID, error) {
	if !slices.Contains(lawful, k.cfg.Region) {
		return nil, fmt.Errorf("%w: %s", ErrNotLawful, k.cfg.Region)
	}
	others := slices.Clone(lawful)
	slices.Sort(others)
	others = slices.Compact(others)
	return slices.DeleteFunc(others, func(r ident.RegionID) bool { return r == k.cfg.Region || r == ident.NoRegion }), nil
}

func containsAll(have, want []ident.RegionID) bool {
	return !slices.ContainsFunc(want, func(r ident.RegionID) bool { return !slices.Contains(have, r) })
}
