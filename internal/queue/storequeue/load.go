package storequeue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/store"
)

// pageItems is how many items Open reads at once: they have bodies.
const pageItems = 64

// openAttempts bounds how often Open tries while others open the same queue.
const openAttempts = 10

// open takes the queue over and reads it.
func (q *Queue) open(ctx context.Context) error {
	opening, err := q.takeOver(ctx)
	if err != nil {
		return err
	}
	q.fence = store.Op{
		Kind: store.Check, Item: store.Item{Key: openingKey(q.cfg.Name)}, If: store.VersionIs(ident.Version{Epoch: ident.Epoch(opening)}),
	}
	q.index.last = opening << openingShift
	now := q.now()
	for shard := range shards {
		if err := q.load(ctx, messagePartition(q.cfg.Name, shard), now); err != nil {
			return err
		}
	}
	// The groups with the oldest messages are first in line, as they were.
	groups := slices.SortedFunc(maps.Values(q.index.groups), func(a, b *group) int { return cmp.Compare(a.first(), b.first()) })
	for _, g := range groups {
		for i := range g.entries {
			if f := g.entries[i].flight; f != nil && f.deadline > now {
				g.out = append(g.out, f)
				q.index.inFlight++
			}
		}
		q.index.place(g, now)
	}
	return nil
}

// first is the number of the group's first message; 0 if it has none.
func (g *group) first() uint64 {
	if len(g.entries) == 0 {
		return 0
	}
	return g.entries[0].number
}

// takeOver raises the number of openings. From then on no commit of an earlier opening takes effect.
func (q *Queue) takeOver(ctx context.Context) (opening uint64, err error) {
	key := openingKey(q.cfg.Name)
	for range openAttempts {
		put := store.Op{
			Kind: store.Put, If: store.Absent(),
			Item: store.Item{Key: key, Tag: store.Tag{Class: store.ClassGlobal}},
		}
		before, err := q.cfg.Store.Get(ctx, key)
		switch {
		case err == nil:
			put.If = store.VersionIs(before.Version)
		case !errors.Is(err, store.ErrNotFound):
			return 0, portError(err)
		}
		opening = uint64(before.Version.Epoch) + 1
		if opening > maxOpening {
			return 0, errors.New("storequeue: opened too often; the numbers are used up")
		}
		put.Item.Version = ident.Version{Epoch: ident.Epoch(opening)}
		token, err := q.token()
		if err != nil {
			return 0, err
		}
		err = q.attempt(ctx, store.Commit{Ops: []store.Op{put}, Token: token}, callerAttempts)
		if _, refused := errors.AsType[*store.ConditionError](err); refused {
			continue
		}
		return opening, portError(err)
	}
	return 0, errors.New("storequeue: others open it all the time")
}

// load reads a partition: each message, followed by its reception if there was one.
func (q *Queue) load(ctx context.Context, partition string, now int64) error {
	from := messagePrefix
	var last *entry // The message read last.
	var group *group
	for {
		page, err := q.cfg.Store.Query(ctx, store.Query{Partition: partition, From: from, To: messagesEnd, Limit: pageItems})
		if err != nil {
			return fmt.Errorf("reading messages: %w", portError(err))
		}
		for i := range page.Items {
			it := &page.Items[i]
			number, isReception, err := parseSort(it.Key.Sort)
			if err != nil {
				q.skipped(it.Key.Sort, err)
				continue
			}
			if !isReception {
				last, group = q.loadMessage(number, it, now)
				continue
			}
			if last != nil && last.number == number {
				q.loadReception(group, last, it)
			}
		}
		if !page.More {
			return nil
		}
		from = page.Items[len(page.Items)-1].Key.Sort + "\x00"
	}
}

func (q *Queue) loadMessage(number uint64, it *store.Item, now int64) (*entry, *group) {
	m, err := parseMessage(it.Value)
	if err != nil {
		q.skipped(it.Key.Sort, err)
		return nil, nil
	}
	if m.since+int64(q.cfg.Retention) <= now {
		return nil, nil
	}
	g := q.index.add(m.group, entry{number: number, sent: m.sent, since: m.since})
	if g.sender == "" {
		g.sender = q.cfg.Sender(m.body)
	}
	return &g.entries[len(g.entries)-1], g
}

func (q *Queue) loadReception(g *group, e *entry, it *store.Item) {
	r, err := parseReception(it.Value)
	if err != nil {
		q.skipped(it.Key.Sort, err) // The message counts as never received: it comes again, and nothing is lost.
		return
	}
	e.flight = &flight{reception: r, group: g, number: e.number}
	q.index.received[e.number] = e.flight
}

// skipped says that an item was not understood. It stays where it is, for someone to look at, until its time is over.
func (q *Queue) skipped(sort string, err error) {
	q.cfg.Logger.Error("an item of the queue is malformed", slog.String("key", fmt.Sprintf("%x", sort)), slog.Any("error", err))
}

// portError says a store's error in the words of the queue's port.
func portError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrFull):
		return queue.ErrFull
	case errors.Is(err, store.ErrClosed):
		return queue.ErrClosed
	case errors.Is(err, queue.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	default:
		return fmt.Errorf("storequeue: %w", err)
	}
}
