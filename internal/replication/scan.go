package replication

import (
	"context"
	"fmt"
	"time"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/store"
)

// Scan looks at the tenants that Look named, and at all that are at home here when the change feed said that it may have missed
// some. Lanes that are ahead of a cursor become dirty. It returns false when there was nothing to look at. When it fails, what
// was not looked at is looked at next time.
func (r *Relay) Scan(ctx context.Context) (bool, error) {
	r.mu.Lock()
	all, named := r.all, r.toScan
	r.all, r.allNow, r.toScan = false, all, make(map[ident.TenantID]struct{})
	r.mu.Unlock()
	if !all && len(named) == 0 {
		return false, nil
	}
	err := r.scan(ctx, all, named)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.allNow = false
	if err != nil {
		r.all = r.all || all
		for t := range named {
			r.toScan[t] = struct{}{}
		}
		return true, err
	}
	if !r.all && len(r.toScan) == 0 {
		r.scanning = time.Time{}
	}
	return true, nil
}

func (r *Relay) scan(ctx context.Context, all bool, named map[ident.TenantID]struct{}) error {
	for t := range named {
		if err := r.scanTenant(ctx, t); err != nil {
			return err
		}
		delete(named, t)
	}
	if !all {
		return nil
	}
	err := r.cfg.Tenants.AtHome(ctx, r.self, func(t ident.TenantID) error { return r.scanTenant(ctx, t) })
	if err != nil {
		return fmt.Errorf("looking at the tenants: %w", err)
	}
	return nil
}

// scanTenant compares the counters of a tenant's lanes with the cursors of every destination. A tenant that never wrote anything is
// not told of.
func (r *Relay) scanTenant(ctx context.Context, id ident.TenantID) error {
	tenant, err := r.tenant(id)
	if err != nil {
		return nil //nolint:nilerr // nothing is told of it; when its record comes, it is looked at
	}
	heads, wrote, err := r.heads(ctx, id)
	if err != nil || !wrote {
		return err
	}
	now := r.cfg.Clock()
	for lane := range ident.Lane(ident.Lanes) {
		if err := r.scanLane(ctx, tenant, laneOf{id, lane}, heads[lane], now); err != nil {
			return err
		}
	}
	return nil
}

// heads reads the counters of a tenant's lanes. wrote is false when nothing was ever written.
func (r *Relay) heads(ctx context.Context, id ident.TenantID) (heads [ident.Lanes]ident.Version, wrote bool, err error) {
	for lane := range ident.Lane(ident.Lanes) {
		if heads[lane], err = r.counter(ctx, id, lane); err != nil {
			return heads, false, err
		}
		wrote = wrote || heads[lane].Seq > 0
	}
	return heads, wrote, nil
}

// needsSending tells whether a pair has something that is to be sent, or a cursor that is to be deleted.
func needsSending(granted, sent bool, c cursor, head ident.Version, epoch ident.Epoch) bool {
	if !granted {
		return sent
	}
	return !sent || c.version.Seq < head.Seq || c.version.Epoch < epoch
}

func (r *Relay) scanLane(ctx context.Context, tenant routing.Tenant, key laneOf, head ident.Version, now time.Time) error {
	cursors, err := r.cursors(ctx, key)
	if err != nil {
		return err
	}
	for _, d := range r.to {
		grant := GrantOf(r.cfg.Topology, tenant, d.index)
		for _, feed := range feeds() {
			c, sent := cursors[cursorID{feed, d.id}]
			p := pair{tenant: key.tenant, lane: key.lane, feed: feed}
			if needsSending(grant.Has(feed), sent, c, head, tenant.Epoch) {
				d.work.mark(p, head.Seq, now)
				d.work.progressOf(p, c.version.Seq)
			}
		}
	}
	r.prunableLane(key)
	return nil
}

// cursorID names a cursor of a lane.
type cursorID struct {
	feed replicationv1.Feed
	to   ident.RegionID
}

// cursors reads all cursors of a lane.
func (r *Relay) cursors(ctx context.Context, key laneOf) (map[cursorID]cursor, error) {
	found := make(map[cursorID]cursor)
	from, to := keyspace.Cursors()
	for {
		page, err := r.cfg.Table.Query(ctx, store.Query{Partition: keyspace.Lane(key.tenant, key.lane), From: from, To: to})
		if err != nil {
			return nil, fmt.Errorf("reading the cursors: %w", err)
		}
		for _, item := range page.Items {
			from = item.Key.Sort + "\x00"
			feed, region, ok := keyspace.ParseCursor(item.Key.Sort)
			if !ok {
				continue
			}
			c, err := cursorOf(item)
			if err != nil {
				return nil, err
			}
			found[cursorID{feed, region}] = c
		}
		if !page.More {
			return found, nil
		}
	}
}
