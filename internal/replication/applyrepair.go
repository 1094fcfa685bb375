package replication

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// Change is one thing that a repair found at the source: exactly one of its fields is set.
type Change struct {
	// State is what the source has of an entity.
	State *replicationv1.State
	// Gone is the id of an entity that the source does not have.
	Gone string
	// Record is an idempotency record that the source has; of the feed of a standby alone.
	Record *replicationv1.Idempotency
}

// event is the change as an event that tells of it.
func (c *Change) event(s *replicationv1.Stream, q ident.Version) *replicationv1.Event {
	e := &replicationv1.Event{Stream: s, Epoch: uint64(q.Epoch), Seq: max(uint64(q.Seq), 1)}
	switch {
	case c.State != nil:
		e.What = &replicationv1.Event_State{State: c.State}
	case c.Record != nil:
		e.What = &replicationv1.Event_Idempotency{Idempotency: c.Record}
	default:
		e.What = &replicationv1.Event_Tombstone{Tombstone: &replicationv1.Tombstone{Entity: "?", Id: c.Gone}}
	}
	return e
}

// Fate is what became of a Change.
type Fate uint8

// The fates.
const (
	// Refused: it may not be applied here, now or ever.
	Refused Fate = iota
	// Settled: it is applied, or what is here is newer. That includes a state that this region may not have, of which reads go home now.
	Settled
	// Passed: the entity is not here and was not created, because the region was beyond q: it may have been deleted since. To fetch it
	// again helps.
	Passed
)

// ErrRefused says that what a repair brought may not be applied here, now or ever.
var ErrRefused = errors.New("replication: refused")

// ApplyStates applies what a repair found at the source when that was at position q or later, with the checks of an event: class,
// grant and law, version, and that nothing is created that was looked at later. A state also replaces the same version where that is
// here in another scope or withheld, and is judged otherwise now. It makes as few transactions as it can and moves no watermark;
// Complete does. It returns the fate of each change. After an error, some may be applied.
func (a *Applier) ApplyStates(ctx context.Context, s *replicationv1.Stream, changes []Change, q ident.Version) ([]Fate, error) {
	if !addressable(s) {
		return nil, ErrMalformed
	}
	fates := make([]Fate, len(changes))
	for done := 0; done < len(changes); {
		var next int
		err := a.repair(ctx, idOf(s), func(t *txn, fx *effects) error {
			for next = done; next < len(changes) && !t.full(); next++ {
				var err error
				if fates[next], err = a.change(ctx, t, &changes[next], s, q, fx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		done = next
	}
	return fates, nil
}

// ApplyState is ApplyStates of one state or, if that is nil, of the absence of the entity with the id gone. It fails with ErrRefused
// when that may not be applied here.
func (a *Applier) ApplyState(ctx context.Context, s *replicationv1.Stream, state *replicationv1.State, gone string, q ident.Version) error {
	fates, err := a.ApplyStates(ctx, s, []Change{{State: state, Gone: gone}}, q)
	if err == nil && fates[0] == Refused {
		return ErrRefused
	}
	return err
}

// change puts what a repair found into a transaction.
func (a *Applier) change(
	ctx context.Context, t *txn, c *Change, s *replicationv1.Stream, q ident.Version, fx *effects,
) (Fate, error) {
	e := c.event(s, q)
	verdict, tenant := a.judge(e)
	switch {
	case verdict == unlawful:
		withheld := c.State != nil && t.stream.feed == replicationv1.Feed_FEED_PROJECTIONS
		if !withheld || t.mark.stale(q) || !GrantOf(a.cfg.Topology, tenant, a.self).Has(t.stream.feed) {
			// A sealed copy has the home's own form, which cannot say that something is withheld: the standby is never complete without it.
			fx.violations = append(fx.violations, a.violation(e))
			return Refused, nil
		}
	case verdict != take && verdict != takeWithheld, t.mark.stale(q):
		return Refused, nil
	}
	switch {
	case c.Record != nil:
		return Settled, a.record(ctx, t, c.Record, recordedAt(c.Record, q))
	case c.State == nil:
		return Settled, a.tombstone(ctx, t, c.Gone, q, t.mark.version)
	}
	fate, wrote, err := a.mend(ctx, t, c.State, q, verdict)
	if wrote && verdict == unlawful {
		fx.violations = append(fx.violations, a.violation(e))
	}
	return fate, err
}

// mend puts a fetched state into a transaction.
func (a *Applier) mend(
	ctx context.Context, t *txn, state *replicationv1.State, q ident.Version, verdict judgement,
) (fate Fate, wrote bool, err error) {
	key := keyspace.Entity(t.stream.tenant, state.GetId())
	version := ident.Version{Epoch: ident.Epoch(state.GetEpoch()), Seq: ident.Seq(state.GetSeq())}
	old, err := t.get(ctx, key)
	if err != nil {
		return Refused, false, err
	}
	again := false
	if old != nil && old.Version == version {
		if again, err = judgedOtherwise(t, old, state, verdict); err != nil {
			return Refused, false, err
		}
	}
	if again {
		err = a.write(t, key, old, state, version, verdict)
	} else {
		err = a.state(ctx, t, state, q, verdict)
	}
	if err != nil {
		return Refused, false, err
	}
	if !t.mark.exists {
		// Should the repair end here, what begins the stream must not take the lane for empty: what is here may be read then.
		t.mark.enter(ident.Version{Epoch: q.Epoch})
	}
	a.shown(t, state)
	now := t.slots[key]
	if now.now == nil || now.now.Version.Compare(version) < 0 {
		return Passed, false, nil
	}
	return Settled, now.changed, nil
}

// judgedOtherwise tells whether a projection is here to another extent than it may be now: the grant has changed since, or what was
// withheld may be held, or the other way round.
func judgedOtherwise(t *txn, old *store.Item, state *replicationv1.State, verdict judgement) (bool, error) {
	if t.stream.feed == replicationv1.Feed_FEED_STANDBY {
		return false, nil
	}
	var replica storagev1.Replica
	if err := proto.Unmarshal(old.Value, &replica); err != nil {
		return false, fmt.Errorf("decoding a projection: %w", err)
	}
	withheld := verdict != take
	return replica.GetWithheld() != withheld || !withheld && replica.GetScope() != state.GetScope(), nil
}

// recordedAt is the position of the write that an idempotency record answers for; q if it does not say.
func recordedAt(r *replicationv1.Idempotency, q ident.Version) ident.Version {
	var record storagev1.IdempotencyRecord
	if err := proto.Unmarshal(r.GetRecord(), &record); err != nil || record.GetEpoch() == 0 {
		return q
	}
	return ident.Version{Epoch: ident.Epoch(record.GetEpoch()), Seq: ident.Seq(record.GetSeq())}
}

// Complete says that everything that the source had as of a position was applied by ApplyStates, and everything that it had not was
// removed: the watermark rises to q, and no repair is owed any more if one as of q or earlier was. It fails with ErrRefused when the
// region may not have the stream, or the tenant's copies were retired since Began returned began: what was applied may be gone.
func (a *Applier) Complete(ctx context.Context, s *replicationv1.Stream, q ident.Version, began uint64) error {
	if !addressable(s) {
		return ErrMalformed
	}
	id := idOf(s)
	return a.repair(ctx, id, func(t *txn, _ *effects) error {
		if a.cfg.Shared {
			if _, err := t.get(ctx, keyspace.Fence(id.tenant)); err != nil { // From here on it stays as it is.
				return err
			}
		}
		if !a.granted(id) || !a.same(ctx, id.tenant, began) {
			return ErrRefused
		}
		t.mark.finish(q)
		return nil
	})
}

// repair makes one transaction of what change does, again when something changed meanwhile.
func (a *Applier) repair(ctx context.Context, id streamID, change func(*txn, *effects) error) error {
	lock := a.lock(id)
	lock.Lock()
	defer lock.Unlock()
	for attempt := 1; ; attempt++ {
		t, err := a.begin(ctx, id, attempt > 1)
		if err != nil {
			return err
		}
		var fx effects
		if err := change(t, &fx); err != nil {
			return err
		}
		t.graves = true // Repairs leave tombstones as well.
		err = t.commit(ctx)
		if _, changed := errors.AsType[*store.ConditionError](err); changed && attempt < attempts {
			continue
		}
		if err == nil {
			a.took(ctx, t, &fx)
		}
		return err
	}
}
