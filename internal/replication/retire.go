package replication

import (
	"context"
	"hash/maphash"

	"github.com/domicile-api/domicile/internal/ident"
)

// retirement counts the beginnings and ends of retirements, and has how many are under way.
type retirement struct {
	changes uint64
	active  int
}

// retirement returns the entry of a tenant; a.mu is held. Tenants may share one: then a repair is made once more than it had to be.
func (a *Applier) retirement(tenant ident.TenantID) *retirement {
	return &a.retirements[maphash.Comparable(a.seed, tenant)%uint64(len(a.retirements))]
}

// Retire runs what removes a tenant's copies, or some of them, and returns its error. Before it runs, everything that was judged by an
// older record of the tenant has been written, and can be removed; nothing that is forbidden by the record as it is now is written
// any more. A repair that is under way does not complete. What was known of the tenant's lanes is forgotten: see Inspect. Where tables are
// Shared, that holds for all processes, and begins with the removal of the tenant's watermarks.
func (a *Applier) Retire(tenant ident.TenantID, remove func() error) error {
	a.mu.Lock()
	r := a.retirement(tenant)
	r.changes++
	r.active++
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		r.changes++
		r.active--
		for id := range a.lanes {
			if id.tenant == tenant {
				delete(a.lanes, id)
			}
		}
	}()
	for i := range a.locks {
		a.locks[i].Lock()
		a.locks[i].Unlock() //nolint:staticcheck // Nothing is done under the lock: who had it has judged and written.
	}
	if a.cfg.Shared {
		if err := a.fence(tenant); err != nil {
			return err
		}
	}
	return remove()
}

// Began returns what Complete is to be given at the end of a repair that begins now.
func (a *Applier) Began(tenant ident.TenantID) uint64 {
	a.mu.Lock()
	changes := a.retirement(tenant).changes
	a.mu.Unlock()
	if !a.cfg.Shared {
		return changes
	}
	ctx, cancel := context.WithTimeout(context.Background(), fenceTime)
	defer cancel()
	return a.fences(ctx, tenant, changes)
}

// same tells whether no copy of a tenant was or is being removed since Began.
func (a *Applier) same(ctx context.Context, tenant ident.TenantID, began uint64) bool {
	a.mu.Lock()
	r := *a.retirement(tenant)
	a.mu.Unlock()
	if r.active > 0 {
		return false
	}
	if !a.cfg.Shared {
		return r.changes == began
	}
	return began != 0 && a.fences(ctx, tenant, r.changes) == began
}
