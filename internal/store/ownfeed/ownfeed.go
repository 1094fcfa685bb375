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
	// lost says that changes were not kept: until the consumer has been told, none are. doubt says that others may have made some.
	lost, doubt bool
}

// add keeps changes for the consumer.
func (c *consumer) add(changes []store.Change) {
	c.mu.Lock()
	switch {
	case c.lost:
	case len(c.pending)+len(changes) > maxPending:
		c.pending, c.lost = nil, true
	default:
		c.pending = append(c.pending, changes...)
	}
	c.mu.Unlock()
	select {
	case c.bell <- struct{}{}:
	default: // It rings already.
	}
}

// suspect notes that others may have made changes; it takes nothing from what was kept.
func (c *consumer) suspect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubt = true
}

// take returns what is to be told: the changes that were kept, then an empty batch if there may be more.
func (c *consumer) take() (batches [][]store.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) > 0 {
		batches = append(batches, c.pending)
	}
	if c.lost || c.doubt {
		batches = append(batches, nil)
	}
	c.pending, c.lost, c.doubt = nil, false, false
	return batches
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
	c := &consumer{bell: make(chan struct{}, 1), lost: true}
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
	for {
		for _, batch := range c.take() {
			if err := give(ctx, fn, batch); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.bell:
		case <-tick.C:
			c.suspect()
		}
	}
}

// give hands a batch over until it is taken. Whoever has ended is told nothing more.
func give(ctx context.Context, fn func([]store.Change) error, batch []store.Change) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if fn(batch) == nil {
			return nil
		}
		if err := pause(ctx, refusedPause); err != nil {
			return err
		}
	}
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
