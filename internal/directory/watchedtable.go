package directory

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/store"
)

// awayFor is how long a table whose reads fail is left alone.
const awayFor = time.Second

// errFrozen is the cause when no read ended as long as what it says was true.
var errFrozen = errors.New("each read took longer than its answer is true")

// watchedTable is a table that knows whether it can be read.
type watchedTable struct {
	Table

	clock func() time.Time
	// frozen is how long a read takes only if the process was frozen meanwhile: then its failure says nothing of the table.
	frozen time.Duration
	logger *slog.Logger

	mu sync.Mutex
	// away says that the last read failed; next is when one call may try again.
	away bool
	next time.Time
}

// Get reads and takes note of how it ended.
func (w *watchedTable) Get(ctx context.Context, key store.Key) (store.Item, error) {
	began := w.clock()
	item, err := w.Table.Get(ctx, key)
	now := w.clock()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound):
		if w.away {
			w.logger.InfoContext(ctx, "the directory can be read again")
		}
		w.away = false
	case now.Sub(began) > w.frozen:
	default:
		if !w.away {
			w.logger.WarnContext(ctx, "the directory cannot be read; going on with what is known", slog.Any("error", err))
		}
		w.away, w.next = true, now.Add(awayFor)
	}
	return item, err
}

// isAway tells whether the last read failed.
func (w *watchedTable) isAway() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.away
}

// try tells whether the table is there, or nobody has tried for a while whether it is; then the caller is who tries. That it is
// long until the next try says that the clock was set back.
func (w *watchedTable) try(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.away {
		return true
	}
	if left := w.next.Sub(now); left > 0 && left <= w.frozen+awayFor {
		return false
	}
	w.next = now.Add(w.frozen) // Longer than the try takes.
	return true
}
