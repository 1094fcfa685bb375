package replication

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// batch is lanes that are sent by one call, apart from what other calls of the process send: whoever has told the change feed that a batch
// is done must know what became of it.
type batch struct {
	r *Relay
	// to are the destinations, with work of this batch alone, in the order of the relay's.
	to []*destination
	// heads are how far pairs are known to reach, for the marks of those that are left.
	heads []map[pair]ident.Seq
	// until is when no more is begun.
	until time.Time
}

// newBatch begins a batch that takes up work for so long.
func (r *Relay) newBatch(lasts time.Duration) *batch {
	// What an earlier process sent under a grant that has ended since may have had the same names.
	r.incarnations.Add(1)
	b := &batch{r: r, until: r.cfg.Clock().Add(lasts)}
	for _, d := range r.to {
		mine := newDestination(d.index, d.id, d.work.heir())
		mine.once = true
		b.to = append(b.to, mine)
		b.heads = append(b.heads, make(map[pair]ident.Seq))
	}
	return b
}

// add makes a lane dirty that reaches to head. It returns false when nobody is granted any of it.
func (b *batch) add(key laneOf, head ident.Seq) bool {
	tenant, err := b.r.tenant(key.tenant)
	if err != nil {
		b.put(key, head)
		return true
	}
	for i := range b.to {
		for _, feed := range feeds() {
			b.reaches(i, pair{tenant: key.tenant, lane: key.lane, feed: feed}, head)
		}
	}
	return b.r.markLane(b.to, tenant, key, head, b.r.cfg.Clock())
}

// reaches notes how far a pair goes.
func (b *batch) reaches(i int, p pair, head ident.Seq) { b.heads[i][p] = max(b.heads[i][p], head) }

// put leaves a lane of a tenant that the directory here does not have at home, for everybody who may be granted it: the directory may be
// behind, and the sweeper looks again.
func (b *batch) put(key laneOf, head ident.Seq) {
	for i, d := range b.to {
		for _, feed := range feeds() {
			if feed == standbyFeed && !b.r.cfg.Topology.SameJurisdiction(b.r.self, d.index) {
				continue
			}
			p := pair{tenant: key.tenant, lane: key.lane, feed: feed}
			b.reaches(i, p, head)
			d.work.putAside(p, head, b.r.cfg.Clock())
		}
	}
}

// drain sends until nothing is left that may be tried now, or the time is over.
func (b *batch) drain(ctx context.Context) {
	if b.r.cfg.Tuning.Parallel == 1 { // Without goroutines.
		for i := range b.to {
			b.drive(ctx, b.to[i])
		}
	} else {
		var group sync.WaitGroup
		for _, d := range b.to {
			for range min(b.r.cfg.Tuning.Parallel, len(d.work.left())) {
				group.Go(func() { b.drive(ctx, d) })
			}
		}
		group.Wait()
	}
	for i, d := range b.to {
		b.r.to[i].work.learn(d.work)
	}
}

// drive sends to one destination.
func (b *batch) drive(ctx context.Context, d *destination) {
	for ctx.Err() == nil {
		now := b.r.cfg.Clock()
		if !now.Before(b.until) {
			return
		}
		p, ok, _ := d.work.take(now)
		if !ok {
			return
		}
		more, err := b.r.send(ctx, d, p)
		_, changed := errors.AsType[*store.ConditionError](err)
		switch {
		case err == nil:
			d.work.done(p, more)
		case changed && d.work.retry(p): // Another relay sends the same lane.
		default:
			_, unreachable := errors.AsType[*unreachableError](err)
			d.work.failed(p, err, unreachable, b.r.cfg.Clock(), max(b.r.cfg.Jitter(), leastJitter))
		}
	}
}

// leastJitter keeps a batch from trying what failed over and over.
const leastJitter = 0.1

// leave marks in the table what was not sent.
func (b *batch) leave(ctx context.Context) error {
	var failed error
	for i, d := range b.to {
		left := d.work.left()
		for p, head := range left {
			left[p] = max(head, b.heads[i][p])
		}
		failed = errors.Join(failed, b.r.markDirty(ctx, d.id, left))
	}
	return failed
}

// Handle brings a batch of the store's change feed to its end, for relays that live as long as one: what it tells of is sent, in the order of
// each lane, together with what was not sent before. What cannot be sent, or not in the time of Tuning.HandleFor, is marked in the table
// for Sweep, and is no failure of the batch. An error says that the marks could not be stored: the batch is to be handled again. Several calls and
// several processes may handle batches at the same time, also of the same lane.
//
// Nothing else of the Relay has to run, and no tenants are looked at but those of the batch. Only every so often an outbox is pruned: the
// rest is left to Sweep.
func (r *Relay) Handle(ctx context.Context, changes []store.Change) error {
	heads := headsOf(changes)
	if len(heads) == 0 {
		return nil
	}
	b := r.newBatch(r.cfg.Tuning.HandleFor)
	for _, key := range sortedLanes(heads) {
		b.add(key, heads[key])
	}
	b.drain(ctx)
	if err := b.leave(ctx); err != nil {
		return err
	}
	r.pruneSome(ctx, changes)
	return nil
}

// pruneEvery is after how many writes of a lane Handle prunes its outbox.
const pruneEvery = 64

// pruneSome prunes the outboxes of some lanes of a batch, the busiest first to come.
func (r *Relay) pruneSome(ctx context.Context, changes []store.Change) {
	some := changes[:0:0]
	for _, c := range changes {
		if seq, ok := keyspace.ParseOutbox(c.Key.Sort); ok && seq%pruneEvery == 0 {
			some = append(some, c)
		}
	}
	for _, key := range sortedLanes(headsOf(some)) {
		for more := true; more; {
			var err error
			if more, err = r.prune(ctx, key); err != nil {
				return // What stays is pruned by Sweep.
			}
		}
	}
}

// sortedLanes returns the lanes in an order that does not change from run to run.
func sortedLanes(heads map[laneOf]ident.Seq) []laneOf {
	all := make([]laneOf, 0, len(heads))
	for key := range heads {
		all = append(all, key)
	}
	slices.SortFunc(all, func(x, y laneOf) int {
		return cmp.Or(strings.Compare(string(x.tenant), string(y.tenant)), cmp.Compare(x.lane, y.lane))
	})
	return all
}
