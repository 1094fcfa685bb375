package replication

import (
	"sync"
	"sync/atomic"

	"github.com/domicile-api/domicile/internal/ident"
)

// watchers wait for watermarks of tenants to move. It costs next to nothing while nobody does.
type watchers struct {
	count atomic.Int64
	mu    sync.Mutex
	bells map[ident.TenantID]*bell
	// polled are the tenants whose watermarks are polled, because other processes move them.
	polled map[ident.TenantID]struct{}
}

// bell is closed when a watermark moves.
type bell struct {
	ch      chan struct{}
	waiting int
}

// Watch returns a channel that is closed when the watermark of any lane of a tenant next moves in this process. To wait for a
// position, watch first, then read the watermarks, then wait. Cancel must be called once, when it is no longer waited for.
//
// Where tables are Shared, other processes move watermarks too: while somebody waits, a goroutine looks at those of the tenant, again and
// again, and the channel is closed up to a tenth of a second later, and once for nothing.
func (a *Applier) Watch(tenant ident.TenantID) (moved <-chan struct{}, cancel func()) {
	w := &a.watchers
	w.count.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.bells[tenant]
	if !ok {
		b = &bell{ch: make(chan struct{})}
		if w.bells == nil {
			w.bells = make(map[ident.TenantID]*bell)
		}
		w.bells[tenant] = b
	}
	b.waiting++
	if _, polled := w.polled[tenant]; a.cfg.Shared && !polled {
		if w.polled == nil {
			w.polled = make(map[ident.TenantID]struct{})
		}
		w.polled[tenant] = struct{}{}
		go a.poll(tenant)
	}
	return b.ch, func() { w.leave(tenant, b) }
}

func (w *watchers) leave(tenant ident.TenantID, b *bell) {
	w.count.Add(-1)
	w.mu.Lock()
	defer w.mu.Unlock()
	b.waiting--
	if b.waiting == 0 && w.bells[tenant] == b {
		delete(w.bells, tenant)
	}
}

// notify wakes who watches a tenant.
func (w *watchers) notify(tenant ident.TenantID) {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if b, ok := w.bells[tenant]; ok {
		close(b.ch)
		delete(w.bells, tenant)
	}
}
