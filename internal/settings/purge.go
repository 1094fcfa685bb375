package settings

import (
	"context"
	"fmt"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// Purge deletes all that the region keeps of a tenant's settings. What is under way when it is called is waited for, and nothing of the
// tenant is stored after it, as long as the process lives; who calls this package refuses purged tenants anyway. It is idempotent.
func (s *Settings) Purge(ctx context.Context, tenant ident.TenantID) error {
	unlock, err := s.wait(ctx, tenant)
	if err != nil {
		return err
	}
	defer unlock()
	s.erasedMu.Lock()
	s.erased[tenant] = struct{}{}
	s.erasedMu.Unlock()
	for _, partition := range keyspace.Partitions(tenant) {
		if err := s.clear(ctx, partition); err != nil {
			return err
		}
	}
	return nil
}

func (s *Settings) clear(ctx context.Context, partition string) error {
	for {
		page, err := s.cfg.Store.Query(ctx, store.Query{Partition: partition, Limit: queryPage})
		if err != nil {
			return fmt.Errorf("reading a purged tenant's settings: %w", err)
		}
		if len(page.Items) == 0 {
			return nil
		}
		ops := make([]store.Op, len(page.Items))
		for i := range page.Items {
			ops[i] = store.Op{Kind: store.Delete, Item: store.Item{Key: page.Items[i].Key}}
		}
		if err := s.commit(ctx, ops); err != nil {
			return err
		}
	}
}

// has tells whether the region keeps anything of a tenant's settings.
func (s *Settings) has(ctx context.Context, tenant ident.TenantID) (bool, error) {
	page, err := s.cfg.Store.Query(ctx, store.Query{Partition: keyspace.Settings(tenant), Limit: 1})
	if err != nil {
		return false, fmt.Errorf("looking for a tenant's settings: %w", err)
	}
	return len(page.Items) > 0, nil
}
