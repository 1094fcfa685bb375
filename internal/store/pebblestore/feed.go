package pebblestore

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/domicile-api/domicile/internal/store"
)

// feedBatch is how many changes a batch has at the most.
const feedBatch = 256

// A refused batch is delivered again after a pause that doubles from the first to the last.
const (
	refusedPauseMin = 2 * time.Millisecond
	refusedPauseMax = time.Second
)

// feed tells a table's consumers what was committed. It is in memory: a doorbell, not a log.
type feed struct {
	limit   int
	shuffle *shuffler

	consumers atomic.Int32
	mu        sync.Mutex
	open      map[*consumer]struct{}
}

// consumer is one call of Changes. It begins, and begins again after it fell behind the limit, with an empty batch.
type consumer struct {
	mu      sync.Mutex
	pending []store.Change
	missed  bool
	bell    chan struct{}
}

func newFeed(limit int, s *shuffler) *feed {
	return &feed{limit: limit, shuffle: s, open: make(map[*consumer]struct{})}
}

// listening tells whether anybody would hear.
func (f *feed) listening() bool { return f.consumers.Load() > 0 }

// publish hands changes to each consumer. It never waits for one.
func (f *feed) publish(changes []store.Change) {
	if len(changes) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.open {
		c.add(changes, f.limit)
	}
}

func (c *consumer) add(changes []store.Change, limit int) {
	c.mu.Lock()
	if len(c.pending)+len(changes) > limit {
		c.pending, c.missed = nil, true
	} else {
		c.pending = append(c.pending, changes...)
	}
	c.mu.Unlock()
	select {
	case c.bell <- struct{}{}:
	default: // It rings already.
	}
}

// next returns the batch to deliver; ok is false when there is none. An empty batch says that changes were missed.
func (c *consumer) next(s *shuffler) (batch []store.Change, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.missed {
		c.missed = false
		return nil, true
	}
	if len(c.pending) == 0 {
		return nil, false
	}
	s.shuffle(c.pending)
	n := min(feedBatch, len(c.pending))
	batch, c.pending = c.pending[:n:n], c.pending[n:]
	return s.repeat(batch), true
}

// run delivers until ctx ends or stop closes.
func (f *feed) run(ctx context.Context, stop <-chan struct{}, fn func([]store.Change) error) error {
	c := &consumer{missed: true, bell: make(chan struct{}, 1)}
	f.mu.Lock()
	f.open[c] = struct{}{}
	f.consumers.Add(1)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.open, c)
		f.consumers.Add(-1)
		f.mu.Unlock()
	}()
	for {
		batch, ok := c.next(f.shuffle)
		if ok {
			if err := deliver(ctx, stop, batch, fn); err != nil {
				return err
			}
			continue
		}
		select {
		case <-c.bell:
		case <-ctx.Done():
			return ctx.Err()
		case <-stop:
			return store.ErrClosed
		}
	}
}

// deliver calls fn with the batch until it takes it.
func deliver(ctx context.Context, stop <-chan struct{}, batch []store.Change, fn func([]store.Change) error) error {
	for pause := refusedPauseMin; ; pause = min(2*pause, refusedPauseMax) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-stop:
			return store.ErrClosed
		default:
		}
		if fn(batch) == nil {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		case <-stop:
		}
		timer.Stop()
	}
}

// shuffler makes the feed as unruly as the port allows: items in any order, changes told twice. nil does nothing.
type shuffler struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func newShuffler(seed uint64) *shuffler {
	if seed == 0 {
		return nil
	}
	return &shuffler{rng: rand.New(rand.NewPCG(seed, seed))} //nolint:gosec // Disorder for tests, not a secret.
}

// shuffle permutes the items; the changes of one item keep their order.
func (s *shuffler) shuffle(changes []store.Change) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	of := make(map[store.Key][]store.Change, len(changes))
	order := make([]store.Key, len(changes))
	for i, c := range changes {
		order[i] = c.Key
		of[c.Key] = append(of[c.Key], c)
	}
	s.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for i, k := range order {
		changes[i], of[k] = of[k][0], of[k][1:]
	}
}

// repeat tells one change in eight twice.
func (s *shuffler) repeat(batch []store.Change) []store.Change {
	if s == nil {
		return batch
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range batch {
		if s.rng.IntN(8) == 0 {
			batch = append(batch, c)
		}
	}
	return batch
}
