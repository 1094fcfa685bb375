package settings

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// Run relays until ctx ends, whose error it then returns. It also returns when the table's change feed fails for good. What fails is
// logged, kept for Status, and tried again.
func (r *Relay) Run(ctx context.Context, logger *slog.Logger) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		cancel(r.cfg.Settings.cfg.Store.Changes(ctx, func(changes []store.Change) error {
			r.Ring(changes)
			return nil
		}))
	})
	group.Go(func() { r.scanLoop(ctx, logger) })
	group.Go(func() {
		for rest(ctx, nil, r.cfg.SweepInterval) {
			if err := r.Prune(ctx); err != nil && ctx.Err() == nil {
				logger.WarnContext(ctx, "an outbox of settings could not be pruned", "error", err)
			}
		}
	})
	for _, d := range r.to {
		group.Go(func() { r.drive(ctx, d, logger) })
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// rest waits for the bell or so long (zero: for ever), and tells whether ctx outlived it.
func rest(ctx context.Context, bell <-chan struct{}, d time.Duration) bool {
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-bell:
	case <-over:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func (r *Relay) scanLoop(ctx context.Context, logger *slog.Logger) {
	for rest(ctx, r.scanBell, 0) {
		for failures := 1; ; failures++ {
			err := r.Scan(ctx)
			if err == nil {
				break
			}
			if !rest(ctx, nil, max(pause(failures, r.cfg.Jitter()), time.Millisecond)) {
				return
			}
			logger.WarnContext(ctx, "the relay could not look at all tenants' settings", "error", err)
		}
	}
}

// drive sends to one destination, several tenants at a time so that they share the group commits at its end.
func (r *Relay) drive(ctx context.Context, d *destination, logger *slog.Logger) {
	slots := make(chan struct{}, r.cfg.Parallel)
	var group sync.WaitGroup
	defer group.Wait()
	for ctx.Err() == nil {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		now := r.cfg.Clock()
		tenant, ok, next := d.work.take(now)
		if !ok {
			<-slots
			var wait time.Duration
			if !next.IsZero() {
				wait = max(next.Sub(now), time.Millisecond)
			}
			rest(ctx, d.work.wake, wait)
			continue
		}
		group.Go(func() {
			defer func() { <-slots }()
			if err := r.settle(ctx, d, tenant); err != nil && !errors.Is(err, context.Canceled) {
				logger.DebugContext(ctx, "settings could not be sent", "destination", string(d.id), "error", err)
			}
		})
	}
}

// Prune deletes the outbox records that no destination waits for, of the tenants of which something was sent since.
func (r *Relay) Prune(ctx context.Context) error {
	r.mu.Lock()
	all := r.prunable
	r.prunable = make(map[ident.TenantID]struct{})
	r.mu.Unlock()
	var failed error
	for tenant := range all {
		if !r.cfg.Tenants.Kept(tenant) {
			continue
		}
		if err := r.prune(ctx, tenant); err != nil {
			failed = errors.Join(failed, err)
			r.mu.Lock()
			r.prunable[tenant] = struct{}{}
			r.mu.Unlock()
		}
	}
	return failed
}

func (r *Relay) prune(ctx context.Context, tenant ident.TenantID) error {
	s := r.cfg.Settings
	end, err := s.end(ctx, tenant, nil)
	if err != nil {
		return err
	}
	until := end.version.Seq
	for _, d := range r.to {
		c, err := s.cursor(ctx, tenant, d.id)
		if err != nil {
			return err
		}
		behind := end.version.Seq > c.seq() && uint64(end.version.Seq-c.seq()) > r.cfg.MaxBacklog
		if !c.lost && !behind {
			until = min(until, c.seq())
		}
	}
	if until == 0 {
		return nil
	}
	return s.Prune(ctx, tenant, until)
}
