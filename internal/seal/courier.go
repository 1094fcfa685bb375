package seal

import (
	"context"
	"fmt"
	"sync"

	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

// Courier brings a tenant's key to the keyrings of other regions. Both methods may be repeated at will. They fail with
// ErrUnreachable when the other region does not answer.
type Courier interface {
	// WrapFor encrypts a tenant's serialized key so that only region to can read it. The bytes must not be kept.
	WrapFor(ctx context.Context, to ident.RegionID, tenant ident.TenantID, keyset []byte) ([]byte, error)
	// Deliver hands a wrapped key to the Keyring.Accept of region to, and returns when that has. Who receives it must know
	// that the sender is a region of the tenant's jurisdiction: wrapping alone does not say who wrapped.
	Deliver(ctx context.Context, to ident.RegionID, d Delivery) error
}

// Delivery is a tenant's key on its way to a region.
type Delivery struct {
	// Key is wrapped for the region that receives it.
	Key *storagev1.WrappedKey
	// Epoch is the ownership under which the sender delivers.
	Epoch ident.Epoch
	// Ready says that every lawful region was seen to hold the key, so it may be used.
	Ready bool
}

// InProcess is the Courier between regions that run in one process.
type InProcess struct {
	mu    sync.RWMutex
	rings map[ident.RegionID]*Keyring
}

// NewInProcess returns a courier that reaches nobody yet.
func NewInProcess() *InProcess { return &InProcess{rings: make(map[ident.RegionID]*Keyring)} }

// Join makes a region's keyring reachable.
func (p *InProcess) Join(ring *Keyring) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rings[ring.cfg.Region] = ring
}

// WrapFor uses the other region's own wrapper.
func (p *InProcess) WrapFor(ctx context.Context, to ident.RegionID, tenant ident.TenantID, keyset []byte) ([]byte, error) {
	ring, err := p.ring(to)
	if err != nil {
		return nil, err
	}
	return ring.cfg.Wrapper.Wrap(ctx, tenant, keyset)
}

// Deliver calls the other region's keyring.
func (p *InProcess) Deliver(ctx context.Context, to ident.RegionID, d Delivery) error {
	ring, err := p.ring(to)
	if err != nil {
		return err
	}
	return ring.Accept(ctx, d)
}

func (p *InProcess) ring(region ident.RegionID) (*Keyring, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	ring, ok := p.rings[region]
	if !ok {
		return nil, fmt.Errorf("%w: %s does not run in this process", ErrUnreachable, region)
	}
	return ring, nil
}
