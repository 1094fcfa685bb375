package peer

import (
	"context"
	"errors"
	"fmt"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
)

// CourierConfig is what a Courier is made of. All fields are needed.
type CourierConfig struct {
	// Network reaches the other regions.
	Network Network
	// PublicKey returns the public half of a region's own sealing key, which must come from where only that region can have put it; false
	// if it is not known yet.
	PublicKey func(region ident.RegionID) ([]byte, bool)
	// Wrap encrypts a tenant's key so that only the region with that public key can read it.
	Wrap func(ctx context.Context, region ident.RegionID, public []byte, tenant ident.TenantID, keyset []byte) ([]byte, error)
}

// Courier brings tenants' keys to the keyrings of other regions. A key leaves this region wrapped for the one that gets it.
type Courier struct{ cfg CourierConfig }

var _ seal.Courier = (*Courier)(nil)

// NewCourier returns a courier.
func NewCourier(cfg CourierConfig) (*Courier, error) {
	if cfg.Network == nil || cfg.PublicKey == nil || cfg.Wrap == nil {
		return nil, errConfig
	}
	return &Courier{cfg}, nil
}

// WrapFor implements seal.Courier. It needs no call: a region whose public key is not known here yet counts as unreachable.
func (c *Courier) WrapFor(ctx context.Context, to ident.RegionID, tenant ident.TenantID, keyset []byte) ([]byte, error) {
	public, ok := c.cfg.PublicKey(to)
	if !ok {
		return nil, fmt.Errorf("%w: the public key of %s is not known", seal.ErrUnreachable, to)
	}
	return c.cfg.Wrap(ctx, to, public, tenant, keyset)
}

// Deliver implements seal.Courier.
func (c *Courier) Deliver(ctx context.Context, to ident.RegionID, d seal.Delivery) error {
	_, err := c.cfg.Network.To(to).DeliverKey(ctx, &peerv1.DeliverKeyRequest{
		Tenant: d.Key.GetTenant(), Generation: d.Key.GetGeneration(), Wrapped: d.Key.GetWrapped(), CreateTime: d.Key.GetCreateTime(),
		Epoch: uint64(d.Epoch), Ready: d.Ready,
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrUnreachable):
		return fmt.Errorf("%w: %w", seal.ErrUnreachable, err)
	default:
		return fmt.Errorf("delivering a key to %s: %w", to, err)
	}
}
