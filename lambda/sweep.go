package lambda

import (
	"context"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/internal/app"
)

// Sweep is the function that a schedule calls each minute: it sends what relays left, tells the other regions where this one stands, tries
// again what was put aside, prunes, and keeps the copy of the directory.
type Sweep struct {
	worker *app.Worker
	logger *slog.Logger
}

// NewSweep makes the function. It reads the directory.
func NewSweep(ctx context.Context, env Environment, services ...domicile.Service) (*Sweep, error) {
	worker, logger, err := open(ctx, env, app.SweepPart, services)
	if err != nil {
		return nil, err
	}
	return &Sweep{worker, logger}, nil
}

// Handle sweeps once. What fails is left for the next call, which the log and the function's error tell.
func (s *Sweep) Handle(ctx context.Context, _ events.CloudWatchEvent) error {
	err := s.worker.Sweep(ctx)
	if err != nil {
		s.logger.ErrorContext(ctx, "not all was swept; the next run goes on", slog.Any("error", err))
	}
	return err
}
