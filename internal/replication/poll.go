package replication

import (
	"context"
	"time"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

// The times between two looks at watermarks that somebody waits for, and how long one look may take.
const (
	firstPoll = 20 * time.Millisecond
	lastPoll  = 100 * time.Millisecond
	pollTime  = 5 * time.Second
)

// polled are the watermarks of a tenant, as far as anybody waits for them.
type polled map[replicationv1.Feed][ident.Lanes]ident.Version

// poll wakes who watches a tenant when its watermarks have moved, until nobody does. What moved between a watch's beginning and the first
// look is not seen, so that the first look wakes as well.
func (a *Applier) poll(tenant ident.TenantID) {
	var before polled
	timer := time.NewTimer(firstPoll)
	defer timer.Stop()
	for pause := firstPoll; ; pause = min(pause*3/2, lastPoll) {
		<-timer.C
		if !a.watchers.wanted(tenant) {
			return
		}
		now, ok := a.look(tenant)
		if !ok || before == nil || !now.equal(before) {
			a.watchers.notify(tenant)
		}
		if ok {
			before = now
		}
		timer.Reset(pause)
	}
}

// wanted tells whether somebody watches a tenant; if not, it is polled no more.
func (w *watchers) wanted(tenant ident.TenantID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.bells[tenant]; ok {
		return true
	}
	delete(w.polled, tenant)
	return false
}

// look reads a tenant's watermarks. It returns false when that fails: then who waits may look himself.
func (a *Applier) look(tenant ident.TenantID) (polled, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), pollTime)
	defer cancel()
	found := make(polled)
	record, known := a.cfg.Directory.Tenant(tenant)
	if !known || !a.cfg.Topology.Has(record.Home) {
		return found, true
	}
	grant := GrantOf(a.cfg.Topology, record, a.self)
	for _, feed := range feeds() {
		if !grant.Has(feed) || a.table(feed) == nil {
			continue
		}
		marks, err := a.marks(ctx, tenant, feed, a.cfg.Topology.ID(record.Home))
		if err != nil {
			return nil, false
		}
		var at [ident.Lanes]ident.Version
		for lane, m := range marks {
			at[lane] = m.version
		}
		found[feed] = at
	}
	return found, true
}

func (p polled) equal(other polled) bool {
	if len(p) != len(other) {
		return false
	}
	for feed, at := range p {
		if was, ok := other[feed]; !ok || was != at {
			return false
		}
	}
	return true
}
