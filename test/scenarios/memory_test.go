package scenarios

import (
	"context"
	"errors"
	"slices"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/storetest"
)

// memory is a table in memory: a store.Store without an engine, so that hundreds of worlds are made in no time.
type memory struct {
	clock func() time.Time

	mu         sync.Mutex
	partitions map[string]*partition
	tokens     map[string]spent
	listeners  map[*listener]struct{}
	closed     chan struct{}
}

// partition has its sort keys in order.
type partition struct {
	sorts []string
	items map[string]store.Item
}

// spent is a commit's token.
type spent struct {
	digest [32]byte
	until  time.Time
}

// listener is a consumer of the change feed.
type listener struct {
	pending []store.Change
	wake    chan struct{}
}

func newMemory(clock func() time.Time) *memory {
	return &memory{
		clock: clock, partitions: make(map[string]*partition), tokens: make(map[string]spent),
		listeners: make(map[*listener]struct{}), closed: make(chan struct{}),
	}
}

func (m *memory) usable(ctx context.Context) error {
	select {
	case <-m.closed:
		return store.ErrClosed
	default:
		return ctx.Err()
	}
}

func (m *memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.closed)
}

// visible tells whether an item has not expired.
func visible(item store.Item, now time.Time) bool {
	return item.Expires.IsZero() || now.Before(item.Expires)
}

// find returns an item that has not expired; m.mu is held.
func (m *memory) find(key store.Key, now time.Time) (store.Item, bool) {
	p := m.partitions[key.Partition]
	if p == nil {
		return store.Item{}, false
	}
	item, ok := p.items[key.Sort]
	return item, ok && visible(item, now)
}

// Get implements store.Store.
func (m *memory) Get(ctx context.Context, key store.Key) (store.Item, error) {
	if err := errors.Join(m.usable(ctx), key.Validate()); err != nil {
		return store.Item{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	item, ok := m.find(key, m.clock())
	if !ok {
		return store.Item{}, store.ErrNotFound
	}
	return clone(item), nil
}

func clone(item store.Item) store.Item {
	item.Value = slices.Clone(item.Value)
	if !item.Expires.IsZero() { // To the second, and never early.
		item.Expires = item.Expires.Add(time.Second - 1).Truncate(time.Second).UTC()
	}
	return item
}

// Query implements store.Store.
func (m *memory) Query(ctx context.Context, q store.Query) (store.Page, error) {
	limit, err := q.Validate()
	if err = errors.Join(m.usable(ctx), err); err != nil {
		return store.Page{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.partitions[q.Partition]
	if p == nil {
		return store.Page{}, nil
	}
	first := sort.SearchStrings(p.sorts, q.From)
	end := len(p.sorts)
	if q.To != "" {
		end = max(first, sort.SearchStrings(p.sorts, q.To))
	}
	sorts := p.sorts[first:end]
	now := m.clock()
	var page store.Page
	for i := range sorts {
		at := i
		if q.Descending {
			at = len(sorts) - 1 - i
		}
		item := p.items[sorts[at]]
		if !visible(item, now) {
			continue
		}
		if len(page.Items) == limit {
			page.More = true
			break
		}
		page.Items = append(page.Items, clone(item))
	}
	return page, nil
}

// Commit implements store.Store.
func (m *memory) Commit(ctx context.Context, c store.Commit) error {
	_, err := m.commit(ctx, c)
	return err
}

// commit also tells whether the commit took effect now, and not before under its token.
func (m *memory) commit(ctx context.Context, c store.Commit) (took bool, err error) {
	if err := errors.Join(m.usable(ctx), c.Validate()); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return false, err
	}
	now := m.clock()
	digest := c.Digest()
	if was, known := m.tokens[c.Token]; c.Token != "" && known && now.Before(was.until) {
		if was.digest != digest {
			return false, store.ErrInvalid
		}
		return false, nil
	}
	refused := &store.ConditionError{Failed: make([]bool, len(c.Ops)), Stored: make([]ident.Version, len(c.Ops))}
	for i, op := range c.Ops {
		item, there := m.find(op.Item.Key, now)
		if !op.If.Holds(there, item.Version) {
			refused.Failed[i] = true
			if there {
				refused.Stored[i] = item.Version
			}
		}
	}
	if slices.Contains(refused.Failed, true) {
		return false, refused
	}
	if c.Token != "" {
		m.tokens[c.Token] = spent{digest, now.Add(store.TokenLife)}
	}
	changes := make([]store.Change, 0, len(c.Ops))
	for _, op := range c.Ops {
		switch op.Kind {
		case store.Put:
			m.put(clone(op.Item))
		case store.Delete:
			m.remove(op.Item.Key)
		case store.Check:
			continue
		}
		changes = append(changes, store.Change{Key: op.Item.Key, Deleted: op.Kind == store.Delete})
	}
	for l := range m.listeners {
		l.pending = append(l.pending, changes...)
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return true, nil
}

func (m *memory) put(item store.Item) {
	p := m.partitions[item.Key.Partition]
	if p == nil {
		p = &partition{items: make(map[string]store.Item)}
		m.partitions[item.Key.Partition] = p
	}
	if _, there := p.items[item.Key.Sort]; !there {
		p.sorts = slices.Insert(p.sorts, sort.SearchStrings(p.sorts, item.Key.Sort), item.Key.Sort)
	}
	p.items[item.Key.Sort] = item
}

func (m *memory) remove(key store.Key) {
	p := m.partitions[key.Partition]
	if p == nil {
		return
	}
	if _, there := p.items[key.Sort]; there {
		at := sort.SearchStrings(p.sorts, key.Sort)
		p.sorts = slices.Delete(p.sorts, at, at+1)
		delete(p.items, key.Sort)
	}
}

// Changes implements store.Store.
func (m *memory) Changes(ctx context.Context, fn func([]store.Change) error) error {
	l := &listener{wake: make(chan struct{}, 1)}
	m.mu.Lock()
	m.listeners[l] = struct{}{}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.listeners, l)
	}()
	var batch []store.Change
	for begun := false; ; {
		if err := m.usable(ctx); err != nil {
			return err
		}
		if begun && len(batch) == 0 {
			select {
			case <-l.wake:
			case <-m.closed:
			case <-ctx.Done():
			}
			m.mu.Lock()
			batch, l.pending = l.pending, nil
			m.mu.Unlock()
			continue
		}
		if fn(batch) == nil {
			begun, batch = true, nil
		}
	}
}

// Walk implements store.Walker, in the order of keys.
func (m *memory) Walk(ctx context.Context, fn func(store.Item) error) error {
	if err := m.usable(ctx); err != nil {
		return err
	}
	now := m.clock()
	var all []store.Item
	m.mu.Lock()
	names := make([]string, 0, len(m.partitions))
	for name := range m.partitions {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p := m.partitions[name]
		for _, key := range p.sorts {
			if item := p.items[key]; visible(item, now) {
				all = append(all, clone(item))
			}
		}
	}
	m.mu.Unlock()
	for _, item := range all {
		if err := m.usable(ctx); err != nil {
			return err
		}
		if err := fn(item); err != nil {
			return err
		}
	}
	return nil
}

func TestMemoryIsAStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(_ *testing.T, clock func() time.Time) store.Store { return newMemory(clock) }, storetest.Options{
		Close: func(s store.Store) error { s.(*memory).close(); return nil },
	})
}
