package dynamostore

import (
	"context"
	"time"

	"github.com/domicile-api/domicile/internal/store"
)

// feedRoom is how many changes are kept for a consumer that is slow; beyond it an empty batch stands for them.
const feedRoom = 256

// refusedPause is the pause before a batch that was refused is given again.
const refusedPause = 50 * time.Millisecond

// feed is one consumer of Directory.Changes.
type feed struct {
	// bell rings when there are changes.
	bell chan struct{}
	// changes and lost belong to the Directory's lock. lost says that some were not kept.
	changes []store.Change
	lost    bool
}

// Changes implements directory.Table: an empty batch first, then what this Directory commits, and at each interval an empty batch, for
// what others may have committed. A batch that fn refuses is given again.
func (d *Directory) Changes(ctx context.Context, fn func([]store.Change) error) error {
	f := &feed{bell: make(chan struct{}, 1)}
	d.mu.Lock()
	d.feeds[f] = struct{}{}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.feeds, f)
	}()
	tick := time.NewTicker(d.interval)
	defer tick.Stop()
	if err := give(ctx, fn, nil); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if err := give(ctx, fn, nil); err != nil {
				return err
			}
		case <-f.bell:
			for _, batch := range d.take(f) {
				if err := give(ctx, fn, batch); err != nil {
					return err
				}
			}
		}
	}
}

// take returns what is to be told: the changes, and an empty batch if there were more.
func (d *Directory) take(f *feed) [][]store.Change {
	d.mu.Lock()
	defer d.mu.Unlock()
	batches := [][]store.Change{f.changes}
	if f.lost {
		batches = append(batches, nil)
	}
	f.changes, f.lost = nil, false
	return batches
}

// ring tells all consumers of a change.
func (d *Directory) ring(c store.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for f := range d.feeds {
		if len(f.changes) < feedRoom {
			f.changes = append(f.changes, c)
		} else {
			f.lost = true
		}
		select {
		case f.bell <- struct{}{}:
		default: // It rings already.
		}
	}
}

// give hands a batch over until it is taken.
func give(ctx context.Context, fn func([]store.Change) error, batch []store.Change) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if fn(batch) == nil {
			return nil
		}
		if !sleep(ctx, refusedPause) {
			return ctx.Err()
		}
	}
}
