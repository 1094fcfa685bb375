package entity

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// Sizes of a page.
const (
	defaultPageSize = 100
	maxPageSize     = 1000
)

// Page says which page of a list is wanted.
type Page struct {
	// Size is how many entities the page has at the most: 0 means 100, and 1000 is the most.
	Size int32
	// Token is what the page before returned; empty for the first.
	Token string
}

// List returns a page of the tenant's entities, oldest id first, and the token of the next page, empty on the last. What is
// there from the first page to the last is returned exactly once, whatever is created and deleted meanwhile. It fails with
// TOKEN_INVALID when the token is forged, or another tenant's or list's.
func (r *Repository[E]) List(ctx context.Context, page Page) (found []E, next string, err error) {
	if _, err := r.engine.wholeEntities(ctx); err != nil {
		return nil, "", err
	}
	return list(ctx, r, r.name, page, func(c *call.Call, item store.Item) (E, bool, error) {
		stored, err := r.engine.open(ctx, r.shape, r.typ, c.Tenant, item)
		if err != nil {
			var none E
			return none, false, err
		}
		return r.public(stored), true, nil
	})
}

// list reads a page and makes an M of each item, or leaves it out. query names what the token is good for.
func list[M, E proto.Message](
	ctx context.Context, r *Repository[E], query string, page Page, read func(*call.Call, store.Item) (M, bool, error),
) (found []M, next string, err error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, "", err
	}
	size, err := page.size()
	if err != nil {
		return nil, "", err
	}
	after, err := r.engine.readToken(c.Tenant, r.prefix, query, page.Token)
	if err != nil {
		return nil, "", err
	}
	from, err := r.engine.source(c)
	if err != nil {
		return nil, "", err
	}
	// The lanes are read last, so that the answer's token covers all that the page shows, also what it shows to be gone.
	defer func() {
		if err == nil {
			err = from.sawAll(ctx, c)
		}
		if err != nil {
			found, next = nil, ""
		}
	}()
	merged := newMerge(from.table, c.Tenant, r.prefix, after, size)
	found = make([]M, 0, min(size, defaultPageSize))
	last := ""
	for len(found) < size {
		item, ok, err := merged.next(ctx)
		if err != nil {
			return nil, "", err
		}
		if !ok {
			return found, "", nil
		}
		m, shown, err := read(c, item)
		if err != nil {
			return nil, "", err
		}
		if !shown {
			continue
		}
		found = append(found, m)
		last = strings.TrimPrefix(item.Key.Sort, keyspace.EntityPrefix)
	}
	if more, err := from.follows(ctx, merged); err != nil || !more {
		return found, "", err
	}
	next, err = r.engine.makeToken(c.Tenant, r.prefix, query, last)
	return found, next, err
}

// size is how many entities the page has at the most.
func (p Page) size() (int, error) {
	switch size := int(p.Size); {
	case size < 0 || size > maxPageSize:
		return 0, violation("page_size", "int32.gte_lte", "must be 0 to 1000")
	case size == 0:
		return defaultPageSize, nil
	default:
		return size, nil
	}
}

// merge reads a tenant's entities of a type in the order of their ids, out of its lanes. It reads little more than is asked
// of it: ids spread evenly over the lanes, so each lane is first read for its share and some more, and again only when that
// is used up.
type merge struct {
	store   store.Store
	cursors [ident.Lanes]cursor
	chunk   int
	started bool
}

// cursor is a position in a lane.
type cursor struct {
	partition string
	from, to  string
	buffer    []store.Item
	more      bool
}

func newMerge(s store.Store, tenant ident.TenantID, idPrefix, after string, size int) *merge {
	// The share of a lane is binomial: size/8 and two standard deviations more hold nearly always.
	share := size / ident.Lanes
	m := &merge{store: s, chunk: min(share+share/2+4, size+1, store.MaxPage)}
	from, to := keyspace.EntitiesOf(idPrefix, after)
	for lane := range m.cursors {
		m.cursors[lane] = cursor{partition: keyspace.Lane(tenant, ident.Lane(lane)), from: from, to: to, more: true}
	}
	return m
}

// next returns the next item; false when there is none.
func (m *merge) next(ctx context.Context) (store.Item, bool, error) {
	if err := m.fill(ctx); err != nil {
		return store.Item{}, false, err
	}
	var first *cursor
	for i := range m.cursors {
		c := &m.cursors[i]
		if len(c.buffer) > 0 && (first == nil || c.buffer[0].Key.Sort < first.buffer[0].Key.Sort) {
			first = c
		}
	}
	if first == nil {
		return store.Item{}, false, nil
	}
	item := first.buffer[0]
	first.buffer[0] = store.Item{}
	first.buffer = first.buffer[1:]
	return item, true, nil
}

// fill reads on in each lane that has nothing buffered, at first in all of them at once.
func (m *merge) fill(ctx context.Context) error {
	if m.started {
		for i := range m.cursors {
			if c := &m.cursors[i]; len(c.buffer) == 0 && c.more {
				if err := c.read(ctx, m.store, m.chunk); err != nil {
					return err
				}
			}
		}
		return nil
	}
	m.started = true
	group, ctx := errgroup.WithContext(ctx)
	for i := range m.cursors {
		group.Go(func() error { return m.cursors[i].read(ctx, m.store, m.chunk) })
	}
	return group.Wait() //nolint:wrapcheck // read says what it was doing
}

// read fills an empty buffer with the next items of the lane.
func (c *cursor) read(ctx context.Context, s store.Store, limit int) error {
	page, err := s.Query(ctx, store.Query{Partition: c.partition, From: c.from, To: c.to, Limit: limit})
	if err != nil {
		return fmt.Errorf("reading a lane: %w", err)
	}
	c.buffer, c.more = page.Items, page.More
	if n := len(page.Items); n > 0 {
		c.from = page.Items[n-1].Key.Sort + "\x00"
	} else if page.More {
		return errors.New("entity: the store says that more follows an empty page")
	}
	return nil
}
