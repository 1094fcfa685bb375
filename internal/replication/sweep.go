package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// maxMarks is how many marks of a destination a run of Sweep takes up.
const maxMarks = 5000

// Sweep does once what relays that only Handle leave to be done, and is to be called again and again, e.g. each minute. It
//
//   - tries again what is marked as not sent, and deletes the marks of what is sent now;
//   - looks at the next Tuning.SweepTenants of the tenants at home here, in the order of their ids, over and over: lanes that are ahead of a
//     cursor are sent or marked, also those that the change feed never told of; outboxes are pruned;
//   - tells each destination where the lanes of these tenants stand, so that it knows what it has: see Standings.
//
// Several processes may do so at the same time; that costs work and nothing else. What fails is left for the next run, keeps nothing
// else from being done, and is returned. That a destination does not answer is no failure of the run; Status has it.
func (r *Relay) Sweep(ctx context.Context) error {
	state, err := r.sweepState(ctx)
	if err != nil {
		return err
	}
	b := r.newBatch(r.cfg.Tuning.SweepFor)
	failed := b.sweepMarks(ctx)
	s, err := b.look(ctx, state)
	failed = errors.Join(failed, err)
	b.drain(ctx)
	if err := b.leave(ctx); err != nil {
		return errors.Join(failed, err) // What was looked at is looked at again.
	}
	failed = errors.Join(failed, s.prune(ctx))
	s.tell(ctx)
	return errors.Join(failed, r.sweptTo(ctx, state, s))
}

// sweepMarks tries all pairs again that are marked, and deletes the marks of those that are sent.
func (b *batch) sweepMarks(ctx context.Context) error {
	marks := make([][]store.Item, len(b.to))
	all := b.until
	b.until = b.r.cfg.Clock().Add(b.r.cfg.Tuning.SweepFor / 2) // The tenants have their turn in each run.
	defer func() { b.until = all }()
	var failed error
	for i, d := range b.to {
		var err error
		marks[i], err = b.r.marks(ctx, d.id)
		failed = errors.Join(failed, err)
		for _, m := range marks[i] {
			b.again(ctx, i, m)
		}
	}
	b.drain(ctx)
	for i, d := range b.to {
		left := d.work.left()
		sent := slices.DeleteFunc(marks[i], func(m store.Item) bool {
			p, ok := pairOf(m)
			_, dirty := left[p]
			return ok && dirty
		})
		failed = errors.Join(failed, b.r.clean(ctx, sent))
	}
	return failed
}

// pairOf returns what a mark is of.
func pairOf(m store.Item) (pair, bool) {
	tenant, lane, feed, ok := keyspace.ParseDirty(m.Key.Sort)
	return pair{tenant: tenant, lane: lane, feed: feed}, ok
}

// again takes up what a mark is of, unless that is nothing of this region's any more.
func (b *batch) again(ctx context.Context, i int, m store.Item) {
	p, ok := pairOf(m)
	if !ok {
		return
	}
	now := b.r.cfg.Clock()
	b.reaches(i, p, m.Version.Seq)
	if _, err := b.r.tenant(p.tenant); err == nil {
		b.to[i].work.mark(p, m.Version.Seq, now)
		return
	}
	if over, err := b.r.over(ctx, p); err != nil || !over {
		b.to[i].work.putAside(p, m.Version.Seq, now)
	}
}

// over tells whether a lane of a tenant that is not at home here is known to be another region's: its ownership is later than what was
// written here last. Otherwise it may be that the directory here is behind.
func (r *Relay) over(ctx context.Context, p pair) (bool, error) {
	tenant, known := r.cfg.Tenants.Tenant(p.tenant)
	if !known {
		return false, nil
	}
	head, err := r.counter(ctx, p.tenant, p.lane)
	return err == nil && head.Epoch < tenant.Epoch, err
}

// marks returns the marks of a destination, so many as a run takes up, from a random one on: several sweepers begin at different ones, and
// where there are too many for a run none is always left out.
func (r *Relay) marks(ctx context.Context, to ident.RegionID) ([]store.Item, error) {
	start := string([]byte{'a' + byte(min(r.cfg.Jitter(), 0.999)*('z'-'a'+1))}) // Tenants' ids begin with a letter.
	var found []store.Item
	for _, bounds := range [...][2]string{{start, ""}, {"", start}} {
		for from, more := bounds[0], true; more && len(found) < maxMarks; {
			page, err := r.cfg.Table.Query(ctx, store.Query{Partition: keyspace.DirtyPairs(to), From: from, To: bounds[1]})
			if err != nil {
				return found, fmt.Errorf("reading what could not be sent: %w", err)
			}
			found = append(found, page.Items...)
			if more = page.More; more {
				from = page.Items[len(page.Items)-1].Key.Sort + "\x00"
			}
		}
	}
	return found, nil
}

// sweep is the tenants of one run.
type sweep struct {
	r     *Relay
	until time.Time
	// after is the last one, empty when there is none after it.
	after ident.TenantID
	asOf  time.Time
	turn  uint32

	mu sync.Mutex
	// heads are where the lanes of those stand that ever wrote; behind are those of which something was not sent.
	heads  map[ident.TenantID][ident.Lanes]ident.Version
	behind map[ident.TenantID]bool
}

// look finds what was not sent of the next tenants, and makes it dirty.
func (b *batch) look(ctx context.Context, state *sweepState) (*sweep, error) {
	s := &sweep{
		r: b.r, until: b.until, after: ident.TenantID(state.GetAfter()),
		asOf: b.r.cfg.Clock(), turn: uint32(state.GetPasses() % 2),
		heads: make(map[ident.TenantID][ident.Lanes]ident.Version), behind: make(map[ident.TenantID]bool),
	}
	next, err := b.r.nextTenants(ctx, s.after)
	if err != nil {
		return s, err
	}
	var failed error
	for some := range slices.Chunk(next, b.r.cfg.Tuning.Parallel) {
		if ctx.Err() != nil || !b.r.cfg.Clock().Before(b.until) {
			return s, errors.Join(failed, ctx.Err())
		}
		failed = errors.Join(failed, s.each(some, func(id ident.TenantID) error { return s.lookAt(ctx, b, id) }))
		s.after = some[len(some)-1]
	}
	if len(next) < b.r.cfg.Tuning.SweepTenants {
		s.after = ""
	}
	return s, failed
}

// each calls fn with each tenant, several at a time, and returns all errors.
func (s *sweep) each(tenants []ident.TenantID, fn func(ident.TenantID) error) error {
	errs := make([]error, len(tenants))
	var group sync.WaitGroup
	for i, id := range tenants {
		if s.r.cfg.Tuning.Parallel == 1 { // Without goroutines.
			errs[i] = fn(id)
			continue
		}
		group.Go(func() { errs[i] = fn(id) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// nextTenants returns the next tenants at home here after one, in the order of their ids.
func (r *Relay) nextTenants(ctx context.Context, after ident.TenantID) ([]ident.TenantID, error) {
	count := r.cfg.Tuning.SweepTenants
	var next []ident.TenantID
	err := r.cfg.Tenants.AtHome(ctx, r.self, func(id ident.TenantID) error {
		if id <= after {
			return nil
		}
		if next = append(next, id); len(next) >= 2*count { // Of many, those that count are kept.
			slices.Sort(next)
			next = next[:count]
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking at the tenants: %w", err)
	}
	slices.Sort(next)
	return next[:min(len(next), count)], nil
}

// lookAt compares the lanes of a tenant with the cursors of every destination.
func (s *sweep) lookAt(ctx context.Context, b *batch, id ident.TenantID) error {
	tenant, err := s.r.tenant(id)
	if err != nil {
		return nil //nolint:nilerr // its record has changed since
	}
	heads, wrote, err := s.r.heads(ctx, id)
	if err != nil || !wrote {
		return err
	}
	s.mu.Lock()
	s.heads[id] = heads
	s.mu.Unlock()
	now := s.r.cfg.Clock()
	for lane := range ident.Lane(ident.Lanes) {
		cursors, err := s.r.cursors(ctx, laneOf{id, lane})
		if err != nil {
			return err
		}
		for i, d := range b.to {
			grant := GrantOf(s.r.cfg.Topology, tenant, d.index)
			for _, feed := range feeds() {
				if c, sent := cursors[cursorID{feed, d.id}]; needsSending(grant.Has(feed), sent, c, heads[lane], tenant.Epoch) {
					p := pair{tenant: id, lane: lane, feed: feed}
					d.work.mark(p, heads[lane].Seq, now)
					s.mu.Lock()
					b.reaches(i, p, heads[lane].Seq)
					s.behind[id] = true
					s.mu.Unlock()
				}
			}
		}
	}
	return nil
}

// prune prunes the outboxes of the tenants that wrote something since that was done last.
func (s *sweep) prune(ctx context.Context) error {
	tenants := make([]ident.TenantID, 0, len(s.heads))
	for id := range s.heads {
		if pruned, ok := s.r.prunedAt(id); !ok || pruned != seqs(s.heads[id]) {
			tenants = append(tenants, id)
		}
	}
	slices.Sort(tenants)
	var failed error
	for some := range slices.Chunk(tenants, s.r.cfg.Tuning.Parallel) {
		if ctx.Err() != nil || !s.r.cfg.Clock().Before(s.until) {
			break
		}
		failed = errors.Join(failed, s.each(some, func(id ident.TenantID) error { return s.pruneTenant(ctx, id) }))
	}
	return failed
}

func (s *sweep) pruneTenant(ctx context.Context, id ident.TenantID) error {
	for lane := range ident.Lane(ident.Lanes) {
		for more := true; more; {
			var err error
			if more, err = s.r.prune(ctx, laneOf{id, lane}); err != nil {
				return err
			}
		}
	}
	if !s.behind[id] {
		s.r.notePruned(id, seqs(s.heads[id]))
	}
	return nil
}

func seqs(heads [ident.Lanes]ident.Version) (all [ident.Lanes]ident.Seq) {
	for lane, v := range heads {
		all[lane] = v.Seq
	}
	return all
}

// maxPruned is of how many tenants it is remembered that their outboxes are empty.
const maxPruned = 100_000

func (r *Relay) prunedAt(id ident.TenantID) ([ident.Lanes]ident.Seq, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.pruned[id]
	return at, ok
}

func (r *Relay) notePruned(id ident.TenantID, at [ident.Lanes]ident.Seq) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pruned == nil || len(r.pruned) >= maxPruned {
		r.pruned = make(map[ident.TenantID][ident.Lanes]ident.Seq)
	}
	r.pruned[id] = at
}

// sweepState is how far the sweeper has come, and the item that says so.
type sweepState struct {
	storagev1.SweepState

	exists bool
	at     ident.Version
}

func (r *Relay) sweepState(ctx context.Context) (*sweepState, error) {
	s := &sweepState{}
	item, err := r.cfg.Table.Get(ctx, keyspace.Sweep())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return s, nil
	case err != nil:
		return nil, fmt.Errorf("reading how far the sweeper is: %w", err)
	}
	s.exists, s.at = true, item.Version
	if err := proto.Unmarshal(item.Value, &s.SweepState); err != nil {
		return nil, fmt.Errorf("decoding how far the sweeper is: %w", err)
	}
	return s, nil
}

// sweptTo stores how far the sweeper is, unless another has meanwhile.
func (r *Relay) sweptTo(ctx context.Context, before *sweepState, s *sweep) error {
	next := &storagev1.SweepState{After: string(s.after), Passes: before.GetPasses()}
	condition := store.Absent()
	if before.exists {
		condition = store.VersionIs(before.at)
	}
	if s.after == "" {
		next.Passes++
	}
	value, err := proto.Marshal(next)
	if err != nil {
		return fmt.Errorf("encoding how far the sweeper is: %w", err)
	}
	err = r.cfg.Table.Commit(ctx, store.Commit{Ops: []store.Op{{Kind: store.Put, If: condition, Item: store.Item{
		Key: keyspace.Sweep(), Version: ident.Version{Epoch: 1, Seq: before.at.Seq + 1}, Value: value,
		Tag: store.Tag{Class: store.ClassGlobal, Jurisdiction: r.jurisdiction},
	}}}})
	if _, changed := errors.AsType[*store.ConditionError](err); err != nil && !changed {
		return fmt.Errorf("storing how far the sweeper is: %w", err)
	}
	return nil
}

// maxStandings is how many tenants a message tells of at the most: about 25 KB.
const maxStandings = 250

// tell tells each destination where the lanes of the tenants stand that it is granted something of.
func (s *sweep) tell(ctx context.Context) {
	tenants := make([]ident.TenantID, 0, len(s.heads))
	for id := range s.heads {
		tenants = append(tenants, id)
	}
	slices.Sort(tenants)
	var group sync.WaitGroup
	for _, d := range s.r.to {
		if s.r.cfg.Tuning.Parallel == 1 { // Without goroutines.
			s.tellOne(ctx, d, tenants)
			continue
		}
		group.Go(func() { s.tellOne(ctx, d, tenants) })
	}
	group.Wait()
}

func (s *sweep) tellOne(ctx context.Context, d *destination, tenants []ident.TenantID) {
	var told []*replicationv1.Standing
	for _, id := range tenants {
		tenant, err := s.r.tenant(id)
		if err != nil || GrantOf(s.r.cfg.Topology, tenant, d.index) == (Grant{}) {
			continue
		}
		told = append(told, standing(id, tenant.Epoch, s.heads[id]))
	}
	for some := range slices.Chunk(told, maxStandings) {
		if d.work.resting(s.r.cfg.Clock()) {
			return // It does not answer, and is told when it does.
		}
		if err := s.r.sendBeat(ctx, d, standingsBeat(string(s.r.cfg.Region), s.asOf, s.turn, some)); err != nil {
			d.work.refused(err, s.r.cfg.Clock(), max(s.r.cfg.Jitter(), leastJitter))
			return
		}
	}
}
