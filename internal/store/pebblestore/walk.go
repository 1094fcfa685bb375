package pebblestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/domicile-api/domicile/internal/store"
)

var _ store.Walker = (*table)(nil)

// walkBytes is how much a walk holds in memory, but for one item more: a page of the largest items would be 400 MB.
const walkBytes = 4 << 20

// Walker returns a table for looking at it whole.
func (db *DB) Walker(name string) store.Walker { return walker{db.Table(name)} }

// walker is a table of which only Walk can be called.
type walker struct{ table store.Store }

// Walk implements store.Walker.
func (w walker) Walk(ctx context.Context, fn func(store.Item) error) error {
	return w.table.(*table).Walk(ctx, fn) //nolint:forcetypeassert // DB.Table returns nothing else
}

// Walk implements store.Walker. It reads in pages, so that it holds nothing open while fn works. Like Get, it does not show what a crash
// could still take back.
func (t *table) Walk(ctx context.Context, fn func(store.Item) error) error {
	from := []byte(t.items)
	for from != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		items, next, err := t.walkPage(from)
		if err != nil {
			return err
		}
		if err := t.synced(ctx); err != nil {
			return err
		}
		for _, it := range items {
			if err := fn(it); err != nil {
				return err
			}
		}
		from = next
	}
	return nil
}

// synced returns when nothing that was read before the call can be lost any more: when each group that is on its way to the disk is
// there. What a group changes can be seen only after it has begun.
func (t *table) synced(ctx context.Context) error {
	u := t.db.unsynced
	u.mu.Lock()
	groups := make([]chan struct{}, 0, len(u.inFlight))
	for _, done := range u.inFlight {
		groups = append(groups, done)
	}
	u.mu.Unlock()
	for _, done := range groups {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		case <-t.db.fuse.blown:
			return t.db.fuse.err()
		}
	}
	return nil
}

// walkPage reads the items from an engine key on, and returns the key to go on from; nil at the end.
func (t *table) walkPage(from []byte) (items []store.Item, next []byte, err error) {
	if err := t.db.enter(); err != nil {
		return nil, nil, err
	}
	defer t.db.closing.RUnlock()
	err = readEngine(func() error {
		it, err := t.db.engine.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: successor([]byte(t.items))})
		if err != nil {
			return fmt.Errorf("engine: %w", err)
		}
		items, next, err = t.collectWalk(it)
		return errors.Join(err, it.Close())
	})
	if err != nil {
		return nil, nil, fmt.Errorf("walking a table: %w", err)
	}
	return items, next, nil
}

func (t *table) collectWalk(it *pebble.Iterator) (items []store.Item, next []byte, err error) {
	now, size := unixNow(t.db.cfg.Clock()), 0
	var like store.Tag
	for ok := it.First(); ok; ok = it.Next() {
		if len(items) == store.MaxPage || size >= walkBytes {
			return items, append([]byte(nil), it.Key()...), nil
		}
		rec, err := it.ValueAndErr()
		if err != nil {
			return nil, nil, fmt.Errorf("engine: %w", err)
		}
		item, h, err := parseRecord(rec, like)
		if err != nil {
			return nil, nil, err
		}
		if h.expired(now) {
			continue
		}
		if _, item.Key, err = parseKey(it.Key()); err != nil {
			return nil, nil, err
		}
		like = item.Tag
		size += len(rec)
		items = append(items, item)
	}
	if err := it.Error(); err != nil {
		return nil, nil, fmt.Errorf("engine: %w", err)
	}
	return items, nil, nil
}
