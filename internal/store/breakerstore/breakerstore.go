// Package breakerstore is a decorator of the port internal/store with a circuit breaker (M. Nygard, "Release It!", 2007): when a table does not
// answer several times in a row, calls fail at once for a while, instead of each waiting for its time-out; then one is let through, and
// when it succeeds, all are.
//
// A call that the open breaker refuses is store.ErrUnavailable, and nothing took effect. What is refused for its own sake (a condition, a
// limit, a missing item) is an answer.
package breakerstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/domicile-api/domicile/internal/store"
)

const (
	// failures is how many calls fail in a row until the breaker opens.
	failures = 5
	// rest is how long it stays open until a call is let through.
	rest = time.Second
)

// Store is a table behind a breaker. The change feed, which tries again by itself, is not.
type Store struct {
	store.Store

	name    string
	breaker circuitbreaker.CircuitBreaker[any]
}

// New returns a table behind a breaker of its own. The logger is told when it opens and when it closes.
func New(table store.Store, name string, logger *slog.Logger) *Store {
	breaker := circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(failures).WithDelay(rest).WithSuccessThreshold(1).
		OnOpen(func(circuitbreaker.StateChangedEvent) {
			logger.Warn("a table does not answer; calls of it fail at once for a while", slog.String("table", name))
		}).
		OnClose(func(circuitbreaker.StateChangedEvent) {
			logger.Info("a table answers again", slog.String("table", name))
		}).Build()
	return &Store{Store: table, name: name, breaker: breaker}
}

// through makes a call unless the breaker is open.
func (s *Store) through(call func() error) error {
	if !s.breaker.TryAcquirePermit() {
		return fmt.Errorf("the table %s did not answer a moment ago, it is asked again soon: %w", s.name, store.ErrUnavailable)
	}
	err := call()
	switch {
	case errors.Is(err, context.Canceled):
		s.breaker.RecordSuccess() // The caller went away; of the table it says nothing bad.
	case errors.Is(err, store.ErrUnavailable):
		s.breaker.RecordFailure()
	default:
		s.breaker.RecordSuccess()
	}
	return err
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key store.Key) (item store.Item, err error) {
	err = s.through(func() error {
		var err error
		item, err = s.Store.Get(ctx, key)
		return err
	})
	return item, err
}

// Query implements store.Store.
func (s *Store) Query(ctx context.Context, q store.Query) (page store.Page, err error) {
	err = s.through(func() error {
		var err error
		page, err = s.Store.Query(ctx, q)
		return err
	})
	return page, err
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, c store.Commit) error {
	return s.through(func() error { return s.Store.Commit(ctx, c) })
}
