// Package ownfeed gives a table a change feed of what this process committed to it, for processes that share a table whose own feed
// few may read, as a DynamoDB stream. What other processes commit is theirs to tell of; for what they died over, and for commits whose
// outcome was not known, the feed says at an interval that there may be changes which nobody was told of.
package ownfeed

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/store"
)

// maxPending is how many changes are kept for a consumer that is busy; beyond it, it is told that there were some.
const maxPending = 10_000

// Store is a table with a feed of this process's own commits. Everything else is the table's.
type Store struct {
	store.Store

	interval time.Duration

	mu        sync.Mutex
	consumers map[*consumer]struct{}
}

// New returns a table whose feed says every so often that there may be changes which it does not tell of.
func New(table store.Store, interval time.Duration) *Store {
	return &Store{Store: table, interval: interval, consumers: make(map[*consumer]struct{})}
}

// consumer is one call of Changes.
type consumer struct {
	bell chan struct{}

	mu      sync.Mutex
	pending []store.Change
	// untold says that there may be changes that are not in pending.
	untold bool
}

// add keeps changes for the consumer; none: there may be some.
func (c *consumer) add(changes []store.Change) {
	c.mu.Lock()
	if len(changes) == 0 || len(c.pending)+len(changes) > maxPending {
		c.pending, c.untold = nil, true
	} else if !c.untold {
		c.pending = append(c.pending, changes...)
	}
	c.mu.Unlock()
	select {
	case c.bell <- struct{}{}:
	default: // It rings already.
	}
}

// take returns what was kept.
func (c *consumer) take() (changes []store.Change, some bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changes, some = c.pending, c.untold || len(c.pending) > 0
	c.pending, c.untold = nil, false
	return changes, some
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, c store.Commit) error {
	err := s.Store.Commit(ctx, c)
	var condition *store.ConditionError
	switch {
	case err == nil:
		s.tell(changesOf(c))
	case errors.As(err, &condition), errors.Is(err, store.ErrTooLarge), errors.Is(err, store.ErrInvalid), errors.Is(err, store.ErrFull):
		// Nothing took effect.
	default:
		s.tell(changesOf(c)) // Perhaps it did. Whoever is told reads what there is.
	}
	return err
}

func changesOf(c store.Commit) []store.Change {
	changes := make([]store.Change, 0, len(c.Ops))
	for _, op := range c.Ops {
		if op.Kind != store.Check {
			changes = append(changes, store.Change{Key: op.Item.Key, Deleted: op.Kind == store.Delete})
		}
	}
	return changes
}

func (s *Store) tell(changes []store.Change) {
	if len(changes) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.consumers {
		c.add(changes)
	}
}

// Changes implements store.Store.
func (s *Store) Changes(ctx context.Context, fn func([]store.Change) error) error {
	c := &consumer{bell: make(chan struct{}, 1), untold: true}
	s.mu.Lock()
	s.consumers[c] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.consumers, c)
		s.mu.Unlock()
	}()
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for ctx.Err() == nil { // Whoever has ended is told nothing more, whatever else is ready.
		if changes, some := c.take(); some {
			for fn(changes) != nil {
				if err := pause(ctx, refusedPause); err != nil {
					return err
				}
			}
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.bell:
		case <-tick.C:
			c.add(nil)
		}
	}
	return ctx.Err()
}

// refusedPause is how long a consumer that refused a batch is left alone.
const refusedPause = 100 * time.Millisecond

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
