package settings

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// Position is one position of the region's own stream that is to be told.
type Position struct {
	Seq ident.Seq
	// Namespace is to be told as it is when it is told: see Tell.
	Namespace  string
	CommitTime time.Time
}

// Outbox returns the positions of the region's own stream after one, at most limit, and whether there are more.
func (s *Settings) Outbox(ctx context.Context, tenant ident.TenantID, after ident.Seq, limit int) (positions []Position, more bool, err error) {
	first, end := keyspace.OutboxAfter(after)
	page, err := s.cfg.Store.Query(ctx, store.Query{Partition: keyspace.Settings(tenant), From: first, To: end, Limit: limit})
	if err != nil {
		return nil, false, fmt.Errorf("reading the outbox of settings: %w", err)
	}
	for _, item := range page.Items {
		var record storagev1.OutboxRecord
		if err := proto.Unmarshal(item.Value, &record); err != nil {
			return nil, false, fmt.Errorf("decoding an outbox record of settings: %w", err)
		}
		seq, _ := keyspace.ParseOutbox(item.Key.Sort)
		positions = append(positions, Position{Seq: seq, Namespace: record.GetId(), CommitTime: record.GetCommitTime().AsTime()})
	}
	return positions, page.More, nil
}

// Tell returns a namespace as other regions are to be told of it. One that is not there is told as well: as empty.
func (s *Settings) Tell(ctx context.Context, tenant ident.TenantID, name string) (*settingsv1.State, error) {
	n, err := s.load(ctx, tenant, name)
	if err != nil {
		return nil, err
	}
	return n.stored.GetState(), nil
}

// All calls fn with each namespace that is kept, as Tell returns it, and then returns the position of the region's own stream that it
// had before the first: for a repair.
func (s *Settings) All(ctx context.Context, tenant ident.TenantID, fn func(name string, state *settingsv1.State) error) (ident.Seq, error) {
	own, err := s.end(ctx, tenant, nil)
	if err != nil {
		return 0, err
	}
	_, err = s.each(ctx, tenant, "", func(n *namespace) (bool, error) { return true, fn(n.name, n.stored.GetState()) })
	return own.version.Seq, err
}

// Prune deletes the outbox records up to a position, which every destination has been told of.
func (s *Settings) Prune(ctx context.Context, tenant ident.TenantID, through ident.Seq) error {
	first, _ := keyspace.OutboxAfter(0)
	for {
		page, err := s.cfg.Store.Query(ctx, store.Query{
			Partition: keyspace.Settings(tenant), From: first, To: keyspace.OutboxSort(through + 1), Limit: store.MaxOps,
		})
		if err != nil {
			return fmt.Errorf("reading the outbox of settings: %w", err)
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
