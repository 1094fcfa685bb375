package settings

import (
	"sync"

	"github.com/domicile-api/domicile/internal/ident"
)

// watchers wait for other regions' streams to be applied.
type watchers struct {
	mu    sync.Mutex
	bells map[ident.TenantID]map[chan struct{}]struct{}
}

// Watch returns a channel that gets a value whenever what Reached returns may have grown by what another region wrote, from before Watch
// returned on, and what ends the watch.
func (s *Settings) Watch(tenant ident.TenantID) (changed <-chan struct{}, stop func()) {
	w, bell := &s.watchers, make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bells == nil {
		w.bells = make(map[ident.TenantID]map[chan struct{}]struct{})
	}
	if w.bells[tenant] == nil {
		w.bells[tenant] = make(map[chan struct{}]struct{})
	}
	w.bells[tenant][bell] = struct{}{}
	return bell, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.bells[tenant], bell)
		if len(w.bells[tenant]) == 0 {
			delete(w.bells, tenant)
		}
	}
}

func (w *watchers) notify(tenant ident.TenantID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for bell := range w.bells[tenant] {
		select {
		case bell <- struct{}{}:
		default: // It rings already.
		}
	}
}
