package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// safeguards are rules that tests of this package switch off one by one, to see that something fails without them. In production all
// are on.
type safeguards struct {
	// version: an older state does not replace a newer one. asOf: nothing is created that was read before the watermark.
	// gap: a watermark does not pass a gap. class: what is forbidden is not taken in.
	version, asOf, gap, class bool
}

// event applies an event that was judged to a transaction.
func (a *Applier) event(ctx context.Context, t *txn, e *replicationv1.Event, verdict judgement) error {
	at := position(e)
	if t.mark.stale(at) {
		return nil
	}
	if e.GetOpen() != nil {
		t.mark.open(at)
		return nil
	}
	t.mark.enter(at)
	var err error
	switch what := e.GetWhat().(type) {
	case *replicationv1.Event_State:
		if err = a.state(ctx, t, what.State, at, verdict); err == nil {
			a.shown(t, what.State)
		}
	case *replicationv1.Event_Tombstone:
		before := t.mark.version
		t.mark.add(at.Seq, e.GetPart(), e.GetParts(), !a.off.gap)
		return a.tombstone(ctx, t, what.Tombstone.GetId(), at, before)
	case *replicationv1.Event_Idempotency:
		err = a.record(ctx, t, what.Idempotency, at)
	}
	if err != nil {
		return err
	}
	t.mark.add(at.Seq, e.GetPart(), e.GetParts(), !a.off.gap)
	return nil
}

// shown makes the lane's highest position cover the version of a state, which may be newer than the position that told of it.
func (a *Applier) shown(t *txn, state *replicationv1.State) {
	if ident.Epoch(state.GetEpoch()) == t.mark.version.Epoch {
		t.mark.raise(ident.Seq(state.GetSeq()))
	}
}

// state applies an entity's state as of a position q of the source: it is a newer state than what is here, or what is here is not
// what the source has as of q. It creates nothing that the watermark says was looked at later and was not there.
func (a *Applier) state(ctx context.Context, t *txn, state *replicationv1.State, q ident.Version, verdict judgement) error {
	version := ident.Version{Epoch: ident.Epoch(state.GetEpoch()), Seq: ident.Seq(state.GetSeq())}
	key := keyspace.Entity(t.stream.tenant, state.GetId())
	old, err := t.get(ctx, key)
	if err != nil {
		return err
	}
	if old != nil {
		if !a.off.version && !replaces(version, old.Version, q) {
			return nil
		}
		return a.write(t, key, old, state, version, verdict)
	}
	grave, err := t.get(ctx, keyspace.Tombstone(t.stream.tenant, state.GetId()))
	if err != nil {
		return err
	}
	// A deletion that an earlier ownership spoke of may have been lost with it: the word of a later one counts.
	if grave != nil && !a.off.version && grave.Version.Compare(version) >= 0 && grave.Version.Epoch >= q.Epoch {
		return nil
	}
	if !a.off.asOf && t.mark.version.Compare(q) > 0 {
		return nil
	}
	return a.write(t, key, nil, state, version, verdict)
}

// replaces tells whether a state of some version, read as of q, replaces an item. What is not newer replaces what is here only where
// that cannot be what the source has: it is from before q, and another version.
func replaces(version, item, q ident.Version) bool {
	return item.Compare(version) < 0 || item != version && item.Compare(q) <= 0
}

// write puts an entity's item and its lookup entries.
func (a *Applier) write(t *txn, key store.Key, old *store.Item, state *replicationv1.State, version ident.Version, verdict judgement) error {
	if t.stream.feed == replicationv1.Feed_FEED_STANDBY {
		return a.writeCopy(t, key, old, state, version)
	}
	replica := &storagev1.Replica{Entity: state.GetEntity(), Table: state.GetTable()}
	class := store.ClassGlobal
	if verdict == take {
		replica.Scope, replica.Clear, replica.Sealed = state.GetScope(), state.GetClear(), state.GetSealed()
		if state.GetScope() == policyv1.Scope_SCOPE_JURISDICTION {
			class = store.ClassRegional
		}
	} else {
		replica.Withheld = true
	}
	value, err := proto.Marshal(replica)
	if err != nil {
		return fmt.Errorf("encoding a projection: %w", err)
	}
	t.put(store.Item{Key: key, Version: version, Tag: t.tag(class), Value: value})
	return nil
}

// writeCopy writes a whole entity as it is stored at home.
func (a *Applier) writeCopy(t *txn, key store.Key, old *store.Item, state *replicationv1.State, version ident.Version) error {
	value, err := proto.Marshal(&storagev1.Entity{Clear: state.GetClear(), Sealed: state.GetSealed(), Lookups: state.GetLookups()})
	if err != nil {
		return fmt.Errorf("encoding a sealed copy: %w", err)
	}
	class := store.ClassGlobal
	if len(state.GetSealed()) > 0 || len(state.GetLookups()) > 0 {
		class = store.ClassPII
	}
	if err := t.lookups(old, state.GetId(), state.GetLookups()); err != nil {
		return err
	}
	t.put(store.Item{Key: key, Version: version, Tag: t.tag(class), Value: value})
	return nil
}

// lookups brings the lookup entries of a sealed copy from what its item had to what it has.
func (t *txn) lookups(old *store.Item, id string, has []*storagev1.Lookup) error {
	var had storagev1.Entity
	if old != nil {
		if err := proto.Unmarshal(old.Value, &had); err != nil {
			return fmt.Errorf("decoding a sealed copy: %w", err)
		}
	}
	for _, l := range had.GetLookups() {
		t.del(keyspace.StandbyLookup(t.stream.tenant, keyspace.IDPrefix(id), l, id))
	}
	target, err := proto.Marshal(&storagev1.LookupTarget{Id: id})
	if err != nil {
		return fmt.Errorf("encoding a lookup entry: %w", err)
	}
	for _, l := range has {
		t.put(store.Item{
			Key: keyspace.StandbyLookup(t.stream.tenant, keyspace.IDPrefix(id), l, id), Tag: t.tag(store.ClassPII), Value: target,
		})
	}
	return nil
}

// tombstone applies that an entity was not there as of q. before is the watermark before that: while the watermark as it is now is
// below q, older states may still come, and a tombstone keeps them out.
func (a *Applier) tombstone(ctx context.Context, t *txn, id string, q, before ident.Version) error {
	key, graveKey := keyspace.Entity(t.stream.tenant, id), keyspace.Tombstone(t.stream.tenant, id)
	old, err := t.get(ctx, key)
	if err != nil {
		return err
	}
	if old != nil && old.Version.Compare(q) > 0 && !a.off.version {
		return nil
	}
	if old != nil {
		if t.stream.feed == replicationv1.Feed_FEED_STANDBY {
			if err := t.lookups(old, id, nil); err != nil {
				return err
			}
		}
		t.del(key)
		if t.mark.exists && q.Epoch == t.mark.version.Epoch {
			t.mark.raise(q.Seq) // Who sees that it is gone has seen the source as of q, also where a repair says so.
		}
	}
	if before.Compare(q) > 0 || t.mark.version.Compare(q) >= 0 {
		return nil
	}
	grave, err := t.get(ctx, graveKey)
	if err != nil {
		return err
	}
	if grave == nil || grave.Version.Compare(q) < 0 {
		t.graves = true
		t.put(store.Item{Key: graveKey, Version: q, Tag: t.tag(store.ClassGlobal)})
	}
	return nil
}

// record applies an idempotency record.
func (a *Applier) record(ctx context.Context, t *txn, r *replicationv1.Idempotency, at ident.Version) error {
	hash := [32]byte(r.GetKeyHash())
	old, err := t.get(ctx, idempotency.Key(t.stream.tenant, hash))
	if err != nil {
		return err
	}
	expires := r.GetExpireTime().AsTime()
	// A key that is used again after its record expired may be of another lane: the records' versions are not to be compared.
	if old != nil && !old.Expires.Before(expires.Truncate(time.Second)) {
		return nil
	}
	t.put(idempotency.Copy(t.stream.tenant, hash, at, t.jurisdiction, expires, r.GetRecord()))
	return nil
}

// sweep deletes the tombstones of a lane that its watermark has passed: no state from before them is taken in any more.
func (a *Applier) sweep(ctx context.Context, s streamID) error {
	table := a.table(s.feed)
	m, err := readMark(ctx, table, keyspace.Watermark(s.tenant, s.lane, s.feed, s.origin))
	if err != nil {
		return err
	}
	from, to := keyspace.Tombstones()
	for more := true; more; {
		page, err := table.Query(ctx, store.Query{Partition: keyspace.Lane(s.tenant, s.lane), From: from, To: to, Limit: store.MaxOps})
		if err != nil {
			return fmt.Errorf("reading the tombstones: %w", err)
		}
		var ops []store.Op
		for _, item := range page.Items {
			from = item.Key.Sort + "\x00"
			if item.Version.Compare(m.version) <= 0 {
				ops = append(ops, store.Op{Kind: store.Delete, If: store.VersionIs(item.Version), Item: store.Item{Key: item.Key}})
			}
		}
		more = page.More
		if len(ops) == 0 {
			continue
		}
		if err := table.Commit(ctx, store.Commit{Ops: ops}); err != nil {
			if _, changed := errors.AsType[*store.ConditionError](err); !changed { // Else another time.
				return fmt.Errorf("deleting tombstones: %w", err)
			}
		}
	}
	return nil
}
