package settings

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

const (
	// feedLabel is how verifications call what is compared here.
	feedLabel = "settings"
	// maxDifferences is how many differences a verification lists.
	maxDifferences = 1000
	// giveUpAfter is how many tenants in a row an origin may fail to answer for before it is not asked for the others.
	giveUpAfter = 3
)

// difference is a namespace that lacks something that it has at an origin.
type difference struct{ name, kind string }

// verify compares a tenant's settings with an origin's and returns what is there, not here, and not merely on its way: the streams
// get Settle to bring it. With mend what is missing is fetched, and repaired says how much of it was.
func (m *Mender) verify(
	ctx context.Context, tenant ident.TenantID, origin ident.RegionID, mend bool,
) (found []difference, repaired, bytes uint64, err error) {
	c := m.comparison(tenant, origin)
	same, err := c.equal(ctx)
	if err != nil || same {
		return nil, 0, c.bytes, err
	}
	if err := c.list(ctx); err != nil {
		return nil, 0, c.bytes, err
	}
	settled, cancel := context.WithTimeout(ctx, m.cfg.Settle)
	defer cancel()
	err = c.fetch(ctx, c.differing(), func(name string, state *settingsv1.State) error {
		lacks, err := c.await(ctx, settled.Done(), name, state)
		if err != nil || !lacks {
			return err
		}
		kind := "different"
		switch {
		case c.here[name] == nil:
			kind = "missing"
		case c.there[name] == nil:
			kind = "surplus"
		}
		found = append(found, difference{name, kind})
		if !mend {
			return nil
		}
		if _, err := m.cfg.Settings.ApplyRemote(ctx, tenant, origin, 0, name, state); err == nil {
			repaired++
		}
		return ctx.Err()
	})
	return found, repaired, c.bytes, err
}

// await returns once the region has all of a state, or the time is up.
func (c *comparison) await(ctx context.Context, late <-chan struct{}, name string, state *settingsv1.State) (lacks bool, err error) {
	changed, stop := c.m.cfg.Settings.Watch(c.tenant)
	defer stop()
	for {
		if lacks, err = c.lacks(ctx, name, state); err != nil || !lacks {
			return lacks, err
		}
		again := time.NewTimer(lookAgain)
		over := false
		select {
		case <-changed:
		case <-again.C:
		case <-late:
			over = true
		}
		again.Stop()
		if over {
			return true, ctx.Err()
		}
	}
}

// VerifyAll adds to a verification what differs between a tenant's settings here, or all tenants' when the id is empty, and those of each
// other region. A region that does not answer makes a difference too. With mend what is missing is fetched. It fails only with the
// directory or the context.
func (m *Mender) VerifyAll(ctx context.Context, tenant ident.TenantID, mend bool, into *operationsv1.RegionVerification) error {
	var tenants []ident.TenantID
	err := m.cfg.Tenants.Each(ctx, func(id ident.TenantID) error {
		if tenant == "" || id == tenant {
			tenants = append(tenants, id)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	for _, id := range tenants {
		_, count, err := m.cfg.Settings.digestAll(ctx, id, nil)
		if err != nil {
			return err
		}
		into.Entities += count
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, origin := range m.cfg.Origins {
		group.Go(func() { m.verifyOrigin(ctx, origin, tenants, mend, into, &mu) })
	}
	group.Wait()
	return ctx.Err()
}

// verifyOrigin compares with one region; mu guards into.
func (m *Mender) verifyOrigin(
	ctx context.Context, origin ident.RegionID, tenants []ident.TenantID, mend bool, into *operationsv1.RegionVerification, mu *sync.Mutex,
) {
	failures := 0
	for _, tenant := range tenants {
		var found []difference
		var repaired, bytes uint64
		err := context.DeadlineExceeded // Stands for what a silent region was not asked for.
		if failures < giveUpAfter {
			found, repaired, bytes, err = m.verify(ctx, tenant, origin, mend)
		}
		mu.Lock()
		into.Bytes, into.Repaired = into.GetBytes()+bytes, into.GetRepaired()+repaired
		if err != nil {
			failures++
			found = append(found, difference{kind: "not compared"})
		} else {
			failures = 0
			into.Lanes++
		}
		into.DifferenceCount += uint64(len(found))
		for _, d := range found {
			if len(into.GetDifferences()) < maxDifferences {
				into.Differences = append(into.GetDifferences(), &operationsv1.Difference{
					Tenant: string(tenant), Source: string(origin), Feed: feedLabel, Id: d.name, Kind: d.kind,
				})
			}
		}
		mu.Unlock()
	}
}

// Run looks after the settings of all tenants, fetches what is owed and compares, until ctx ends, whose error it then returns. An
// origin that does not answer delays what comes from no other.
func (m *Mender) Run(ctx context.Context, logger *slog.Logger) error {
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { m.maintainLoop(ctx, logger) })
	for _, origin := range m.cfg.Origins {
		group.Go(func() { m.repairLoop(ctx, origin, logger) })
		if m.cfg.CompareEvery > 0 {
			group.Go(func() { m.compareLoop(ctx, origin, logger) })
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func (m *Mender) maintainLoop(ctx context.Context, logger *slog.Logger) {
	// What a crash left is found soon: the relay knows its tenants when it has looked at them.
	for wait := m.cfg.Look; rest(ctx, nil, wait); wait = m.cfg.MaintainEvery {
		for _, tenant := range m.cfg.Known() {
			_, err := m.cfg.Settings.Maintain(ctx, tenant)
			if err == nil {
				err = m.Inspect(ctx, tenant)
			}
			if err != nil && ctx.Err() == nil {
				logger.WarnContext(ctx, "a tenant's settings could not be looked after; it is tried again",
					slog.String("tenant", string(tenant)), slog.Any("error", err))
			}
		}
	}
}

// Mend fetches once all streams of an origin that a repair is owed for, and returns what failed.
func (m *Mender) Mend(ctx context.Context, origin ident.RegionID) error {
	var failed error
	for _, tenant := range m.owedBy(origin) {
		if !m.cfg.Tenants.Kept(tenant) {
			m.forget(streamID{tenant, origin})
			continue
		}
		if err := m.Repair(ctx, tenant, origin); err != nil {
			failed = errors.Join(failed, fmt.Errorf("fetching settings of tenant %s: %w", tenant, err))
		}
	}
	return failed
}

func (m *Mender) repairLoop(ctx context.Context, origin ident.RegionID, logger *slog.Logger) {
	failures := 0
	for wait := m.cfg.Look; rest(ctx, nil, wait); {
		err := m.Mend(ctx, origin)
		if wait = m.cfg.Look; err == nil {
			failures = 0
			continue
		}
		failures++
		wait = max(wait, pause(failures, m.cfg.Jitter()))
		if ctx.Err() == nil {
			logger.DebugContext(ctx, "settings could not be fetched; it is tried again", slog.String("origin", string(origin)), slog.Any("error", err))
		}
	}
}

func (m *Mender) forget(id streamID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.owed, id)
	delete(m.gaps, id)
}

// compareLoop compares now and then, beginning at a time of its own.
func (m *Mender) compareLoop(ctx context.Context, origin ident.RegionID, logger *slog.Logger) {
	for wait := time.Duration(m.cfg.Jitter() * float64(m.cfg.CompareEvery)); rest(ctx, nil, max(wait, m.cfg.Look)); wait = m.cfg.CompareEvery {
		err := m.cfg.Tenants.Each(ctx, func(tenant ident.TenantID) error {
			found, repaired, _, err := m.verify(ctx, tenant, origin, true)
			if len(found) > 0 {
				logger.WarnContext(ctx, "settings differed from another region's", slog.String("origin", string(origin)),
					slog.String("tenant", string(tenant)), slog.Int("namespaces", len(found)), slog.Uint64("repaired", repaired))
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			logger.DebugContext(ctx, "settings were not compared", slog.String("origin", string(origin)), slog.Any("error", err))
		}
	}
}
