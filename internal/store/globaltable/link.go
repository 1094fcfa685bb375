package globaltable

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

const (
	// maxBatch is how many writes are told between two moves of a cursor.
	maxBatch = 100
	// retryFirst and retryLast bound the pause after a failed delivery; it doubles in between, with full jitter.
	retryFirst = 10 * time.Millisecond
	retryLast  = 2 * time.Second
)

// Link tells one peer. Its lag can be set, and it can be paused, while it runs.
type Link struct {
	table *Table
	peer  ident.RegionID
	to    Receiver

	mu     sync.Mutex
	lag    time.Duration
	paused bool
	// changed is closed, and replaced, when lag or paused change.
	changed chan struct{}
}

// Connect makes the link to a peer. Run it to tell the peer what it was not told yet, and everything from then on.
func (t *Table) Connect(peer ident.RegionID, to Receiver) *Link {
	l := &Link{table: t, peer: peer, to: to, changed: make(chan struct{})}
	t.mu.Lock()
	t.links[peer] = l
	t.mu.Unlock()
	return l
}

// Link returns the link to a peer; nil if there is none.
func (t *Table) Link(peer ident.RegionID) *Link {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.links[peer]
}

// SetLag makes writes be told that long after they were made, at the earliest.
func (l *Link) SetLag(lag time.Duration) { l.set(func() { l.lag = lag }) }

// Pause stops telling, as a partition would; Resume goes on.
func (l *Link) Pause() { l.set(func() { l.paused = true }) }

// Resume ends a Pause.
func (l *Link) Resume() { l.set(func() { l.paused = false }) }

func (l *Link) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *Link) settings() (lag time.Duration, paused bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lag, l.paused, l.changed
}

// Run tells the peer until ctx ends.
func (l *Link) Run(ctx context.Context) error {
	pause := retryFirst
	failing := false
	for ctx.Err() == nil {
		err := l.follow(ctx)
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			pause, failing = retryFirst, false
			continue
		}
		if !failing {
			failing = true
			l.table.cfg.Logger.WarnContext(ctx, "a replica of the directory cannot be told; it is tried again",
				slog.String("from", string(l.table.cfg.Region)), slog.String("to", string(l.peer)), slog.Any("error", err))
		}
		l.rest(ctx, rand.N(pause)+1) //nolint:gosec // Jitter is no secret.
		pause = min(2*pause, retryLast)
	}
	return nil
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

// follow is one round: a batch told, or a wait for something to tell.
func (l *Link) follow(ctx context.Context) error {
	out := l.table.out
	complete, moved := out.complete()
	lag, paused, changed := l.settings()
	at, err := out.cursor(ctx, l.peer)
	if err != nil {
		return err
	}
	if paused || at >= complete {
		select {
		case <-ctx.Done():
		case <-changed:
		case <-moved:
		}
		return nil
	}
	records, err := out.read(ctx, at, complete)
	if err != nil {
		return err
	}
	if len(records) == 0 { // Commits that failed have left numbers without records.
		return l.advance(ctx, complete)
	}
	if wait := l.early(records[0], lag); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
		return nil
	}
	return l.tell(ctx, records, lag)
}

// early is how long a record must still wait for the lag.
func (l *Link) early(r record, lag time.Duration) time.Duration {
	if lag <= 0 {
		return 0
	}
	return time.Unix(0, r.stamp.time).Add(lag).Sub(l.table.cfg.Clock())
}

// tell brings the items of a batch to the peer, each once, in no order, and then moves the cursor.
func (l *Link) tell(ctx context.Context, records []record, lag time.Duration) error {
	due := records
	for i, r := range records {
		if l.early(r, lag) > 0 {
			due = records[:i]
			break
		}
	}
	last := due[len(due)-1].n
	told := make(map[store.Key]struct{}, len(due))
	rand.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] }) // DynamoDB promises no order either.
	for _, r := range due {
		if _, twice := told[r.key]; twice {
			continue
		}
		told[r.key] = struct{}{}
		state, there, err := l.table.state(ctx, r.key)
		if err != nil {
			return err
		}
		if !there {
			continue // Expired, here and there.
		}
		if err := l.to.Apply(ctx, state); err != nil {
			return err
		}
	}
	return l.advance(ctx, last)
}

func (l *Link) advance(ctx context.Context, n uint64) error {
	if err := l.table.out.advance(ctx, l.peer, n); err != nil {
		return err
	}
	return l.table.out.prune(ctx, l.table.cfg.Peers)
}
