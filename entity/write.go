package entity

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/store"
)

// Change is what an Update does to an entity.
type Change[E proto.Message] struct {
	// Etag, when not empty, must be the stored entity's; else the change is refused with ETAG_MISMATCH.
	Etag string
	// Apply changes the entity in place; see ApplyMask. It may be called again, on the entity as it is then, when others change it
	// meanwhile. What it does to the id, the times and the etag is undone. Its error ends the update and is returned as it is.
	Apply func(E) error
	// Field is the path of the entity in the request, e.g. "user"; it stands before the names of fields in violations.
	Field string
}

// Create stores a new entity in the caller's tenant and returns what answer makes of it. It gives it an id, its times and its
// etag, whatever e has in these fields; e itself is not changed. It fails with INVALID_ARGUMENT when e breaks the rules of its
// contract, ALREADY_EXISTS when another entity has one of its unique values, TOO_LARGE, STORAGE_FULL, OVERLOADED, STALE_EPOCH or
// OUTCOME_UNKNOWN.
//
// answer must depend on its argument alone and may be called more than once, from another goroutine. What it makes is stored
// with the entity, without SECRET fields, when the call has an idempotency key. That Create, and Update and Delete as well,
// then fails when another call commits under the key first; the platform's interceptor answers what that one stored.
func Create[E, R proto.Message](ctx context.Context, r *Repository[E], e E, answer func(E) R) (R, error) {
	var none R
	c, err := r.engine.mutator(ctx)
	if err != nil {
		return none, err
	}
	if !e.ProtoReflect().IsValid() {
		return none, violation("", "required", "an entity is required")
	}
	id, err := r.engine.newID(r.prefix)
	if err != nil {
		return none, err
	}
	own := proto.CloneOf(e)
	m := own.ProtoReflect()
	now := r.engine.cfg.Clock()
	m.Set(r.key, protoreflect.ValueOfString(id))
	setTime(m, r.createTime, now)
	setTime(m, r.updateTime, now)
	if err := r.engine.validate(own, ""); err != nil {
		return none, err
	}
	out, err := commit(ctx, r, c, draft[E]{id: id, after: own}, answer)
	if errors.Is(err, errChanged) {
		return none, fault.New(errorsv1.Reason_REASON_ALREADY_EXISTS, "an entity with this id is there already")
	}
	return out, err
}

// Update changes an entity of the caller's tenant and returns what answer makes of it; see Create for answer and for what else
// it may fail with. Without an etag it is repeated on what is newer until it is committed; with one it fails with ETAG_MISMATCH.
func Update[E, R proto.Message](ctx context.Context, r *Repository[E], id string, change Change[E], answer func(E) R) (R, error) {
	return mutate(ctx, r, id, change.Etag, answer, func(stored *row) (draft[E], error) {
		after := proto.Clone(stored.message)
		r.setEtag(after.ProtoReflect(), stored.version)
		if err := change.Apply(as[E](after)); err != nil {
			return draft[E]{}, err
		}
		r.copyFilled(after.ProtoReflect(), stored.message.ProtoReflect())
		setTime(after.ProtoReflect(), r.updateTime, r.engine.cfg.Clock())
		if err := r.engine.validate(after, change.Field); err != nil {
			return draft[E]{}, err
		}
		return draft[E]{id: id, before: stored, after: as[E](after)}, nil
	})
}

// Delete removes an entity of the caller's tenant, and returns what answer makes of it as it was; see Update. etag, when not
// empty, must be the stored one. Its unique values are free afterwards.
func Delete[E, R proto.Message](ctx context.Context, r *Repository[E], id, etag string, answer func(E) R) (R, error) {
	return mutate(ctx, r, id, etag, answer, func(stored *row) (draft[E], error) {
		return draft[E]{id: id, before: stored, after: as[E](stored.message), deleted: true}, nil
	})
}

// mutate reads an entity, has the draft of its next state made, and commits it on the condition that it is still as read.
func mutate[E, R proto.Message](
	ctx context.Context, r *Repository[E], id, etag string, answer func(E) R, next func(*row) (draft[E], error),
) (R, error) {
	var none R
	c, err := r.engine.mutator(ctx)
	if err != nil {
		return none, err
	}
	if err := r.checkID(id); err != nil {
		return none, err
	}
	for range r.engine.cfg.Tuning.UpdateAttempts {
		stored, err := r.load(ctx, c, id)
		if err != nil {
			return none, err
		}
		if err := checkEtag(etag, stored.version); err != nil {
			return none, err
		}
		d, err := next(stored)
		if err != nil {
			return none, err
		}
		if out, err := commit(ctx, r, c, d, answer); !errors.Is(err, errChanged) {
			return out, err
		}
		// It has changed since: what it is now is read again, and an etag then no longer matches.
	}
	return none, overloaded("too many others change this entity at the same time")
}

// draft is the next state of an entity.
type draft[E proto.Message] struct {
	id string
	// before is the entity as read; nil when it is new.
	before *row
	// after belongs to the draft. It is what the entity was when deleted says that it goes.
	after   E
	deleted bool
}

// commit hands a draft to the sequencer and waits for the outcome. It returns errChanged when the entity is not as the draft
// was made from.
func commit[E, R proto.Message](ctx context.Context, r *Repository[E], c *call.Call, d draft[E], answer func(E) R) (R, error) {
	var none R
	m, err := r.engine.prepare(ctx, r.shape, c, d.id, d.before, d.after, d.deleted)
	if err != nil {
		return none, err
	}
	residency.DropUnknown(d.after)
	answerAs := func(v ident.Version) R {
		r.setEtag(d.after.ProtoReflect(), v)
		return answer(d.after)
	}
	var out R
	if c.Operation != nil {
		m.record = func(ctx context.Context, w call.Write) (store.Op, error) {
			made := answerAs(ident.Version{Epoch: w.Epoch, Seq: w.Seq})
			plain, err := proto.Marshal(residency.Strip(made, policyv1.DataClass_DATA_CLASS_SECRET))
			if err != nil {
				return store.Op{}, fmt.Errorf("encoding the answer: %w", err)
			}
			out = made
			return r.engine.records.Op(ctx, m.tenant, *m.operation, w, plain)
		}
	}
	if err := r.engine.lanes.submit(m); err != nil {
		return none, err
	}
	v, err := m.wait(ctx)
	switch {
	case errors.Is(err, errTaken):
		taken := fault.New(errorsv1.Reason_REASON_ALREADY_EXISTS, "another entity of this tenant has one of the unique values")
		return none, r.engine.atHome().showing(ctx, c, taken)
	case errors.Is(err, errRepeated):
		return none, fault.Wrap(errorsv1.Reason_REASON_OUTCOME_UNKNOWN, err, "another call with this idempotency key has committed")
	case err != nil:
		return none, err
	}
	if m.operation == nil {
		out = answerAs(v)
	}
	c.Committed = &call.Write{Epoch: v.Epoch, Lane: m.lane, Seq: v.Seq}
	return out, nil
}

// prepare makes the mutation that brings an entity from before to after.
func (e *Engine) prepare(
	ctx context.Context, s *shape, c *call.Call, id string, before *row, after proto.Message, deleted bool,
) (*mutation, error) {
	// Also where the entity itself has nothing to seal: answers, lookup hashes and page tokens need the key.
	if err := e.ensureKey(ctx, c.Tenant); err != nil {
		return nil, err
	}
	m := &mutation{
		tenant: c.Tenant, jurisdiction: e.cfg.Jurisdiction, lane: keyspace.LaneOf(id), epoch: c.Epoch,
		span: trace.SpanContextFromContext(ctx), done: make(chan struct{}),
	}
	record := &storagev1.OutboxRecord{Entity: s.name, Id: id, Deleted: deleted, CommitTime: timestamppb.New(e.cfg.Clock())}
	if c.Operation != nil {
		operation := *c.Operation
		m.operation, m.recordKey = &operation, idempotency.Key(c.Tenant, operation.KeyHash)
		record.IdempotencyHash = operation.KeyHash[:]
	}
	var err error
	if m.outbox, err = proto.Marshal(record); err != nil {
		return nil, fmt.Errorf("encoding the outbox record: %w", err)
	}
	condition := store.Absent()
	var had []*storagev1.Lookup
	if before != nil {
		condition, had = store.VersionIs(before.version), before.lookups
	}
	op, has, err := e.entityOp(ctx, s, c.Tenant, id, had, after, deleted)
	if err != nil {
		return nil, err
	}
	op.If = condition
	lookups, err := e.lookupOps(c.Tenant, s, id, had, has)
	if err != nil {
		return nil, err
	}
	m.ops = append([]store.Op{op}, lookups...)
	return m, nil
}

// entityOp returns the operation on the entity itself and the lookup entries that it then has.
func (e *Engine) entityOp(
	ctx context.Context, s *shape, tenant ident.TenantID, id string, had []*storagev1.Lookup, after proto.Message, deleted bool,
) (store.Op, []*storagev1.Lookup, error) {
	key := keyspace.Entity(tenant, id)
	if deleted {
		return store.Op{Kind: store.Delete, Item: store.Item{Key: key}}, nil, nil
	}
	has, err := e.hashLookups(ctx, tenant, s, after.ProtoReflect())
	if err != nil {
		return store.Op{}, nil, err
	}
	has = s.keepForeign(had, has)
	s.clearEtag(after.ProtoReflect())
	value, class, err := e.encode(ctx, tenant, s, id, after, has)
	if err != nil {
		return store.Op{}, nil, err
	}
	return store.Op{Kind: store.Put, Item: store.Item{
		Key: key, Tag: store.Tag{Tenant: tenant, Class: class, Jurisdiction: e.cfg.Jurisdiction}, Value: value,
	}}, has, nil
}
