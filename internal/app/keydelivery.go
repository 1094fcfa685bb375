package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

// keyRetry is how long a delivery that failed rests.
const keyRetry = 5 * time.Second

// keyDelivery brings the keys of tenants that are at home here to the regions that may open projections of scope JURISDICTION. The
// home waits for none of them, unlike for the standby: until a region has the key, its reads go home.
type keyDelivery struct {
	*pending

	region   *region
	topology *topology.Topology
}

func newKeyDelivery(r *region, t *topology.Topology) *keyDelivery {
	return &keyDelivery{region: r, topology: t, pending: newPending()}
}

// readers are the regions that may open a tenant's data, the home among them.
func readers(t *topology.Topology, tenant routing.Tenant) []ident.RegionID {
	all := []ident.RegionID{t.ID(tenant.Home)}
	for _, i := range t.Regions() {
		if i == tenant.Home {
			continue
		}
		if i == tenant.Standby || routing.ScopeAt(t, &tenant, i) == policyv1.Scope_SCOPE_JURISDICTION {
			all = append(all, t.ID(i))
		}
	}
	return all
}

// run delivers until ctx ends.
func (k *keyDelivery) run(ctx context.Context) error {
	for id, t := range k.region.directory.Index.Tenants() {
		if t.Home == k.region.index {
			k.add(id)
		}
	}
	k.pending.run(ctx, keyRetry, k.deliver, func(tenant ident.TenantID, err error) {
		k.region.logger.DebugContext(ctx, "a tenant's key is not with every region that may read",
			slog.String("tenant", string(tenant)), slog.Any("error", err))
	})
	return nil
}

// deliver is idempotent. A tenant that has no key yet gets it with its first write.
func (k *keyDelivery) deliver(ctx context.Context, id ident.TenantID) error {
	t, known := k.region.directory.Index.Tenant(string(id))
	if !known || t.Home != k.region.index || t.State == uint8(tenancyv1.TenantState_TENANT_STATE_PURGED) {
		return nil
	}
	if inUse, err := k.region.keys.InUse(ctx, id); err != nil || !inUse {
		return err
	}
	return k.region.keys.Deliver(ctx, id, t.Epoch, readers(k.topology, t))
}

// keyedSource answers repairs, and brings the tenant's key to whoever asks for one: a region that owes itself a repair may have given the
// key back, under a record that it heard of later than the home.
type keyedSource struct {
	peer.Source

	keys *keyDelivery
}

// Digest implements peer.Source.
func (k keyedSource) Digest(ctx context.Context, caller ident.RegionID, r *peerv1.DigestRequest) (*peerv1.DigestResponse, error) {
	answer, err := k.Source.Digest(ctx, caller, r)
	if err == nil {
		k.keys.add(ident.TenantID(r.GetStream().GetTenant())) // The caller is granted the stream; deliver looks at what else it may have.
	}
	return answer, err
}

// pending are tenants for which something is to be done until it succeeds.
type pending struct {
	mu      sync.Mutex
	waiting map[ident.TenantID]struct{}
	bell    chan struct{}
}

func newPending() *pending {
	return &pending{waiting: make(map[ident.TenantID]struct{}), bell: make(chan struct{}, 1)}
}

func (p *pending) add(tenant ident.TenantID) {
	p.mu.Lock()
	p.waiting[tenant] = struct{}{}
	p.mu.Unlock()
	select {
	case p.bell <- struct{}{}:
	default: // It rings already.
	}
}

// run does for each tenant, again after a pause for those where it fails, until ctx ends.
func (p *pending) run(
	ctx context.Context, pause time.Duration, do func(context.Context, ident.TenantID) error, failed func(ident.TenantID, error),
) {
	retry := time.NewTicker(pause)
	defer retry.Stop()
	for {
		p.mu.Lock()
		all := p.waiting
		p.waiting = make(map[ident.TenantID]struct{})
		p.mu.Unlock()
		again := make([]ident.TenantID, 0)
		for tenant := range all {
			if err := do(ctx, tenant); err != nil && ctx.Err() == nil {
				failed(tenant, err)
				again = append(again, tenant)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-p.bell:
		case <-retry.C:
		}
		p.mu.Lock()
		for _, tenant := range again {
			p.waiting[tenant] = struct{}{}
		}
		p.mu.Unlock()
	}
}
