package replication

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/store"
)

// Run relays until ctx ends, whose error it then returns. It also returns when the store's change feed fails for good.
// What fails is logged, kept for Status, and tried again.
func (r *Relay) Run(ctx context.Context, logger *slog.Logger) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		err := r.cfg.Table.Changes(ctx, func(changes []store.Change) error {
			r.Ring(changes)
			return nil
		})
		cancel(err)
	})
	group.Go(func() { r.scanLoop(ctx, logger) })
	group.Go(func() { every(ctx, r.cfg.Tuning.SweepInterval, func() { r.pruneAll(ctx, logger) }) })
	for _, d := range r.to {
		group.Go(func() {
			failed := 0
			every(ctx, r.cfg.Tuning.Heartbeat, func() { failed = r.beatAndTell(ctx, d, failed, logger) })
		})
		group.Go(func() { r.drive(ctx, d, logger) })
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// every calls fn again and again until ctx ends, with a pause before each.
func every(ctx context.Context, pause time.Duration, fn func()) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			fn()
		case <-ctx.Done():
			return
		}
	}
}

func (r *Relay) scanLoop(ctx context.Context, logger *slog.Logger) {
	for failures := 0; ctx.Err() == nil; {
		_, err := r.Scan(ctx)
		if err == nil {
			failures = 0
			wait(ctx, r.scanBell, 0)
			continue
		}
		failures++
		logger.WarnContext(ctx, "the relay could not look at all tenants", "error", err)
		wait(ctx, nil, max(pause(failures, r.cfg.Jitter()), time.Millisecond))
	}
}

func (r *Relay) pruneAll(ctx context.Context, logger *slog.Logger) {
	for ctx.Err() == nil {
		some, err := r.Prune(ctx)
		if err != nil {
			logger.WarnContext(ctx, "an outbox could not be pruned", "error", err)
			return
		}
		if !some {
			return
		}
	}
}

// wait returns when the bell rings, the time is over (zero: never) or ctx ends.
func wait(ctx context.Context, bell <-chan struct{}, d time.Duration) {
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
}

// outageAfter is how many heartbeats fail, one after the other, before a destination counts as failing: one that fails alone is made up for
// by the next, and regions that stop together miss each other's last.
const outageAfter = 2

// beatAndTell sends a heartbeat after so many that failed, and returns how many now have. It says once when a destination begins to fail
// and once when it is back.
func (r *Relay) beatAndTell(ctx context.Context, d *destination, failed int, logger *slog.Logger) int {
	err := r.Heartbeat(ctx, d.id)
	if err == nil {
		if failed >= outageAfter {
			logger.InfoContext(ctx, "a region is told of writes again", "destination", string(d.id))
		}
		return 0
	}
	failed++
	if failed == outageAfter && ctx.Err() == nil {
		logger.WarnContext(ctx, "a region cannot be told of writes; it is tried again, and nothing is lost", "destination", string(d.id), "error", err)
	}
	return failed
}

// drive sends to one destination, several lanes at a time so that they share the group commits at its end.
func (r *Relay) drive(ctx context.Context, d *destination, logger *slog.Logger) {
	slots := make(chan struct{}, r.cfg.Tuning.Parallel)
	var group sync.WaitGroup
	defer group.Wait()
	for ctx.Err() == nil {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		now := r.cfg.Clock()
		p, ok, next := d.work.take(now)
		if !ok {
			<-slots
			var d2 time.Duration
			if !next.IsZero() {
				d2 = max(next.Sub(now), time.Millisecond)
			}
			wait(ctx, d.work.wake, d2)
			continue
		}
		group.Go(func() {
			defer func() { <-slots }()
			if err := r.settle(ctx, d, p); err != nil && !errors.Is(err, context.Canceled) {
				logger.DebugContext(ctx, "a lane could not be sent", "destination", string(d.id), "error", err)
			}
		})
	}
}
