package settings_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

var errLost = errors.New("the store did not answer")

// memory is a table that can lose its answers.
type memory struct {
	mu     sync.Mutex
	items  map[store.Key]store.Item
	tokens map[string]bool
	// lose says, if it is set, whether the next commit is lost before it takes effect, or its answer after.
	lose func() (before, after bool)
}

func newMemory() *memory {
	return &memory{items: map[store.Key]store.Item{}, tokens: map[string]bool{}}
}

func (m *memory) Get(_ context.Context, key store.Key) (store.Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	item, ok := m.items[key]
	if !ok {
		return store.Item{}, store.ErrNotFound
	}
	return item, nil
}

func (m *memory) Query(_ context.Context, q store.Query) (store.Page, error) {
	limit, err := q.Validate()
	if err != nil {
		return store.Page{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []store.Key
	for key := range m.items {
		if key.Partition == q.Partition && key.Sort >= q.From && (q.To == "" || key.Sort < q.To) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b store.Key) int { return strings.Compare(a.Sort, b.Sort) })
	var p store.Page
	for _, key := range keys {
		if len(p.Items) == limit {
			p.More = true
			break
		}
		p.Items = append(p.Items, m.items[key])
	}
	return p, nil
}

func (m *memory) Commit(_ context.Context, c store.Commit) error {
	if err := c.Validate(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var before, after bool
	if m.lose != nil {
		before, after = m.lose()
	}
	if before {
		return errLost
	}
	if m.tokens[c.Token] {
		return nil
	}
	refused := &store.ConditionError{Failed: make([]bool, len(c.Ops)), Stored: make([]ident.Version, len(c.Ops))}
	for i, op := range c.Ops {
		item, there := m.items[op.Item.Key]
		refused.Failed[i] = !op.If.Holds(there, item.Version)
	}
	if slices.Contains(refused.Failed, true) {
		return refused
	}
	for _, op := range c.Ops {
		switch op.Kind {
		case store.Put:
			m.items[op.Item.Key] = op.Item
		case store.Delete:
			delete(m.items, op.Item.Key)
		case store.Check:
		}
	}
	m.tokens[c.Token] = true
	if after {
		return errLost
	}
	return nil
}

func (m *memory) Changes(ctx context.Context, _ func([]store.Change) error) error {
	<-ctx.Done()
	return ctx.Err()
}
