package settings

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/crdt"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// Outcome is what became of a position of another region's stream.
type Outcome uint8

const (
	// Applied says that the state is merged, and the watermark tells it; also when both were so before.
	Applied Outcome = iota + 1
	// Parked says that the state is kept, durably, until it can be merged, which Maintain does. It is from the future by this region's clock, or has
	// fields that this release does not know.
	Parked
)

// ErrLater says that a repair brought what would have to be parked: it is to be tried again later, as a whole.
var ErrLater = errors.New("settings: to be repaired later")

// ErrInvalid says that what came is not a position of another region's stream.
var ErrInvalid = errors.New("settings: not a position of another region's stream")

// ApplyRemote merges a namespace as another region had it at or after a position of its stream, and takes note in the same transaction that
// the position is applied. Position 0 takes note of none: it is for a repair, which calls Raise when all namespaces are merged.
//
// It fails with ErrInvalid when this can never be applied, with TOO_LARGE when it cannot be until something was deleted, with ErrLater when a
// repair cannot go on yet, and with other errors when it should be tried again.
func (s *Settings) ApplyRemote(
	ctx context.Context, tenant ident.TenantID, origin ident.RegionID, seq ident.Seq, name string, state *settingsv1.State,
) (Outcome, error) {
	switch {
	case tenant == "" || origin == "" || origin == s.cfg.Region:
		return 0, fmt.Errorf("%w: it names no tenant, or no other region", ErrInvalid)
	case checkName(name) != nil:
		return 0, fmt.Errorf("%w: the namespace's name", ErrInvalid)
	}
	wait := crdt.Foreign(state)
	if !wait {
		if err := crdt.Check(state); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		wait = crdt.CheckDrift(crdt.Latest(state), s.cfg.Clock()) != nil
	}
	if wait && seq == 0 {
		return 0, ErrLater
	}
	if wait {
		return Parked, s.retry(ctx, tenant, func() error { return s.park(ctx, tenant, origin, seq, name, state) })
	}
	return Applied, s.retry(ctx, tenant, func() error { return s.merge(ctx, tenant, origin, seq, name, state, nil) })
}

// retry runs a change, which fails with errChanged when something it read has changed meanwhile, until it does not.
func (s *Settings) retry(ctx context.Context, tenant ident.TenantID, change func() error) error {
	unlock, err := s.lock(ctx, tenant)
	if err != nil {
		return err
	}
	defer unlock()
	for range s.cfg.Attempts {
		if err = change(); !errors.Is(err, errChanged) {
			return err
		}
	}
	return err
}

// changed turns a condition that did not hold into errChanged.
func changed(err error) error {
	if _, refused := errors.AsType[*store.ConditionError](err); refused {
		return errChanged
	}
	return err
}

func (s *Settings) park(
	ctx context.Context, tenant ident.TenantID, origin ident.RegionID, seq ident.Seq, name string, state *settingsv1.State,
) error {
	value, err := proto.Marshal(&settingsv1.StoredParked{Namespace: name, State: state})
	if err != nil {
		return fmt.Errorf("encoding what waits: %w", err)
	}
	return s.commit(ctx, []store.Op{{Kind: store.Put, Item: store.Item{
		Key: keyspace.SettingsParked(tenant, origin, seq), Version: ident.Version{Epoch: Epoch, Seq: seq}, Tag: s.tag(tenant), Value: value,
	}}})
}

// merge applies a state once. parked is the item that kept it, to be deleted with it, if it waited.
func (s *Settings) merge(
	ctx context.Context, tenant ident.TenantID, origin ident.RegionID, seq ident.Seq, name string, state *settingsv1.State, parked *store.Key,
) error {
	n, err := s.load(ctx, tenant, name)
	if err != nil {
		return err
	}
	w, err := s.watermark(ctx, tenant, origin)
	if err != nil {
		return err
	}
	ops, err := s.mergeOps(ctx, tenant, origin, n, state)
	if err != nil {
		return err
	}
	if seq > 0 && !w.has(seq) {
		w.add(seq, seq)
		marks, err := w.ops(s, tenant)
		if err != nil {
			return err
		}
		ops = append(ops, marks...)
	}
	if parked != nil {
		ops = append(ops, store.Op{Kind: store.Delete, Item: store.Item{Key: *parked}})
	}
	if len(ops) == 0 {
		return nil
	}
	err = s.commit(ctx, ops)
	if err == nil {
		s.watchers.notify(tenant)
	}
	return changed(err)
}

// mergeOps returns the operations that merge a state into a namespace; none when there is nothing new in it. An increment that the region
// drops, because a lower region counts it, is a position of its stream, so that the others drop it too.
func (s *Settings) mergeOps(
	ctx context.Context, tenant ident.TenantID, origin ident.RegionID, n *namespace, state *settingsv1.State,
) ([]store.Op, error) {
	was := n.stored.GetState()
	if crdt.Foreign(was) {
		return nil, errNewer
	}
	merged, dropped := crdt.DropCopies(crdt.Merge(was, state), string(s.cfg.Region))
	has := n.stored.GetShown()[string(origin)].GetSeen()
	same := crdt.Equal(was, merged)
	if same && crdt.Within(state.GetSeen(), has) {
		return nil, nil
	}
	if size := proto.Size(merged); size > MaxMergedBytes && size > proto.Size(was) {
		f := fault.New(errorsv1.Reason_REASON_TOO_LARGE, "a namespace that several regions wrote to has at most %d bytes", MaxMergedBytes)
		return nil, f.With("limit_bytes", strconv.Itoa(MaxMergedBytes))
	}
	next := &settingsv1.StoredNamespace{State: merged, Shown: maps.Clone(n.stored.GetShown()), Untold: n.stored.GetUntold() || !same}
	if next.Shown == nil {
		next.Shown = map[string]*settingsv1.Shown{}
	}
	next.Shown[string(origin)] = &settingsv1.Shown{Seen: crdt.Join(has, state.GetSeen())}
	if !dropped {
		op, err := s.put(tenant, keyspace.Namespace(tenant, n.name), n.row, n.next(), next)
		return []store.Op{op}, err
	}
	end, err := s.end(ctx, tenant, merged)
	if err != nil {
		return nil, err
	}
	return s.writeOps(tenant, &namespace{row: n.row, name: n.name, stored: next}, end, merged, nil, s.cfg.Clock())
}

// errNewer says that a newer release has written what this one does not know.
var errNewer = errors.New("settings: stored by a newer release")

// Raise takes note that another region's stream is applied up to a position: a repair has merged all its namespaces as of then. It
// never goes back.
func (s *Settings) Raise(ctx context.Context, tenant ident.TenantID, origin ident.RegionID, through ident.Seq) error {
	return s.change(ctx, tenant, origin, func(w *watermark) bool {
		if w.there && through <= w.reached {
			return false
		}
		if through > 0 {
			w.add(1, through)
		}
		return true
	})
}

// Open takes note that another region's stream begins after a position: what is before it is to be fetched by a repair, unless it is
// applied, or nothing is.
func (s *Settings) Open(ctx context.Context, tenant ident.TenantID, origin ident.RegionID, at ident.Seq) error {
	return s.change(ctx, tenant, origin, func(w *watermark) bool {
		if w.there && at <= w.reached || w.mark.GetBehind() && uint64(at) <= w.mark.GetBehindSeq() {
			return false
		}
		if at > 0 {
			w.mark.Behind, w.mark.BehindEpoch, w.mark.BehindSeq = true, uint64(Epoch), uint64(at)
		}
		return true
	})
}

// change stores a watermark after an edit, unless the edit says that there is nothing to do.
func (s *Settings) change(ctx context.Context, tenant ident.TenantID, origin ident.RegionID, edit func(*watermark) bool) error {
	if origin == "" || origin == s.cfg.Region {
		return fmt.Errorf("%w: it names no other region", ErrInvalid)
	}
	return s.retry(ctx, tenant, func() error {
		w, err := s.watermark(ctx, tenant, origin)
		if err != nil || !edit(w) {
			return err
		}
		ops, err := w.ops(s, tenant)
		if err != nil {
			return err
		}
		err = s.commit(ctx, ops)
		if err == nil {
			s.watchers.notify(tenant)
		}
		return changed(err)
	})
}
