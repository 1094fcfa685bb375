package entity

import (
	"context"
	"fmt"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// Purge deletes every row of a tenant in this region's table. The caller has closed the tenant to calls and destroyed its keys
// before, so that a straggling call can seal nothing new. Cut short, it is finished by running it again; so are rows that a
// straggler wrote behind it.
func (e *Engine) Purge(ctx context.Context, tenant ident.TenantID) error {
	for _, partition := range keyspace.Partitions(tenant) {
		if err := e.purgePartition(ctx, partition); err != nil {
			return fmt.Errorf("purging a tenant: %w", err)
		}
	}
	e.lanes.forget(tenant)
	e.forgetKey(tenant)
	return nil
}

// purgePartition deletes from the front until nothing is left.
func (e *Engine) purgePartition(ctx context.Context, partition string) error {
	for {
		page, err := e.cfg.Store.Query(ctx, store.Query{Partition: partition, Limit: store.MaxOps})
		if err != nil {
			return fmt.Errorf("reading a partition: %w", err)
		}
		if len(page.Items) == 0 {
			return nil
		}
		ops := make([]store.Op, len(page.Items))
		for i := range page.Items {
			ops[i] = store.Op{Kind: store.Delete, Item: store.Item{Key: page.Items[i].Key}}
		}
		// To delete what is deleted already does no harm, so an unknown outcome needs no token: the next run reads again.
		if err := e.cfg.Store.Commit(ctx, store.Commit{Ops: ops}); err != nil {
			return fmt.Errorf("deleting rows: %w", err)
		}
	}
}
