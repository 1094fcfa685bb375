package replication

import (
	"context"
	"fmt"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// Prune deletes outbox records that nobody waits for, of one lane of which something was sent since. It returns false when
// there is no such lane.
func (r *Relay) Prune(ctx context.Context) (bool, error) {
	r.mu.Lock()
	var key laneOf
	found := false
	for key = range r.prunable {
		found = true
		break
	}
	delete(r.prunable, key)
	r.mu.Unlock()
	if !found {
		return false, nil
	}
	more, err := r.prune(ctx, key)
	if err != nil || more {
		r.prunableLane(key)
	}
	return true, err
}

// prune deletes a batch of records that every destination which the outbox waits for has been sent.
func (r *Relay) prune(ctx context.Context, key laneOf) (more bool, err error) {
	tenant, err := r.tenant(key.tenant)
	if err != nil {
		return false, nil //nolint:nilerr // a lane that is another region's now is left as it is
	}
	cursors, err := r.cursors(ctx, key)
	if err != nil {
		return false, err
	}
	head, err := r.counter(ctx, key.tenant, key.lane)
	if err != nil {
		return false, err
	}
	until := head.Seq
	for _, d := range r.to {
		grant := GrantOf(r.cfg.Topology, tenant, d.index)
		for _, feed := range feeds() {
			if !grant.Has(feed) {
				continue
			}
			c := cursors[cursorID{feed, d.id}] // Without a cursor nothing was sent.
			behind := head.Seq > c.version.Seq && uint64(head.Seq-c.version.Seq) > r.cfg.Tuning.MaxBacklog
			if !c.lost && !behind {
				until = min(until, c.version.Seq)
			}
		}
	}
	return r.deleteUntil(ctx, key, until)
}

func (r *Relay) deleteUntil(ctx context.Context, key laneOf, until ident.Seq) (more bool, err error) {
	if until == 0 {
		return false, nil
	}
	from, _ := keyspace.OutboxAfter(0)
	page, err := r.cfg.Table.Query(ctx, store.Query{
		Partition: keyspace.Lane(key.tenant, key.lane), From: from, To: keyspace.OutboxSort(until + 1), Limit: store.MaxOps,
	})
	if err != nil {
		return false, fmt.Errorf("reading the outbox: %w", err)
	}
	if len(page.Items) == 0 {
		return false, nil
	}
	ops := make([]store.Op, 0, len(page.Items))
	for _, item := range page.Items {
		ops = append(ops, store.Op{Kind: store.Delete, Item: store.Item{Key: item.Key}})
	}
	if err := r.cfg.Table.Commit(ctx, store.Commit{Ops: ops}); err != nil {
		return false, fmt.Errorf("pruning the outbox: %w", err)
	}
	return page.More, nil
}
