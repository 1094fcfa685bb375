package storequeue

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/store"
)

// Browse returns the first messages of the queue, oldest first, without receiving them, and how many there are in all. It is more than
// the port can: SQS shows only what it hands out. The messages have no receipts.
func (q *Queue) Browse(ctx context.Context, limit int) (first []queue.Message, all int, err error) {
	type place struct {
		group    string
		number   uint64
		receives int
	}
	q.mu.Lock()
	if q.closed != nil {
		q.mu.Unlock()
		return nil, 0, q.closed
	}
	places := make([]place, 0, q.index.stored)
	for _, g := range q.index.groups {
		for i := range g.entries {
			e := &g.entries[i]
			if e.pending {
				continue
			}
			p := place{group: g.id, number: e.number}
			if e.flight != nil {
				p.receives = int(e.flight.receives)
			}
			places = append(places, p)
		}
	}
	q.mu.Unlock()
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.number, b.number) })
	for _, p := range places[:min(limit, len(places))] {
		item, err := q.cfg.Store.Get(ctx, messageKey(q.cfg.Name, p.group, p.number))
		if errors.Is(err, store.ErrNotFound) {
			continue // Deleted meanwhile.
		}
		if err != nil {
			return nil, 0, fmt.Errorf("reading a message: %w", portError(err))
		}
		m, err := parseMessage(item.Value)
		if err != nil {
			return nil, 0, fmt.Errorf("reading a message: %w", err)
		}
		first = append(first, queue.Message{
			ID: hex.EncodeToString(m.id[:]), Group: m.group, Body: m.body, Receives: p.receives, Sent: timeOf(m.sent),
		})
	}
	return first, len(places), nil
}
