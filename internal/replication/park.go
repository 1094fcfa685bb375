package replication

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// maxParked is how many events of a source are put aside at the most: a source of which the directory here knows nothing fills the
// region's store no further.
const maxParked = 2000

// countAgain is how old the number of parked events may be where other processes park too.
const countAgain = 10 * time.Second

// parkedOf returns how many events of a source are put aside.
func (a *Applier) parkedOf(ctx context.Context, id ident.RegionID) (int, error) {
	now := a.cfg.Clock()
	a.mu.Lock()
	parked, counted := a.source(id).parked, a.source(id).counted
	a.mu.Unlock()
	if age := now.Sub(counted); !a.cfg.Shared || age >= 0 && age < countAgain {
		return parked, nil
	}
	parked, err := a.countParked(ctx, id)
	if err != nil {
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.source(id).parked, a.source(id).counted = parked, now
	return parked, nil
}

// countParked counts the parked events of a source in the tables, as far as it matters.
func (a *Applier) countParked(ctx context.Context, id ident.RegionID) (count int, err error) {
	for _, table := range a.tables() {
		for from, more := "", true; more && count < maxParked; {
			page, err := table.Query(ctx, store.Query{Partition: keyspace.ParkedStreams(), From: from})
			if err != nil {
				return 0, fmt.Errorf("reading which streams have parked events: %w", err)
			}
			for _, item := range page.Items {
				from = item.Key.Sort + "\x00"
				s, ok := keyspace.ParseParkedStream(item.Key.Sort)
				if !ok || s.GetOrigin() != string(id) || count >= maxParked {
					continue
				}
				n, err := countStream(ctx, table, s)
				if err != nil {
					return 0, err
				}
				count += n
			}
			more = page.More
		}
	}
	return count, nil
}

// countStream counts the parked events of a stream, as far as it matters.
func countStream(ctx context.Context, table store.Store, s *replicationv1.Stream) (count int, err error) {
	from, to := keyspace.ParkedOf(s)
	for more := true; more && count < maxParked; {
		page, err := table.Query(ctx, store.Query{Partition: keyspace.Lane(idOf(s).tenant, idOf(s).lane), From: from, To: to})
		if err != nil {
			return 0, fmt.Errorf("reading parked events: %w", err)
		}
		count += len(page.Items)
		if more = page.More; more {
			from = page.Items[len(page.Items)-1].Key.Sort + "\x00"
		}
	}
	return count, nil
}

// overflow gives up an event that there is no place to put aside for. A lane that the region answers for is owed a repair from here on;
// one that it does not is found, by Inspect, when the directory here knows of it.
func (a *Applier) overflow(t *txn, e *replicationv1.Event) {
	if at := position(e); t.mark.exists && a.granted(t.stream) && at.Epoch == t.mark.version.Epoch && at.Seq > t.mark.version.Seq {
		t.mark.owe(at)
	}
}

// putAside parks an event that is not parked already, if there is a place for it.
func (a *Applier) putAside(ctx context.Context, t *txn, in input, fx *effects) error {
	if in.parked != nil {
		return nil
	}
	parked, err := a.parkedOf(ctx, t.stream.origin)
	if err != nil {
		return err
	}
	if parked+fx.parked >= maxParked {
		a.overflow(t, in.event)
		return nil
	}
	fx.parked++
	return a.park(t, in.event)
}

// park puts an event aside until the directory here knows what it takes to judge it.
func (a *Applier) park(t *txn, e *replicationv1.Event) error {
	value, err := proto.Marshal(e)
	if err != nil {
		return fmt.Errorf("parking an event: %w", err)
	}
	class := store.ClassGlobal
	switch {
	case t.stream.feed == replicationv1.Feed_FEED_STANDBY:
		class = store.ClassPII
	case len(e.GetState().GetSealed()) > 0:
		class = store.ClassRegional
	}
	t.put(store.Item{Key: keyspace.Parked(e.GetStream(), ident.Seq(e.GetSeq()), e.GetPart()), Version: position(e), Tag: t.tag(class), Value: value})
	t.put(store.Item{Key: keyspace.ParkedStream(e.GetStream()), Version: a.noteVersion(), Tag: t.tag(store.ClassGlobal)})
	return nil
}

// noteVersion is a version that no other note has: who removes a note removes the one that was read before nothing was found parked.
func (a *Applier) noteVersion() ident.Version {
	process := maphash.String(a.seed, "note") &^ (1 << 63)
	return ident.Version{Epoch: ident.Epoch(process), Seq: ident.Seq(a.notes.Add(1))}
}

// RetryParked tries all parked events again, e.g. because the directory has changed or some time has passed. left is how many
// stay parked.
func (a *Applier) RetryParked(ctx context.Context) (left int, err error) {
	counts := make(map[ident.RegionID]int)
	for _, table := range a.tables() {
		for from, more := "", true; more; {
			page, err := table.Query(ctx, store.Query{Partition: keyspace.ParkedStreams(), From: from})
			if err != nil {
				return left, fmt.Errorf("reading which streams have parked events: %w", err)
			}
			for _, item := range page.Items {
				from = item.Key.Sort + "\x00"
				s, ok := keyspace.ParseParkedStream(item.Key.Sort)
				if !ok {
					continue
				}
				n, err := a.retryStream(ctx, table, s, item)
				left += n
				counts[ident.RegionID(s.GetOrigin())] += n
				if err != nil {
					return left, err
				}
			}
			more = page.More
		}
	}
	a.parkedNow(counts)
	return left, nil
}

// retryStream tries the parked events of a stream again, in their order, and removes the note of it when none is left.
func (a *Applier) retryStream(ctx context.Context, table store.Store, s *replicationv1.Stream, note store.Item) (left int, err error) {
	id := idOf(s)
	from, to := keyspace.ParkedOf(s)
	for more := true; more; {
		page, err := table.Query(ctx, store.Query{Partition: keyspace.Lane(id.tenant, id.lane), From: from, To: to, Limit: 100})
		if err != nil {
			return left, fmt.Errorf("reading parked events: %w", err)
		}
		inputs := make([]input, 0, len(page.Items))
		for _, item := range page.Items {
			from = item.Key.Sort + "\x00"
			e := &replicationv1.Event{}
			if err := proto.Unmarshal(item.Value, e); err != nil {
				return left, ErrMalformed
			}
			if a.stays(e) {
				left++
				continue
			}
			inputs = append(inputs, input{event: e, parked: &item.Key})
		}
		var failed error
		a.stream(ctx, id, inputs, func(_ int, v Verdict) {
			if v.Outcome != Done {
				failed = errors.Join(failed, v.Err)
				left++
			}
		})
		if failed != nil {
			return left, failed
		}
		more = page.More
	}
	if left > 0 {
		return left, nil
	}
	return 0, a.unnote(ctx, table, id, s, note)
}

// stays tells whether an event has to stay parked.
func (a *Applier) stays(e *replicationv1.Event) bool {
	judged, _ := a.judge(e)
	return judged == park
}

// unnote removes the note of a stream unless something was parked meanwhile, here or by another process.
func (a *Applier) unnote(ctx context.Context, table store.Store, id streamID, s *replicationv1.Stream, note store.Item) error {
	lock := a.lock(id)
	lock.Lock()
	defer lock.Unlock()
	from, to := keyspace.ParkedOf(s)
	page, err := table.Query(ctx, store.Query{Partition: keyspace.Lane(id.tenant, id.lane), From: from, To: to, Limit: 1})
	if err != nil {
		return fmt.Errorf("reading parked events: %w", err)
	}
	if len(page.Items) > 0 {
		return nil
	}
	op := store.Op{Kind: store.Delete, If: store.VersionIs(note.Version), Item: store.Item{Key: note.Key}}
	if err := commitEach(ctx, table, []store.Op{op}); err != nil {
		return fmt.Errorf("removing a note of parked events: %w", err)
	}
	return nil
}
