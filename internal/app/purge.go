package app

import (
	"context"
	"fmt"

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
		letters, err := queue.List(ctx, q.dead, mostListed)
		if err != nil {
			return fmt.Errorf("looking for a purged tenant's dead letters: %w", err)
		}
		theirs := map[string]struct{}{}
		for _, m := range letters {
			if s.tagOf(m.Body).Tenant == tenant {
				theirs[m.ID] = struct{}{}
			}
		}
		if len(theirs) == 0 {
			continue
		}
		if _, err := queue.Drop(ctx, q.dead, theirs); err != nil {
			return fmt.Errorf("dropping a purged tenant's dead letters: %w", err)
		}
	}
	left := 0
	err := s.region.db.Walker(queuesTable).Walk(ctx, func(it store.Item) error {
		if it.Tag.Tenant == tenant {
			left++
		}
		return nil
	})
	if err == nil && left > 0 {
		err = fmt.Errorf("%d messages of tenant %s are in queues and have yet to be dropped", left, tenant)
	}
	return err
}

// deleteRows deletes all rows of a tenant in a table.
func deleteRows(ctx context.Context, table store.Store, tenant ident.TenantID) error {
	for _, partition := range keyspace.Partitions(tenant) {
		for {
			page, err := table.Query(ctx, store.Query{Partition: partition, Limit: store.MaxOps})
			if err != nil {
				return fmt.Errorf("reading a tenant's copies: %w", err)
			}
			if len(page.Items) == 0 {
				break
			}
			ops := make([]store.Op, len(page.Items))
			for i := range page.Items {
				ops[i] = store.Op{Kind: store.Delete, Item: store.Item{Key: page.Items[i].Key}}
			}
			if err := table.Commit(ctx, store.Commit{Ops: ops}); err != nil {
				return fmt.Errorf("deleting a tenant's copies: %w", err)
			}
		}
	}
	return nil
}
