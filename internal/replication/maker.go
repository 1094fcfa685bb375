package replication

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

// maxRecord bounds an idempotency record that is sent, in bytes: what does not fit a message is not sent. Entities always fit.
const maxRecord = queue.MaxMessageBytes - 8<<10

// Maker makes events of what a home has stored. It is safe for concurrent use.
type Maker struct {
	// Table is the region's regional table.
	Table store.Store
	// Sealer has the tenants' keys; projections of scope GLOBAL and whole entities are made without one.
	Sealer seal.Sealer
	// Catalog has the release's entities.
	Catalog *residency.Catalog
}

// Events makes the parts of a position out of its outbox record, in their order: two when a standby is told of a write under an
// idempotency key, otherwise one. They show the entity as it is now.
func (m *Maker) Events(ctx context.Context, s *replicationv1.Stream, grant Grant, item store.Item) ([]*replicationv1.Event, error) {
	var record storagev1.OutboxRecord
	if err := proto.Unmarshal(item.Value, &record); err != nil {
		return nil, fmt.Errorf("decoding an outbox record: %w", err)
	}
	made, err := m.entity(ctx, s, grant, &record)
	if err != nil {
		return nil, err
	}
	parts := []*replicationv1.Event{made}
	if s.GetFeed() == replicationv1.Feed_FEED_STANDBY && len(record.GetIdempotencyHash()) > 0 {
		answer, err := m.record(ctx, ident.TenantID(s.GetTenant()), record.GetIdempotencyHash())
		if err != nil {
			return nil, err
		}
		parts = []*replicationv1.Event{answer, made}
	}
	for i, e := range parts {
		e.Stream, e.Epoch, e.Seq = s, uint64(item.Version.Epoch), uint64(item.Version.Seq)
		e.Part, e.Parts = uint32(i), uint32(len(parts)) //nolint:gosec // 0 to 2
		e.CommitTime = record.GetCommitTime()
	}
	return parts, nil
}

// entity says what is so of the entity that a record names.
func (m *Maker) entity(
	ctx context.Context, s *replicationv1.Stream, grant Grant, record *storagev1.OutboxRecord,
) (*replicationv1.Event, error) {
	tenant := ident.TenantID(s.GetTenant())
	item, err := m.Table.Get(ctx, keyspace.Entity(tenant, record.GetId()))
	if errors.Is(err, store.ErrNotFound) && !m.withholds(s.GetFeed(), grant, record.GetEntity()) {
		return &replicationv1.Event{What: &replicationv1.Event_Tombstone{
			Tombstone: &replicationv1.Tombstone{Entity: record.GetEntity(), Id: record.GetId()},
		}}, nil
	}
	var state *replicationv1.State
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("reading the entity: %w", err)
	default:
		state, err = m.State(ctx, tenant, s.GetFeed(), grant, record.GetEntity(), item)
		if err != nil {
			return nil, err
		}
	}
	if state == nil {
		return &replicationv1.Event{What: &replicationv1.Event_Nothing{Nothing: &replicationv1.Nothing{}}}, nil
	}
	return &replicationv1.Event{What: &replicationv1.Event_State{State: state}}, nil
}

// withholds tells whether a region gets nothing of an entity's type, not even word of a deletion. Of a type that this release does
// not have any more it gets that word, since it may hold what an older release sent.
func (m *Maker) withholds(feed replicationv1.Feed, grant Grant, entity string) bool {
	return feed == replicationv1.Feed_FEED_PROJECTIONS && m.Catalog.New(entity) != nil &&
		m.Catalog.Fitting(entity, grant.Scope) == policyv1.Scope_SCOPE_UNSPECIFIED
}

// State makes what a region may get, under its grant and in a feed, of an entity of the given type as it is stored at home. It
// is nil when the region may get nothing of it.
func (m *Maker) State(
	ctx context.Context, tenant ident.TenantID, feed replicationv1.Feed, grant Grant, entity string, item store.Item,
) (*replicationv1.State, error) {
	if !grant.Has(feed) {
		return nil, nil //nolint:nilnil // said above
	}
	var stored storagev1.Entity
	if err := proto.Unmarshal(item.Value, &stored); err != nil {
		return nil, fmt.Errorf("decoding the stored entity: %w", err)
	}
	state := &replicationv1.State{
		Entity: entity, Id: strings.TrimPrefix(item.Key.Sort, keyspace.EntityPrefix),
		Epoch: uint64(item.Version.Epoch), Seq: uint64(item.Version.Seq), Table: m.Catalog.Table().GetFingerprint(),
	}
	if feed == replicationv1.Feed_FEED_STANDBY {
		state.Clear, state.Sealed, state.Lookups = stored.GetClear(), stored.GetSealed(), stored.GetLookups()
		return state, nil
	}
	ok, err := m.project(ctx, tenant, grant, state, &stored)
	if err != nil || !ok {
		return nil, err
	}
	return state, nil
}

// project fills in the projection that the grant covers; false when there is none.
func (m *Maker) project(
	ctx context.Context, tenant ident.TenantID, grant Grant, state *replicationv1.State, stored *storagev1.Entity,
) (bool, error) {
	scope := m.Catalog.Fitting(state.GetEntity(), grant.Scope)
	if scope == policyv1.Scope_SCOPE_UNSPECIFIED {
		return false, nil
	}
	whole := m.Catalog.New(state.GetEntity())
	// Unknown fields are dropped here: what this release does not know it cannot say to be lawful abroad.
	parse := proto.UnmarshalOptions{DiscardUnknown: true, Merge: true}
	if err := parse.Unmarshal(stored.GetClear(), whole); err != nil {
		return false, fmt.Errorf("decoding the entity's clear part: %w", err)
	}
	if scope == policyv1.Scope_SCOPE_JURISDICTION && len(stored.GetSealed()) > 0 {
		plain, err := m.Sealer.Open(ctx, seal.Bind{Tenant: tenant, Type: state.GetEntity(), ID: state.GetId()}, stored.GetSealed())
		if err != nil {
			return false, fmt.Errorf("opening the entity: %w", err)
		}
		guarded := m.Catalog.New(state.GetEntity())
		if err := parse.Unmarshal(plain, guarded); err != nil {
			return false, fmt.Errorf("decoding the entity's sealed part: %w", err)
		}
		whole = residency.Merge(whole, guarded)
	}
	made, ok, err := m.Catalog.Project(state.GetEntity(), grant.Scope, whole)
	if err != nil || !ok {
		return false, err
	}
	state.Scope, state.Clear = made.Scope, made.Clear
	if len(made.Regional) > 0 {
		state.Sealed, err = m.Sealer.Seal(ctx, seal.Bind{Tenant: tenant, Type: keyspace.SealType(state.GetEntity()), ID: state.GetId()}, made.Regional)
		if err != nil {
			return false, fmt.Errorf("sealing a projection: %w", err)
		}
	}
	return true, nil
}

// record makes the part that tells a standby of an idempotency record; nothing when it has expired or is too large.
func (m *Maker) record(ctx context.Context, tenant ident.TenantID, hash []byte) (*replicationv1.Event, error) {
	nothing := &replicationv1.Event{What: &replicationv1.Event_Nothing{Nothing: &replicationv1.Nothing{}}}
	if len(hash) != 32 {
		return nothing, nil
	}
	item, err := m.Table.Get(ctx, idempotency.Key(tenant, [32]byte(hash)))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nothing, nil
	case err != nil:
		return nil, fmt.Errorf("reading an idempotency record: %w", err)
	case len(item.Value) > maxRecord:
		return nothing, nil
	}
	return &replicationv1.Event{What: &replicationv1.Event_Idempotency{Idempotency: &replicationv1.Idempotency{
		KeyHash: hash, Record: item.Value, ExpireTime: timestamppb.New(item.Expires),
	}}}, nil
}
