package globaltable

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

const (
	// deliveries is how many calls are on their way to a peer at once.
	deliveries = 16
	// batch is how many items a call to a BatchReceiver has at the most.
	batch = 64
	// retryFirst and retryLast bound the pause after a failed delivery; it doubles in between, with full jitter.
	retryFirst = 10 * time.Millisecond
	retryLast  = 2 * time.Second
)

// Link tells one peer. Its lag can be set, and it can be paused, while it runs.
type Link struct {
	table *Table
	peer  ident.RegionID
	to    Receiver
	// bell rings when there may be something to tell, or the settings have changed.
	bell chan struct{}
	// careful says that the last delivery failed, so that items are told one by one: one that is refused must not hold up others. Only
	// Run's goroutine uses it.
	careful bool

	// mu is held to read while an item is delivered.
	mu     sync.RWMutex
	lag    time.Duration
	paused bool
}

// Connect makes the link to a peer, one of Config.Peers. Run it to tell the peer what it was not told yet, and everything from
// then on.
func (t *Table) Connect(peer ident.RegionID, to Receiver) *Link {
	l := &Link{table: t, peer: peer, to: to, bell: make(chan struct{}, 1)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.links[peer] = l
	return l
}

// Link returns the link to a peer; nil if there is none.
func (t *Table) Link(peer ident.RegionID) *Link {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.links[peer]
}

func (l *Link) ring() {
	select {
	case l.bell <- struct{}{}:
	default: // It rings already.
	}
}

// SetLag makes writes be told that long after they were made, at the earliest.
func (l *Link) SetLag(lag time.Duration) { l.set(func() { l.lag = lag }) }

// Pause stops telling, as a partition would: when it returns, nothing is on its way any more. Resume goes on.
func (l *Link) Pause() { l.set(func() { l.paused = true }) }

// Resume ends a Pause.
func (l *Link) Resume() { l.set(func() { l.paused = false }) }

func (l *Link) set(change func()) {
	l.mu.Lock()
	change()
	l.mu.Unlock()
	l.ring()
}

// Run tells the peer until ctx ends.
func (l *Link) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var listening sync.WaitGroup
	defer listening.Wait()
	defer cancel()
	listening.Go(func() { l.listen(ctx) })
	pause, failing := retryFirst, false
	for {
		due, err := l.tellAll(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			pause, failing = retryFirst, false
			l.wait(ctx, due)
			continue
		case !failing:
			failing = true
			l.table.cfg.Logger.WarnContext(ctx, "a replica of the global table cannot be told; it is tried again",
				slog.String("from", string(l.table.cfg.Region)), slog.String("to", string(l.peer)), slog.Any("error", err))
		}
		l.rest(ctx, rand.N(pause)+1) //nolint:gosec // Jitter is no secret.
		pause = min(2*pause, retryLast)
	}
}

// listen rings the bell for each mark that is committed. The table's feed tells of all of them, also of those whose writer did
// not wait for the outcome.
func (l *Link) listen(ctx context.Context) {
	partition := markPartition(l.peer)
	for ctx.Err() == nil {
		err := l.table.cfg.Local.Changes(ctx, func(batch []store.Change) error {
			if len(batch) == 0 || slices.ContainsFunc(batch, func(c store.Change) bool { return c.Key.Partition == partition && !c.Deleted }) {
				l.ring()
			}
			return nil
		})
		if ctx.Err() == nil {
			l.table.cfg.Logger.WarnContext(ctx, "the change feed of a global table's replica ended; it is opened again",
				slog.String("region", string(l.table.cfg.Region)), slog.Any("error", err))
			l.rest(ctx, retryLast)
		}
	}
}

// wait returns when the bell rings, the time has come (zero: there is none), or ctx has ended.
func (l *Link) wait(ctx context.Context, due time.Time) {
	var timer <-chan time.Time
	if !due.IsZero() {
		t := time.NewTimer(max(due.Sub(l.table.cfg.Clock()), time.Microsecond))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
	case <-l.bell:
	case <-timer:
	}
}

// rest waits, or until ctx ends.
func (l *Link) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// tellAll tells what is due, and returns when the next is.
func (l *Link) tellAll(ctx context.Context) (next time.Time, err error) {
	for from, more := "", true; more; {
		var marks []mark
		if marks, more, err = l.table.marks(ctx, l.peer, from); err != nil || len(marks) == 0 {
			return next, err
		}
		from = marks[len(marks)-1].sort + "\x00"
		due, later := l.due(marks)
		if next.IsZero() || !later.IsZero() && later.Before(next) {
			next = later
		}
		if err := l.tell(ctx, due); err != nil {
			return next, err
		}
	}
	return next, nil
}

// due returns the marks whose lag is over, in no order (DynamoDB promises none either), and when the first of the others is.
func (l *Link) due(marks []mark) (due []mark, later time.Time) {
	l.mu.RLock()
	lag, paused := l.lag, l.paused
	l.mu.RUnlock()
	if paused {
		return nil, time.Time{}
	}
	now := l.table.cfg.Clock()
	for _, m := range marks {
		at := m.written.Add(lag)
		switch {
		case lag <= 0, !at.After(now):
			due = append(due, m)
		case later.IsZero(), at.Before(later):
			later = at
		}
	}
	rand.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] }) //nolint:gosec // Disorder is no secret.
	return due, later
}

var errPaused = errors.New("paused")

// tell brings items to the peer and removes the marks of those that it has. Several are on their way at once, so that the
// receiver's syncs are shared.
func (l *Link) tell(ctx context.Context, due []mark) error {
	size := 1
	if _, ok := l.to.(BatchReceiver); ok && !l.careful {
		size = batch
	}
	batches := slices.Collect(slices.Chunk(due, size))
	var wg sync.WaitGroup
	errs := make([]error, len(batches))
	free := make(chan struct{}, deliveries)
	for i, marks := range batches {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			errs[i] = l.deliver(ctx, marks)
		})
	}
	wg.Wait()
	told := make([]mark, 0, len(due))
	var failed error
	for i, marks := range batches {
		switch {
		case errs[i] == nil:
			told = append(told, marks...)
		case !errors.Is(errs[i], errPaused): // A pause is no failure; Resume rings.
			failed = errs[i]
		}
	}
	l.careful = failed != nil
	return errors.Join(failed, l.table.told(ctx, l.peer, told))
}

// deliver brings the present states of items to the peer, unless the link is paused.
func (l *Link) deliver(ctx context.Context, marks []mark) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.paused {
		return errPaused
	}
	states := make([]Replicated, 0, len(marks))
	for _, m := range marks {
		state, there, err := l.table.state(ctx, m.key)
		if err != nil {
			return err
		}
		// What is not there is forgotten, here and there; what a peer wrote since, that peer tells.
		if there && state.Writer == l.table.cfg.Region {
			states = append(states, state)
		}
	}
	switch to, ok := l.to.(BatchReceiver); {
	case len(states) == 0:
		return nil
	case ok:
		return to.ApplyAll(ctx, states)
	default:
		return l.to.Apply(ctx, states[0])
	}
}
