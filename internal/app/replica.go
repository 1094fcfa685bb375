package app

import (
	"context"
	"sync"
	"time"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/replication"
)

// Highest implements entity.ReplicaLanes.
func (s *synchronisation) Highest(
	ctx context.Context, tenant ident.TenantID, home ident.RegionID, lane ident.Lane,
) (ident.Version, bool, error) {
	l, err := replication.ReadLane(ctx, s.region.replica, tenant, replicationv1.Feed_FEED_PROJECTIONS, home, lane)
	return ident.Version{Epoch: l.Watermark.Epoch, Seq: l.Highest}, l.Complete, err
}

// Positions implements consistency.Replica.
func (s *synchronisation) Positions(ctx context.Context, tenant ident.TenantID, home ident.RegionID) (ident.Positions, bool, error) {
	t, known := s.Tenant(tenant)
	if !known {
		return ident.Positions{}, false, nil
	}
	marks, err := replication.ReadWatermarks(ctx, s.region.replica, tenant, replicationv1.Feed_FEED_PROJECTIONS, home)
	if err != nil || !marks.Complete(t.Epoch) {
		return ident.Positions{}, false, err
	}
	have := ident.Positions{Epoch: t.Epoch}
	for lane := range marks {
		have.Lanes[lane] = marks[lane].Watermark.Seq
	}
	return have, true, nil
}

// Watch implements consistency.Replica. The applier's own watch ends with the first move, so it is begun anew after each.
func (s *synchronisation) Watch(tenant ident.TenantID) (<-chan struct{}, func()) {
	changed, done := make(chan struct{}, 1), make(chan struct{})
	moved, cancel := s.applier.Watch(tenant)
	go func() {
		for {
			select {
			case <-done:
				cancel()
				return
			case <-moved:
			}
			cancel()
			moved, cancel = s.applier.Watch(tenant)
			select {
			case changed <- struct{}{}:
			default: // It says so already.
			}
		}
	}()
	return changed, sync.OnceFunc(func() { close(done) })
}

// Staleness is how old this region's replica of a tenant is at the most.
func (s *synchronisation) Staleness(tenant ident.TenantID) (time.Duration, bool) {
	t, known := s.Tenant(tenant)
	if !known {
		return 0, false
	}
	fresh, ok, err := s.applier.Fresh(s.region.ctx, tenant, replicationv1.Feed_FEED_PROJECTIONS, s.topology.ID(t.Home))
	if err != nil || !ok {
		return 0, false
	}
	return max(s.clock().Sub(fresh), 0), true
}
