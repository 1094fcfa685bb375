package repair

import (
	"context"
	"errors"
	"fmt"
	"time"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
)

// Config is what a Reconciler needs. All is required but Watch, Clock and Tuning.
type Config struct {
	// Region is the one whose copies are compared; Topology has it and the homes.
	Region   ident.RegionID
	Topology *topology.Topology
	// Tenants is the directory.
	Tenants replication.Tenants
	// Replica has the projections, Regional the sealed copies. They are only read; Target writes them.
	Replica, Regional store.Store
	// Home returns what is asked of a region.
	Home func(ident.RegionID) Home
	// Target takes in what was found.
	Target Target
	// Watch returns a channel that is closed when a watermark of a tenant has moved, and how to end that; replication.Applier.Watch is
	// one. Nil: watermarks are looked at again and again.
	Watch func(ident.TenantID) (moved <-chan struct{}, end func())
	// Clock says which idempotency records are about to expire; nil: time.Now.
	Clock func() time.Time
	// Tuning bounds the work; the zero value has good defaults.
	Tuning Tuning
}

// Tuning bounds the work. A zero field means its default.
type Tuning struct {
	// Lanes is how many lanes are compared or repaired at a time, Fetches how many fetches of one lane are under way. Default 8 and 4. With
	// 1, no goroutine is started.
	Lanes, Fetches int
	// Rounds is how often an entity is fetched when writers are faster. Default 5.
	Rounds int
	// Settle is how long a verification waits for the stream to bring what differs. Default 5 s.
	Settle time.Duration
	// Keep is how many differences of a lane are kept. Default 10,000.
	Keep int
	// MaxRequests is how often a home is asked about one lane. Default 1,000,000.
	MaxRequests int
}

func (t Tuning) withDefaults() Tuning {
	for _, f := range []struct {
		value *int
		other int
	}{{&t.Lanes, 8}, {&t.Fetches, 4}, {&t.Rounds, 5}, {&t.Keep, 10_000}, {&t.MaxRequests, 1_000_000}} {
		if *f.value <= 0 {
			*f.value = f.other
		}
	}
	if t.Settle <= 0 {
		t.Settle = 5 * time.Second
	}
	return t
}

// Reconciler compares a region's copies with the homes and repairs them. It is safe for concurrent use; two repairs of one lane at a
// time do no harm and twice the work.
type Reconciler struct {
	cfg  Config
	self topology.Index
}

// New returns the reconciler of a region.
func New(cfg Config) (*Reconciler, error) {
	if cfg.Topology == nil || cfg.Tenants == nil || cfg.Replica == nil || cfg.Regional == nil || cfg.Home == nil || cfg.Target == nil {
		return nil, errors.New("repair: Topology, Tenants, Replica, Regional, Home and Target are required")
	}
	self, ok := cfg.Topology.Index(cfg.Region)
	if !ok {
		return nil, errors.New("repair: the region is not in the topology")
	}
	cfg.Tuning = cfg.Tuning.withDefaults()
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return &Reconciler{cfg: cfg, self: self}, nil
}

// Compare compares a lane with its home, and changes nothing. What differs may be on its way: see Verify.
func (r *Reconciler) Compare(ctx context.Context, s *replicationv1.Stream) (Result, error) {
	c, err := r.newComparison(s, false)
	if err != nil {
		return Result{}, err
	}
	err = c.compare(ctx)
	return c.result, err
}

// Repair brings the copy of a lane to what its home has and notes that it is complete as of Result.Q. A copy that is empty is filled
// page by page. It fails with ErrUnfinished when it has to be tried again later; what was done stays done.
func (r *Reconciler) Repair(ctx context.Context, s *replicationv1.Stream) (Result, error) {
	c, err := r.newComparison(s, true)
	if err != nil {
		return Result{}, err
	}
	c.mend = &mending{c: c, began: r.cfg.Target.Began(c.tenant)}
	if err = c.compare(ctx); err == nil {
		err = c.mend.finish(ctx)
	}
	return c.result, err
}

// Streams calls fn with every stream of a tenant, or of all when the id is empty, that the region is granted, until fn fails, whose
// error it then returns.
func (r *Reconciler) Streams(ctx context.Context, only ident.TenantID, fn func(*replicationv1.Stream) error) error {
	if only != "" {
		return r.streamsOf(only, fn)
	}
	for _, home := range r.cfg.Topology.Regions() {
		if home == r.self {
			continue
		}
		if err := r.streamsAt(ctx, home, fn); err != nil {
			return err
		}
	}
	return nil
}

// streamsAt calls fn with the streams of the tenants that are at home in a region.
func (r *Reconciler) streamsAt(ctx context.Context, home topology.Index, fn func(*replicationv1.Stream) error) error {
	var tenants []ident.TenantID // Gathered first: fn takes its time, and the directory moves on.
	err := r.cfg.Tenants.AtHome(ctx, home, func(id ident.TenantID) error {
		tenants = append(tenants, id)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the directory: %w", err)
	}
	for _, id := range tenants {
		if err := r.streamsOf(id, fn); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reconciler) streamsOf(id ident.TenantID, fn func(*replicationv1.Stream) error) error {
	tenant, ok := r.cfg.Tenants.Tenant(id)
	if !ok {
		return nil
	}
	grant := replication.GrantOf(r.cfg.Topology, tenant, r.self)
	for _, feed := range []replicationv1.Feed{replicationv1.Feed_FEED_PROJECTIONS, replicationv1.Feed_FEED_STANDBY} {
		for lane := range uint32(ident.Lanes) {
			if !grant.Has(feed) {
				break
			}
			s := &replicationv1.Stream{Tenant: string(id), Feed: feed, Origin: string(r.cfg.Topology.ID(tenant.Home)), Lane: lane}
			if err := fn(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// table returns the table that the copy of a feed is in.
func (r *Reconciler) table(feed replicationv1.Feed) store.Store {
	if feed == replicationv1.Feed_FEED_STANDBY {
		return r.cfg.Regional
	}
	return r.cfg.Replica
}

// rest waits, or until ctx ends, whose error it then returns.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
