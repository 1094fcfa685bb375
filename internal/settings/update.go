package settings

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/crdt"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// retryAfter is what a caller is asked to wait when too many others write at the same time, or the clock is wrong.
const retryAfter = 2 * time.Second

// incrementIDBytes is how much of the hash of an idempotency key names its increments: 128 bits.
const incrementIDBytes = 16

// Update makes operations on a namespace of the caller's tenant take effect, all or none, and returns what answer makes of the namespace
// then. It fails with INVALID_ARGUMENT when an operation does not fit an entry's kind, TOO_LARGE, STORAGE_FULL, OVERLOADED, OUTCOME_UNKNOWN,
// or REGION_UNAVAILABLE when a register is to be set and the region's clock is wrong.
//
// answer must depend on its argument alone and may be called more than once. What it makes is stored with the write when the call has an
// idempotency key. Update then fails when another call commits under the key first; the platform's interceptor answers what that
// one stored.
func Update[R proto.Message](
	ctx context.Context, s *Settings, name string, operations []*settingsv1.Operation, answer func(*settingsv1.Settings) R,
) (R, error) {
	var out R
	c, err := caller(ctx)
	if err != nil {
		return out, err
	}
	if err := checkName(name); err != nil {
		return out, err
	}
	unlock, err := s.lock(ctx, c.Tenant)
	if err != nil {
		return out, err
	}
	defer unlock()
	for range s.cfg.Attempts {
		seq, err := s.update(ctx, c, name, operations, func(after *settingsv1.Settings) proto.Message {
			out = answer(after)
			return out
		})
		if errors.Is(err, errChanged) {
			continue
		}
		if err != nil {
			var none R
			return none, err
		}
		c.Seen.RaiseOrigin(s.cfg.Region, seq)
		return out, nil
	}
	var none R
	return none, unavailable(errorsv1.Reason_REASON_OVERLOADED, errChanged, "too many others change these settings at the same time")
}

// update tries a write once.
func (s *Settings) update(
	ctx context.Context, c *call.Call, name string, operations []*settingsv1.Operation, answer func(*settingsv1.Settings) proto.Message,
) (ident.Seq, error) {
	n, err := s.load(ctx, c.Tenant, name)
	if err != nil {
		return 0, err
	}
	if crdt.Foreign(n.stored.GetState()) {
		return 0, unavailable(errorsv1.Reason_REASON_REGION_UNAVAILABLE, errNewer, "this region runs an older release; write through another region")
	}
	end, err := s.end(ctx, c.Tenant, n.stored.GetState())
	if err != nil {
		return 0, err
	}
	now := s.cfg.Clock()
	edit := crdt.NewEdit(n.stored.GetState(), string(s.cfg.Region), uint64(end.seq))
	if err := s.apply(edit, end, c.Operation, operations, now); err != nil {
		return 0, err
	}
	after := edit.State()
	if size := proto.Size(after); size > MaxNamespaceBytes && size > proto.Size(n.stored.GetState()) {
		f := fault.New(errorsv1.Reason_REASON_TOO_LARGE, "a namespace has at most %d bytes", MaxNamespaceBytes)
		return 0, f.With("limit_bytes", strconv.Itoa(MaxNamespaceBytes))
	}
	ops, err := s.writeOps(c.Tenant, n, end, after, c.Operation, now)
	if err != nil {
		return 0, err
	}
	made := answer(shown(name, after))
	if c.Operation != nil {
		op, err := s.answerOp(c.Tenant, c.Operation, end.seq, made, now)
		if err != nil {
			return 0, err
		}
		ops = append(ops, op)
	}
	err = s.commit(ctx, ops)
	if refused, ok := errors.AsType[*store.ConditionError](err); ok {
		if c.Operation != nil && refused.Failed[len(ops)-1] {
			return 0, fault.Wrap(errorsv1.Reason_REASON_OUTCOME_UNKNOWN, err, "another call with this idempotency key has committed")
		}
		return 0, errChanged
	}
	return end.seq, err
}

// apply makes the operations in an edit.
func (s *Settings) apply(
	edit *crdt.Edit, end *streamEnd, o *call.Operation, operations []*settingsv1.Operation, now time.Time,
) error {
	for i, op := range operations {
		var err error
		switch kind := op.GetKind().(type) {
		case *settingsv1.Operation_Set:
			var stamp *settingsv1.Stamp
			if stamp, err = s.stamp(now, end, edit.Latest()); err == nil {
				err = edit.Set(op.GetKey(), kind.Set, stamp)
			}
		case *settingsv1.Operation_Raise:
			err = edit.Raise(op.GetKey(), kind.Raise)
		case *settingsv1.Operation_Increment:
			err = edit.Increment(op.GetKey(), kind.Increment, incrementID(o, i), now)
		case *settingsv1.Operation_Add:
			err = edit.Add(op.GetKey(), kind.Add)
		case *settingsv1.Operation_Remove:
			err = edit.Remove(op.GetKey(), kind.Remove)
		case *settingsv1.Operation_Delete:
			edit.Delete(op.GetKey())
		default:
			err = violation(fmt.Sprintf("operations[%d]", i), "required", "an operation says what is done")
		}
		if errors.Is(err, crdt.ErrKind) {
			return violation(fmt.Sprintf("operations[%d]", i), "kind", "the entry is of another kind; delete it first")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stamp returns the stamp of a register's write, and takes note of it.
func (s *Settings) stamp(now time.Time, end *streamEnd, known *settingsv1.Stamp) (*settingsv1.Stamp, error) {
	err := s.cfg.CheckClock(now)
	var stamp *settingsv1.Stamp
	if err == nil {
		stamp, err = crdt.Tick(now, end.clock.GetLatest(), known)
	}
	if err != nil {
		return nil, unavailable(errorsv1.Reason_REASON_REGION_UNAVAILABLE, err, "this region's clock is wrong; set values through another region")
	}
	end.clock.Latest = stamp
	return stamp, nil
}

// incrementID names an increment, the same in every region that the call comes in at; nil when the call has no idempotency key.
func incrementID(o *call.Operation, index int) []byte {
	if o == nil {
		return nil
	}
	return binary.AppendUvarint(o.KeyHash[:incrementIDBytes:incrementIDBytes], uint64(index)) //nolint:gosec // an index is not negative
}

// streamEnd is the next position of the region's own stream of a tenant.
type streamEnd struct {
	row

	seq   ident.Seq
	clock *settingsv1.StoredClock
}

// end reads where the region's own stream ends. Should other regions know more of it than this one, because its table was restored, it goes
// on after what they know.
func (s *Settings) end(ctx context.Context, tenant ident.TenantID, state *settingsv1.State) (*streamEnd, error) {
	e := &streamEnd{clock: &settingsv1.StoredClock{}}
	var err error
	if e.row, err = s.read(ctx, keyspace.SettingsCounter(tenant), e.clock); err != nil {
		return nil, err
	}
	e.seq = max(e.version.Seq, ident.Seq(state.GetSeen()[string(s.cfg.Region)])) + 1
	return e, nil
}

// writeOps are the operations that every position of the region's stream is made of: the namespace, the stream's end, the outbox
// record.
func (s *Settings) writeOps(
	tenant ident.TenantID, n *namespace, end *streamEnd, after *settingsv1.State, o *call.Operation, now time.Time,
) ([]store.Op, error) {
	v := ident.Version{Epoch: Epoch, Seq: end.seq}
	next, err := s.put(tenant, keyspace.Namespace(tenant, n.name), n.row, n.next(),
		&settingsv1.StoredNamespace{State: after, Shown: n.stored.GetShown()})
	if err != nil {
		return nil, err
	}
	counter, err := s.put(tenant, keyspace.SettingsCounter(tenant), end.row, v, end.clock)
	if err != nil {
		return nil, err
	}
	record := &storagev1.OutboxRecord{Entity: Entity, Id: n.name, CommitTime: timestamppb.New(now)}
	if o != nil {
		record.IdempotencyHash = o.KeyHash[:]
	}
	outbox, err := s.put(tenant, keyspace.SettingsOutbox(tenant, end.seq), row{}, v, record)
	if err != nil {
		return nil, err
	}
	return []store.Op{next, counter, outbox}, nil
}

// answerOp stores the answer that a repetition of the call gets.
func (s *Settings) answerOp(tenant ident.TenantID, o *call.Operation, seq ident.Seq, answer proto.Message, now time.Time) (store.Op, error) {
	plain, err := proto.Marshal(answer)
	if err != nil {
		return store.Op{}, fmt.Errorf("encoding the answer: %w", err)
	}
	op, err := s.put(tenant, idempotency.Key(tenant, o.KeyHash), row{}, ident.Version{Epoch: Epoch, Seq: seq}, &settingsv1.StoredAnswer{
		RequestHash: o.RequestHash[:], Seq: uint64(seq), Answer: plain, CreateTime: timestamppb.New(now),
	})
	op.Item.Expires = now.Add(idempotency.Lifetime)
	return op, err
}

// Replay implements idempotency.Replayer for the methods that call Update: their answers lie beside the settings, in the clear, because they
// are GLOBAL and a region outside the tenant's jurisdiction has no key. Of c it sets Replayed and Seen.
func (s *Settings) Replay(ctx context.Context, c *call.Call) (answer []byte, found bool, err error) {
	if c == nil || c.Operation == nil || c.Tenant == "" {
		return nil, false, nil
	}
	var stored settingsv1.StoredAnswer
	was, err := s.read(ctx, idempotency.Key(c.Tenant, c.Operation.KeyHash), &stored)
	if err != nil || !was.there {
		return nil, false, err
	}
	if string(stored.GetRequestHash()) != string(c.Operation.RequestHash[:]) {
		return nil, false, fault.New(errorsv1.Reason_REASON_IDEMPOTENCY_MISMATCH, "the idempotency key was used for another request")
	}
	c.Replayed = true
	c.Seen.RaiseOrigin(s.cfg.Region, ident.Seq(stored.GetSeq()))
	return stored.GetAnswer(), true, nil
}

// unavailable is a fault that asks the caller to wait.
func unavailable(reason errorsv1.Reason, cause error, text string) error {
	f := fault.Wrap(reason, cause, "%s", text)
	f.RetryAfter = retryAfter
	return f
}
