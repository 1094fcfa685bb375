package seal

import (
	"context"
	"errors"
	"fmt"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

const (
	// DefaultMaxCached is how many tenants' keys a Keyring keeps in memory.
	DefaultMaxCached = 10_000
	// DefaultMaxAge is how long a key is used before it is read again: how long another process of the region may go on
	// with the keys of a purged tenant.
	DefaultMaxAge = 5 * time.Minute
)

// KeyringConfig is what a Keyring is made of.
type KeyringConfig struct {
	// Region is this region; Jurisdiction is its own, with which its items are tagged.
	Region       ident.RegionID
	Jurisdiction ident.Jurisdiction
	// Keys is the region's keys table.
	Keys store.Store
	// Wrapper is the region's own key.
	Wrapper Wrapper
	// Courier reaches the other regions; nil in a topology of one.
	Courier Courier
	// Clock is time.Now in production.
	Clock func() time.Time
	// MaxCached is DefaultMaxCached when zero, MaxAge DefaultMaxAge.
	MaxCached int
	MaxAge    time.Duration
}

// Keyring is the Sealer over a region's keys table. Besides sealing it makes, delivers, rotates and destroys the keys.
//
// A tenant's key is made once, by Provision in its home, and is wrapped for each lawful region by that region's own key. It is
// held by a region, which can then open with it, before it is in use there, which means that values are sealed under it; it
// comes into use only when every lawful region holds it. So whatever a home has sealed, its standby can open without the home.
type Keyring struct {
	cfg   KeyringConfig
	cache *keyCache
}

var _ Sealer = (*Keyring)(nil)

// NewKeyring returns a keyring.
func NewKeyring(cfg KeyringConfig) *Keyring {
	if cfg.MaxCached == 0 {
		cfg.MaxCached = DefaultMaxCached
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = DefaultMaxAge
	}
	k := &Keyring{cfg: cfg}
	k.cache = newKeyCache(cfg.MaxCached, cfg.MaxAge, cfg.Clock, k.load)
	return k
}

// Seal fails with ErrNotReady until Provision has succeeded, and with ErrPurged after Purge.
func (k *Keyring) Seal(ctx context.Context, b Bind, plain []byte) ([]byte, error) {
	key, err := k.ready(ctx, b.Tenant)
	if err != nil {
		return nil, err
	}
	body, err := key.keys.sealing[key.usable-1].Encrypt(plain, associated(key.usable, b))
	if err != nil {
		return nil, fmt.Errorf("sealing a %s: %w", b.Type, err)
	}
	sealed := make([]byte, 0, envelopeHeader+len(body))
	return append(appendHeader(sealed, key.usable), body...), nil
}

// Open opens under every generation that this region holds, also under one that is not in use here yet.
func (k *Keyring) Open(ctx context.Context, b Bind, sealed []byte) ([]byte, error) {
	generation, body, ok := parseHeader(sealed)
	if !ok || generation == 0 || generation > maxGenerations {
		return nil, ErrCannotOpen
	}
	key, err := k.holding(ctx, b.Tenant, generation)
	if err != nil {
		return nil, err
	}
	if int(generation) > len(key.keys.sealing) {
		return nil, ErrCannotOpen
	}
	plain, err := key.keys.sealing[generation-1].Decrypt(body, associated(generation, b))
	if err != nil {
		// Which part is wrong is nobody's to know.
		return nil, ErrCannotOpen
	}
	return plain, nil
}

// Hash fails like Seal: a hash is stored beside sealed values, and no sooner.
func (k *Keyring) Hash(ctx context.Context, tenant ident.TenantID, purpose string, value []byte) ([]byte, error) {
	key, err := k.ready(ctx, tenant)
	if err != nil {
		return nil, err
	}
	input := hashInput(purpose, value)
	defer wipe(input)
	sum, err := key.keys.hashing.ComputePrimaryPRF(input, hashSize)
	if err != nil {
		return nil, fmt.Errorf("hashing a value for %s: %w", purpose, err)
	}
	return sum, nil
}

// InUse tells whether a tenant's key is in use here: then every region that was lawful at the time has held it.
func (k *Keyring) InUse(ctx context.Context, tenant ident.TenantID) (bool, error) {
	key, err := k.cache.get(ctx, tenant)
	return err == nil && key.missing == nil && key.usable > 0, err
}

// ready returns a key that may seal.
func (k *Keyring) ready(ctx context.Context, tenant ident.TenantID) (*openKey, error) {
	key, err := k.cache.get(ctx, tenant)
	switch {
	case err != nil:
		return nil, err
	case key.missing != nil:
		return nil, key.missing
	case key.usable == 0:
		return nil, ErrNotReady
	default:
		return key, nil
	}
}

// holding returns a key that has a generation, if the region holds one: another process of it may have rotated since the key
// was cached.
func (k *Keyring) holding(ctx context.Context, tenant ident.TenantID, generation uint32) (*openKey, error) {
	key, err := k.cache.get(ctx, tenant)
	if err == nil && key.missing == nil && int(generation) > len(key.keys.sealing) {
		k.cache.dropIf(tenant, key)
		key, err = k.cache.get(ctx, tenant)
	}
	if err != nil {
		return nil, err
	}
	if key.missing != nil {
		return nil, key.missing
	}
	return key, nil
}

// load reads and unwraps a tenant's key.
func (k *Keyring) load(ctx context.Context, tenant ident.TenantID) (*openKey, error) {
	now := k.cfg.Clock()
	r, err := k.read(ctx, tenant)
	switch {
	case err != nil:
		return nil, err
	case r.purged.key != nil:
		return &openKey{missing: ErrPurged, loaded: now}, nil
	case r.held.key == nil:
		return &openKey{missing: ErrNoKey, loaded: now}, nil
	}
	data, err := k.unwrap(ctx, tenant, r.held.key.GetWrapped(), r.held.key.GetGeneration())
	if err != nil {
		return nil, err
	}
	keys, err := data.primitives()
	if err != nil {
		return nil, err
	}
	return &openKey{keys: keys, usable: r.usable(), loaded: now}, nil
}

// unusableRetry is what a client is told to wait while the region's own key cannot be used.
const unusableRetry = 2 * time.Second

// unusable is what a failure of the region's own key means to a call: the region cannot answer now, unless the fault is with what was to be
// opened, or with the call.
func (*Keyring) unusable(doing string, err error) error {
	for _, other := range []error{ErrCannotOpen, ErrUnreachable, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, other) {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
	f := fault.Wrap(errorsv1.Reason_REASON_REGION_UNAVAILABLE, fmt.Errorf("%s: %w", doing, err), "the region's key cannot be used now")
	f.RetryAfter = unusableRetry
	return f
}

// unwrap opens a wrapped key, which must be of this generation.
func (k *Keyring) unwrap(ctx context.Context, tenant ident.TenantID, wrappedKey []byte, generation uint32) (*dataKey, error) {
	plain, err := k.cfg.Wrapper.Unwrap(ctx, tenant, wrappedKey)
	if err != nil {
		return nil, k.unusable(fmt.Sprintf("unwrapping the key of tenant %s in %s", tenant, k.cfg.Region), err)
	}
	defer wipe(plain)
	data, err := parseDataKey(plain)
	if err != nil || data.generation() != generation {
		return nil, fmt.Errorf("unwrapping the key of tenant %s in %s: %w", tenant, k.cfg.Region, ErrCannotOpen)
	}
	return data, nil
}
