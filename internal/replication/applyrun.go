package replication

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/queue"
)

// RunConfig is how a queue is received. A zero field means its default.
type RunConfig struct {
	// Receivers is how many receive at the same time. Default 16.
	Receivers int
	// Visibility is how long a message may take to be applied. Default 30 s.
	Visibility time.Duration
	// Wait is how long a reception waits for messages. Default 10 s.
	Wait time.Duration
	// RetryParked is how often parked events are tried again. Default 10 s; negative: never, as where another queue's Run does.
	RetryParked time.Duration
	// Logger gets what fails; it is required.
	Logger *slog.Logger
}

// Run receives and applies what comes through a queue until ctx ends or the queue is closed, and returns the reason.
func (a *Applier) Run(ctx context.Context, q queue.Queue, cfg RunConfig) error {
	cfg.Receivers = orDefault(cfg.Receivers, 16)
	cfg.Visibility = orDefault(cfg.Visibility, 30*time.Second)
	cfg.Wait = min(orDefault(cfg.Wait, 10*time.Second), queue.MaxWait)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	defer group.Wait()
	for range cfg.Receivers {
		group.Go(func() {
			if err := a.receive(ctx, q, cfg); err != nil {
				cancel(err)
			}
		})
	}
	if cfg.RetryParked >= 0 {
		group.Go(func() {
			every(ctx, orDefault(cfg.RetryParked, 10*time.Second), func() {
				if _, err := a.RetryParked(ctx); err != nil && ctx.Err() == nil {
					cfg.Logger.WarnContext(ctx, "parked events could not be tried again", "error", err)
				}
			})
		})
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// receive is one receiver. It returns an error when the queue is closed.
func (a *Applier) receive(ctx context.Context, q queue.Queue, cfg RunConfig) error {
	for failures := 0; ctx.Err() == nil; {
		err := a.Receive(ctx, q, cfg)
		switch {
		case errors.Is(err, queue.ErrClosed):
			return err
		case err == nil:
			failures = 0
		case ctx.Err() == nil:
			failures++
			cfg.Logger.WarnContext(ctx, "events could not be applied", "error", err)
			wait(ctx, nil, min(firstPause<<min(failures-1, 8), maxPause))
		}
	}
	return nil
}

// Receive does one reception: it applies what it gets and deletes what is done. The error is of the queue, or of what was not
// applied.
func (a *Applier) Receive(ctx context.Context, q queue.Queue, cfg RunConfig) error {
	messages, err := q.Receive(ctx, queue.Receive{Max: queue.MaxBatch, Visibility: cfg.Visibility, Wait: cfg.Wait})
	if err != nil || len(messages) == 0 {
		return err
	}
	var failed error
	var done []string
	for i, v := range a.Apply(ctx, messages) {
		a.reasons.note(messages[i].ID, v.Err)
		switch v.Outcome {
		case Done:
			done = append(done, messages[i].Receipt)
		case Again:
			failed = v.Err
		case Poison:
			cfg.Logger.WarnContext(ctx, "an event makes no sense", "message", messages[i].ID, "receives", messages[i].Receives)
		}
	}
	if len(done) > 0 {
		// A receipt that is stale was given to another receiver, for whom the event is a repetition.
		if _, err := q.Delete(ctx, done); err != nil {
			return errors.Join(failed, err)
		}
	}
	return failed
}
