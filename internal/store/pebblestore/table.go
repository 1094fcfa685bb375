package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/domicile-api/domicile/internal/store"
)

// table is one table of a DB.
type table struct {
	db *DB
	// items and tokens are what the engine keys of the two spaces begin with.
	items, tokens string
	feed          *feed
	keys          sync.Pool // *[]byte, for engine keys
}

var _ store.Store = (*table)(nil)

func newTable(db *DB, name string) *table {
	return &table{
		db: db, items: tablePrefix(spaceItem, name), tokens: tablePrefix(spaceToken, name),
		feed: newFeed(db.cfg.FeedLimit, db.shuffle),
	}
}

// Get implements store.Store.
func (t *table) Get(ctx context.Context, key store.Key) (store.Item, error) {
	if err := errors.Join(key.Validate(), ctx.Err()); err != nil {
		return store.Item{}, err
	}
	buf, ok := t.keys.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	defer t.keys.Put(buf)
	*buf = appendKey((*buf)[:0], t.items, key)
	it, found, err := t.read(*buf)
	if err != nil {
		return store.Item{}, err
	}
	if err := t.db.unsynced.wait(ctx, *buf, t.db.fuse); err != nil {
		return store.Item{}, err
	}
	if !found {
		return store.Item{}, store.ErrNotFound
	}
	it.Key = key
	return it, nil
}

// read reads an item from the engine, on disk or not.
func (t *table) read(key []byte) (it store.Item, found bool, err error) {
	if err := t.db.enter(); err != nil {
		return store.Item{}, false, err
	}
	defer t.db.closing.RUnlock()
	now := unixNow(t.db.cfg.Clock())
	err = readEngine(func() error {
		rec, closer, err := t.db.engine.Get(key)
		if errors.Is(err, pebble.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("engine: %w", err)
		}
		var h header
		it, h, err = parseRecord(rec, store.Tag{})
		found = err == nil && !h.expired(now)
		return errors.Join(err, closer.Close())
	})
	if err != nil {
		return store.Item{}, false, fmt.Errorf("reading an item: %w", err)
	}
	return it, found, nil
}

// Query implements store.Store.
func (t *table) Query(ctx context.Context, q store.Query) (store.Page, error) {
	limit, err := q.Validate()
	if err := errors.Join(err, ctx.Err()); err != nil {
		return store.Page{}, err
	}
	partition := appendPartition(nil, t.items, q.Partition)
	page, err := t.scan(q, partition, limit)
	if err != nil {
		return store.Page{}, err
	}
	if err := t.db.unsynced.wait(ctx, partition, t.db.fuse); err != nil {
		return store.Page{}, err
	}
	return page, nil
}

// scan reads a page from the engine, on disk or not.
func (t *table) scan(q store.Query, partition []byte, limit int) (page store.Page, err error) {
	if err := t.db.enter(); err != nil {
		return store.Page{}, err
	}
	defer t.db.closing.RUnlock()
	lower := append(slices.Clip(partition), q.From...)
	var upper []byte
	if q.To == "" {
		upper = successor(append([]byte(nil), partition...))
	} else {
		upper = append(slices.Clip(partition), q.To...)
	}
	err = readEngine(func() error {
		it, err := t.db.engine.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			return fmt.Errorf("engine: %w", err)
		}
		page, err = t.collect(it, q, len(partition), limit)
		return errors.Join(err, it.Close())
	})
	if err != nil {
		return store.Page{}, fmt.Errorf("reading a page: %w", err)
	}
	return page, nil
}

// collect takes up to limit visible items, and looks for one more.
func (t *table) collect(it *pebble.Iterator, q store.Query, partitionLen, limit int) (store.Page, error) {
	var page store.Page
	var like store.Tag
	now := unixNow(t.db.cfg.Clock())
	first, next := it.First, it.Next
	if q.Descending {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		rec, err := it.ValueAndErr()
		if err != nil {
			return store.Page{}, fmt.Errorf("engine: %w", err)
		}
		if len(page.Items) == limit {
			h, _, err := parseHeader(rec)
			if err != nil {
				return store.Page{}, err
			}
			if h.expired(now) {
				continue
			}
			page.More = true
			break
		}
		item, h, err := parseRecord(rec, like)
		if err != nil {
			return store.Page{}, err
		}
		if h.expired(now) {
			continue
		}
		like = item.Tag
		item.Key = store.Key{Partition: q.Partition, Sort: string(it.Key()[partitionLen:])}
		page.Items = append(page.Items, item)
	}
	if err := it.Error(); err != nil {
		return store.Page{}, fmt.Errorf("engine: %w", err)
	}
	return page, nil
}

// Commit implements store.Store.
func (t *table) Commit(ctx context.Context, c store.Commit) error {
	if err := errors.Join(c.Validate(), ctx.Err()); err != nil {
		return err
	}
	if err := t.db.fuse.err(); err != nil {
		return err
	}
	r := encodeCommit(t, &c)
	if err := t.db.committer.submit(r); err != nil {
		return err
	}
	return r.wait(ctx, t.db.fuse)
}

// Changes implements store.Store. The feed is in memory: what is committed is told after it is on disk.
func (t *table) Changes(ctx context.Context, fn func([]store.Change) error) error {
	if err := t.db.enter(); err != nil {
		return err
	}
	t.db.closing.RUnlock()
	return t.feed.run(ctx, t.db.stop, fn)
}
