package app

import (
	"context"
	"fmt"

	"github.com/domicile-api/domicile/internal/audit"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/store"
)

// purge removes a tenant's copies, and refuses while a queue still has a message of its own.
func (s *synchronisation) purge(ctx context.Context, tenant ident.TenantID) error {
	if err := deleteRows(ctx, s.region.replica, tenant); err != nil {
		return err
	}
	for _, q := range s.queues {
		_, err := queue.DropWhere(ctx, q.Dead, func(m queue.Message) bool { return s.tags.tagOf(q.content(m.Body)).Tenant == tenant })
		if err != nil {
			return fmt.Errorf("dropping a purged tenant's dead letters: %w", err)
		}
	}
	left := 0
	for _, p := range s.region.res.Places {
		if p.Kind != audit.Queues {
			continue
		}
		err := p.Table.Walk(ctx, func(it store.Item) error {
			if it.Tag.Tenant == tenant {
				left++
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("looking for a purged tenant's messages: %w", err)
		}
	}
	if left > 0 {
		return fmt.Errorf("%d messages of tenant %s are in queues and have yet to be dropped", left, tenant)
	}
	return nil
}

// deleteRows deletes all rows of a tenant in a table, the watermarks first: what is no longer whole answers no read.
func deleteRows(ctx context.Context, table store.Store, tenant ident.TenantID) error {
	for lane := range ident.Lane(ident.Lanes) {
		from, to := keyspace.Watermarks()
		page, err := table.Query(ctx, store.Query{Partition: keyspace.Lane(tenant, lane), From: from, To: to, Limit: store.MaxOps})
		if err != nil {
			return fmt.Errorf("reading how far a tenant's copies are: %w", err)
		}
		if err := deleteItems(ctx, table, page.Items); err != nil {
			return err
		}
	}
	for _, partition := range keyspace.Partitions(tenant) {
		for {
			page, err := table.Query(ctx, store.Query{Partition: partition, Limit: store.MaxOps})
			if err != nil {
				return fmt.Errorf("reading a tenant's copies: %w", err)
			}
			if len(page.Items) == 0 {
				break
			}
			if err := deleteItems(ctx, table, page.Items); err != nil {
				return err
			}
		}
	}
	return nil
}

func deleteItems(ctx context.Context, table store.Store, items []store.Item) error {
	if len(items) == 0 {
		return nil
	}
	ops := make([]store.Op, len(items))
	for i := range items {
		ops[i] = store.Op{Kind: store.Delete, Item: store.Item{Key: items[i].Key}}
	}
	if err := table.Commit(ctx, store.Commit{Ops: ops}); err != nil {
		return fmt.Errorf("deleting a tenant's copies: %w", err)
	}
	return nil
}
