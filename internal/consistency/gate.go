package consistency

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

// Replica is what a region holds of tenants whose home is elsewhere.
type Replica interface {
	// Positions returns how far the replica has applied a tenant's streams: the epoch of its lanes, and the ends of their gapless
	// prefixes. complete is false while it lacks a lane or owes it a repair; then the positions count for nothing.
	Positions(ctx context.Context, tenant ident.TenantID, home ident.RegionID) (have ident.Positions, complete bool, err error)
	// Watch returns a channel that gets a value whenever the positions may have changed, from before Watch returned on, and what ends
	// the watch.
	Watch(tenant ident.TenantID) (changed <-chan struct{}, stop func())
}

// Streams says which streams a gate's reads are made of.
type Streams uint8

// The streams. The zero Streams is all of them.
const (
	AllStreams Streams = iota
	// HomeLanes are those of entities: the gate does not wait for other regions' settings.
	HomeLanes
	// Origins are those of multi-primary settings.
	Origins
)

// GateConfig is what a Gate is made of.
type GateConfig struct {
	// Codec reads tokens. Required.
	Codec *Codec
	// Topology names regions. Required.
	Topology *topology.Topology
	// Replica is what the gate admits to. Required.
	Replica Replica
	// Streams says what the reads behind the gate are made of.
	Streams Streams
	// History returns what is known of a tenant's ownership; nil: the present epoch alone.
	History func(tenant ident.TenantID, t routing.Tenant) History
	// Staleness returns how old the replica of a tenant is at the most, and whether that is known; nil: it never is.
	Staleness func(tenant ident.TenantID) (age time.Duration, known bool)
	// Logger gets failures of the replica; nothing is logged without it.
	Logger *slog.Logger
}

// Gate decides whether a read that any region may answer is answered here or at the tenant's home. It is safe for concurrent use.
type Gate struct{ cfg GateConfig }

// NewGate returns a gate.
func NewGate(cfg GateConfig) (*Gate, error) {
	if cfg.Codec == nil || cfg.Topology == nil || cfg.Replica == nil {
		return nil, errors.New("consistency: a gate needs a codec, a topology and a replica")
	}
	if cfg.History == nil {
		cfg.History = func(_ ident.TenantID, t routing.Tenant) History { return History{Present: t.Epoch} }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Gate{cfg: cfg}, nil
}

// Admit tells whether the replica here may answer a read of the tenant: it has, or gets while the caller lets it wait, all that the
// caller's tokens cover, and is no older than the caller allows. False means that the home is to answer; a replica that fails, and a
// token that cannot be judged here, count as such.
//
// It fails with TOKEN_INVALID, WRITE_LOST or INVALID_ARGUMENT for what no region would take, and with the context's error.
func (g *Gate) Admit(ctx context.Context, tenant ident.TenantID, t routing.Tenant, h Headers) (bool, error) {
	wishes, err := ParseWishes(h)
	if err != nil {
		return false, err
	}
	history := g.cfg.History(tenant, t)
	needed, err := g.cfg.Codec.Needed(tenant, h, history)
	switch {
	case errors.Is(err, ErrUnknownKey), errors.Is(err, ErrNewerEpoch):
		return false, nil
	case err != nil:
		return false, err
	case !g.cfg.Topology.Has(t.Home), !g.fresh(tenant, wishes):
		return false, nil
	}
	a := admission{gate: g, tenant: tenant, home: g.cfg.Topology.ID(t.Home), present: history.Present, needed: g.cut(needed)}
	return a.wait(ctx, wishes.MaxWait)
}

// cut leaves what the gate's reads are made of.
func (g *Gate) cut(needed ident.Positions) ident.Positions {
	switch g.cfg.Streams {
	case HomeLanes:
		needed.Origins = nil
	case Origins:
		needed.Epoch, needed.Lanes = 0, [ident.Lanes]ident.Seq{}
	case AllStreams:
	}
	return needed
}

// fresh tells whether the replica is known to be as new as the caller wishes.
func (g *Gate) fresh(tenant ident.TenantID, wishes Wishes) bool {
	if !wishes.Bounded {
		return true
	}
	if g.cfg.Staleness == nil {
		return false
	}
	age, known := g.cfg.Staleness(tenant)
	return known && age <= wishes.MaxStaleness
}

// admission is one read at the gate.
type admission struct {
	gate    *Gate
	tenant  ident.TenantID
	home    ident.RegionID
	present ident.Epoch
	needed  ident.Positions
}

// verdict is what the replica's positions say of a read.
type verdict uint8

const (
	goHome verdict = iota
	tooEarly
	here
)

func (a *admission) wait(ctx context.Context, most time.Duration) (bool, error) {
	if v := a.look(ctx); v != tooEarly || most == 0 {
		return v == here, ended(ctx)
	}
	changed, stop := a.gate.cfg.Replica.Watch(a.tenant)
	defer stop()
	late := time.NewTimer(most)
	defer late.Stop()
	for {
		// What came before the watch began rings no more, so the first look comes before the first wait.
		if v := a.look(ctx); v != tooEarly {
			return v == here, ended(ctx)
		}
		select {
		case <-changed:
		case <-late.C:
			return false, nil
		case <-ctx.Done():
			return false, ended(ctx)
		}
	}
}

func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("waiting for a replica: %w", err)
	}
	return nil
}

func (a *admission) look(ctx context.Context) verdict {
	have, complete, err := a.gate.cfg.Replica.Positions(ctx, a.tenant, a.home)
	if err != nil {
		if ctx.Err() == nil {
			a.gate.cfg.Logger.WarnContext(ctx, "a replica's positions cannot be read; the home answers",
				slog.String("tenant", string(a.tenant)), slog.Any("error", err))
		}
		return goHome
	}
	if !complete {
		return goHome
	}
	return a.judge(have)
}

// judge compares positions. Numbers of two epochs compare only through the bases of what lies between, so lanes are compared within the
// present one: a replica that is before it does not answer at all, and one that is beyond answers only who needs nothing.
func (a *admission) judge(have ident.Positions) verdict {
	if a.gate.cfg.Streams != Origins {
		switch {
		case have.Epoch < a.present && !hasLanes(&a.needed):
			return goHome // A repair is owed, which takes longer than anybody waits.
		case have.Epoch < a.present:
			return tooEarly
		case hasLanes(&a.needed) && have.Epoch > a.needed.Epoch:
			return goHome
		}
		for lane, seq := range a.needed.Lanes {
			if have.Lanes[lane] < seq {
				return tooEarly
			}
		}
	}
	for origin, seq := range a.needed.Origins {
		if have.Origins[origin] < seq {
			return tooEarly
		}
	}
	return here
}
