package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

// scrubRetry is how long a scrub that failed rests.
const scrubRetry = 5 * time.Second

// scrubber removes copies that a tenant's policy no longer lets this region have: projections when their scope is taken away, and the
// key with them. It is told of changes, and looks at all tenants when it starts, so that what a crash left is found.
type scrubber struct {
	region   *region
	topology *topology.Topology
	*pending
}

func newScrubber(r *region, t *topology.Topology) *scrubber {
	return &scrubber{region: r, topology: t, pending: newPending()}
}

func (s *scrubber) run(ctx context.Context) error {
	for id := range s.region.directory.Index.Tenants() {
		s.add(id)
	}
	s.pending.run(ctx, scrubRetry, s.scrub, func(tenant ident.TenantID, err error) {
		s.region.logger.WarnContext(ctx, "copies that a tenant no longer allows here are not removed yet; it is tried again",
			slog.String("tenant", string(tenant)), slog.Any("error", err))
	})
	return nil
}

// scrub is idempotent. Purged tenants are the eraser's.
func (s *scrubber) scrub(ctx context.Context, id ident.TenantID) error {
	t, known := s.region.directory.Index.Tenant(string(id))
	if !known || t.State == uint8(tenancyv1.TenantState_TENANT_STATE_PURGED) {
		return nil
	}
	scope := routing.ScopeAt(s.topology, &t, s.region.index)
	if t.Home == s.region.index {
		scope = policyv1.Scope_SCOPE_UNSPECIFIED // The home needs no projections.
	}
	if scope == policyv1.Scope_SCOPE_UNSPECIFIED {
		if err := deleteRows(ctx, s.region.replica, id); err != nil {
			return err
		}
	}
	if t.Home != s.region.index && t.Standby != s.region.index {
		if err := deleteRows(ctx, s.region.regional, id); err != nil {
			return err
		}
		if scope != policyv1.Scope_SCOPE_JURISDICTION {
			if err := s.region.keys.Release(ctx, id); err != nil {
				return fmt.Errorf("releasing a tenant's key: %w", err)
			}
		}
	}
	return nil
}
