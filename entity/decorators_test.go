package entity_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/domicile-api/domicile/internal/store"
)

// errLost is what a client sees of a commit whose answer was lost on the way.
var errLost = errors.New("connection reset")

// flaky loses the answers of commits. Before some of them the commit has taken effect, before others not.
type flaky struct {
	store.Store

	mu sync.Mutex
	// plan says of each coming commit what becomes of it; beyond its end all goes well.
	plan []fate
	// tokens are those of all commits, in order.
	tokens []string
}

type fate uint8

const (
	fine fate = iota
	lostBefore
	lostAfter
)

func (f *flaky) Commit(ctx context.Context, c store.Commit) error {
	f.mu.Lock()
	next := fine
	if len(f.plan) > 0 {
		next, f.plan = f.plan[0], f.plan[1:]
	}
	f.tokens = append(f.tokens, c.Token)
	f.mu.Unlock()
	switch next {
	case lostBefore:
		return errLost
	case lostAfter:
		return errors.Join(errLost, ignore(f.Store.Commit(ctx, c)))
	default:
		return f.Store.Commit(ctx, c)
	}
}

// ignore hides an error, as a lost answer does.
func ignore(error) error { return nil }

func (f *flaky) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.tokens...)
}

// gate holds commits back while it is shut.
type gate struct {
	store.Store

	mu      sync.RWMutex
	shut    chan struct{}
	entered atomic.Int64
}

// close holds back all commits from now on; the result lets them pass.
func (g *gate) close() (open func()) {
	shut := make(chan struct{})
	g.mu.Lock()
	g.shut = shut
	g.mu.Unlock()
	return func() {
		g.mu.Lock()
		g.shut = nil
		g.mu.Unlock()
		close(shut)
	}
}

func (g *gate) Commit(ctx context.Context, c store.Commit) error {
	g.mu.RLock()
	shut := g.shut
	g.mu.RUnlock()
	g.entered.Add(1)
	if shut != nil {
		select {
		case <-shut:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return g.Store.Commit(ctx, c)
}

// counting counts the items that queries return.
type counting struct {
	store.Store

	items, queries atomic.Int64
}

func (c *counting) Query(ctx context.Context, q store.Query) (store.Page, error) {
	page, err := c.Store.Query(ctx, q)
	c.items.Add(int64(len(page.Items)))
	c.queries.Add(1)
	return page, err
}

// failing answers every commit with one error.
type failing struct {
	store.Store

	err error
}

func (f *failing) Commit(context.Context, store.Commit) error { return f.err }
