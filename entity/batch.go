package entity

import (
	"context"
	"errors"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// errFull says that a mutation has no place in a batch any more, and no more than that.
var errFull = errors.New("entity: the batch is full")

// batch is a transaction in the making: the lane's counter, then the operations of each member.
type batch struct {
	ops     []store.Op
	size    int
	claimed map[store.Key]struct{}
	members []member
	// last is the version of the last member, or of the lane when there is none yet.
	last ident.Version
	// heavy says that a mutation was turned away for its size; later ones would be numbered in vain.
	heavy bool
}

// member is a mutation in a batch.
type member struct {
	m       *mutation
	version ident.Version
	// first is the index of the mutation's first operation.
	first int
}

// opsPerMutation is what most mutations need at most: the entity, its outbox and idempotency records, two lookup items.
const opsPerMutation = 5

// newBatch begins a batch on a lane whose counter is at base, of at most so many mutations.
func newBatch(counter store.Op, base ident.Version, mutations int) *batch {
	room := min(1+opsPerMutation*mutations, store.MaxOps)
	return &batch{
		ops:     append(make([]store.Op, 0, room), counter),
		size:    opSize(counter),
		claimed: make(map[store.Key]struct{}, room),
		last:    base,
	}
}

// add numbers a mutation and takes it in, or returns errFull, or what is wrong with the mutation itself.
func (b *batch) add(ctx context.Context, m *mutation) error {
	count := len(m.ops) + 1
	if m.operation != nil {
		count++
	}
	if 1+count > store.MaxOps { // The lane's counter is in every batch.
		return fault.New(errorsv1.Reason_REASON_TOO_LARGE, "the entity has more unique values than can be written at once")
	}
	if b.heavy || len(b.ops)+count > store.MaxOps || b.collides(m) {
		return errFull
	}
	v := ident.Version{Epoch: m.epoch, Seq: b.last.Seq + 1}
	first := len(b.ops)
	if err := b.appendOps(ctx, m, v); err != nil {
		b.ops = b.ops[:first]
		return err
	}
	size := b.size
	for i := range b.ops[first:] {
		n := opSize(b.ops[first+i])
		if n > store.MaxItemBytes {
			b.ops = b.ops[:first]
			return fault.New(errorsv1.Reason_REASON_TOO_LARGE, "the entity or its answer is too large to store")
		}
		size += n
	}
	if size > store.MaxCommitBytes && len(b.members) == 0 {
		b.ops = b.ops[:first]
		return fault.New(errorsv1.Reason_REASON_TOO_LARGE, "the entity, its answer and its index entries are too large to be written at once")
	}
	if size > store.MaxCommitBytes {
		b.ops, b.heavy = b.ops[:first], true
		return errFull
	}
	for i := range b.ops[first:] {
		b.claimed[b.ops[first+i].Item.Key] = struct{}{}
	}
	b.members = append(b.members, member{m: m, version: v, first: first})
	b.size, b.last = size, v
	return nil
}

// collides tells whether the mutation writes an item that the batch writes already.
func (b *batch) collides(m *mutation) bool {
	for i := range m.ops {
		if _, taken := b.claimed[m.ops[i].Item.Key]; taken {
			return true
		}
	}
	if m.operation == nil {
		return false
	}
	_, taken := b.claimed[m.recordKey]
	return taken
}

// appendOps appends a mutation's operations as the write of a version: its own, its idempotency record, its outbox record.
func (b *batch) appendOps(ctx context.Context, m *mutation, v ident.Version) error {
	first := len(b.ops)
	b.ops = append(b.ops, m.ops...)
	for i := range m.ops {
		b.ops[first+i].Item.Version = v
	}
	if m.operation != nil {
		op, err := m.answerable(ctx, call.Write{Epoch: v.Epoch, Lane: m.lane, Seq: v.Seq})
		if err != nil {
			return err
		}
		b.ops = append(b.ops, op)
	}
	b.ops = append(b.ops, store.Op{Kind: store.Put, If: store.Absent(), Item: store.Item{
		Key:     keyspace.Outbox(m.tenant, m.lane, v.Seq),
		Version: v,
		Tag:     store.Tag{Tenant: m.tenant, Class: store.ClassGlobal, Jurisdiction: m.jurisdiction},
		Value:   m.outbox,
	}})
	return nil
}

// commit returns the transaction, with the counter at its last number.
func (b *batch) commit(token string) store.Commit {
	b.ops[0].Item.Version = b.last
	return store.Commit{Ops: b.ops, Token: token}
}

// opSize is what an operation counts for against the limits of a commit, as store.Commit.Validate counts.
func opSize(op store.Op) int {
	return len(op.Item.Key.Partition) + len(op.Item.Key.Sort) + len(op.Item.Value)
}
