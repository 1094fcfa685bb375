package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/domicile-api/domicile/internal/directory"
)

// sweepInterval is how often the region's log in the directory is looked after.
const sweepInterval = time.Minute

// sweep mends the directory's state after a crash, publishes snapshots and prunes the region's log, until ctx ends.
func (r *region) sweep(ctx context.Context) error {
	for {
		pause := sweepInterval
		report, err := r.writer.Sweep(ctx, directory.DefaultPublishEvery)
		switch {
		case err != nil && ctx.Err() == nil:
			r.logger.WarnContext(ctx, "the directory's log could not be swept; it is tried again", slog.Any("error", err))
		case report.More:
			pause = 0
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}
