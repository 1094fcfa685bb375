package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
)

// settleRetry is how long an attempt that failed rests.
const settleRetry = 5 * time.Second

// settler makes the region's copies what tenants' policies say: it removes what a policy no longer allows here, projections and the key
// with them, and has lanes repaired that it allows and that are not known here. It is told of changes, and looks at all tenants when
// it starts, so that what a crash left is found.
type settler struct {
	*pending

	region   *region
	topology *topology.Topology
}

func newSettler(r *region, t *topology.Topology) *settler {
	return &settler{region: r, topology: t, pending: newPending()}
}

func (s *settler) run(ctx context.Context) error {
	for id := range s.region.directory.Index.Tenants() {
		s.add(id)
	}
	s.pending.run(ctx, settleRetry, s.settle, func(tenant ident.TenantID, err error) {
		s.region.logger.WarnContext(ctx, "the copies of a tenant are not as its policy says yet; it is tried again",
			slog.String("tenant", string(tenant)), slog.Any("error", err))
	})
	return nil
}

// settle is idempotent. Purged tenants are the eraser's.
func (s *settler) settle(ctx context.Context, id ident.TenantID) error {
	t, known := s.region.directory.Index.Tenant(string(id))
	if !known || t.State == uint8(tenancyv1.TenantState_TENANT_STATE_PURGED) {
		return nil
	}
	scope := routing.ScopeAt(s.topology, &t, s.region.index)
	if t.Home == s.region.index {
		scope = policyv1.Scope_SCOPE_UNSPECIFIED // The home needs no projections.
	}
	if scope == policyv1.Scope_SCOPE_UNSPECIFIED {
		// Events that were judged by the record before are written before it, or not at all.
		remove := func() error { return deleteRows(ctx, s.region.replica, id) }
		err := s.region.sync.applier.Retire(id, remove) //nolint:contextcheck // a removal that has begun is finished
		if err != nil {
			return err
		}
	}
	if t.Home != s.region.index && t.Standby != s.region.index && scope != policyv1.Scope_SCOPE_JURISDICTION {
		if err := s.release(ctx, id); err != nil {
			return err
		}
	}
	return s.region.sync.inspect(ctx, id, t)
}

// release gives up a tenant's key, unless there are rows that it opens: a directory that is behind must cost no home its data.
func (s *settler) release(ctx context.Context, id ident.TenantID) error {
	for _, partition := range keyspace.Partitions(id) {
		page, err := s.region.regional.Query(ctx, store.Query{Partition: partition, Limit: 1})
		if err != nil {
			return fmt.Errorf("looking for a tenant's rows: %w", err)
		}
		if len(page.Items) > 0 {
			return nil
		}
	}
	if err := s.region.keys.Release(ctx, id); err != nil {
		return fmt.Errorf("releasing a tenant's key: %w", err)
	}
	return nil
}
