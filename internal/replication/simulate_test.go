package replication

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/store"
)

// history is what a home committed: of each entity, every version and its state; nil when it was deleted.
type history struct {
	tenant ident.TenantID
	states map[string][]committed
	alive  []string
	next   int
}

type committed struct {
	version ident.Version
	user    *profilev1.User
}

// at returns the state of an entity as of a position of its lane; false when there was none yet.
func (h *history) at(id string, v ident.Version) (committed, bool) {
	var found committed
	ok := false
	for _, c := range h.states[id] {
		if c.version.Compare(v) <= 0 {
			found, ok = c, true
		}
	}
	return found, ok
}

func (h *history) exactly(id string, v ident.Version) *profilev1.User {
	for _, c := range h.states[id] {
		if c.version == v {
			return c.user
		}
	}
	return nil
}

// simulation is a run of relay and apply through everything that queues and crashes can do.
type simulation struct {
	*world

	h      *history
	choose func(n int) int
	// graves says that tombstones may stay: who was to remove them may have been killed before.
	graves bool
}

// step does one thing at random.
func (s *simulation) step() {
	ctx := context.Background()
	s.now = s.now.Add(5 * time.Second)
	r := s.regions[s.choose(len(s.regions))]
	q := s.net.queue(r.id, []string{QueueEvents, QueueSealed}[s.choose(2)])
	switch s.choose(12) {
	case 0, 1:
		s.change()
	case 2, 3:
		_, _ = s.relay.Scan(ctx)
		_, _ = s.relay.Step(ctx, r.id)
	case 4:
		s.net.lose = true // The next batch is accepted and the relay does not hear of it.
		_, _ = s.relay.Step(ctx, r.id)
		s.net.lose = false
	case 5, 6, 7:
		if groups := q.groups(); len(groups) > 0 {
			s.deliver(r, q, groups[s.choose(len(groups))], 1+s.choose(4), s.choose(4) == 0)
		}
	case 8: // A message becomes a dead letter, and the group goes on.
		if len(q.messages) > 0 {
			m := q.messages[s.choose(len(q.messages))]
			q.remove(m.ID)
			q.dead = append(q.dead, m)
		}
	case 9: // A dead letter, or something that was delivered long ago, comes again behind the others.
		if len(q.sent) > 0 {
			q.messages = append(q.messages, q.sent[s.choose(len(q.sent))])
		}
		if len(q.dead) > 0 && s.choose(2) == 0 {
			q.messages = append(q.messages, q.dead[0])
			q.dead = q.dead[1:]
		}
	case 10:
		switch s.choose(3) {
		case 0:
			_, _ = s.relay.Prune(ctx)
		case 1:
			s.startRelay(RelayTuning{Page: 1 + s.choose(5)})
		default:
			s.startApplier(r)
		}
	default:
		s.smuggle(r)
	}
}

// change writes an entity.
func (s *simulation) change() {
	h := s.h
	h.next++
	var id string
	var user *profilev1.User
	switch {
	case len(h.alive) < 2 || s.choose(4) == 0:
		id = fmt.Sprintf("usr_%d", h.next)
		h.alive = append(h.alive, id)
		user = newUser(id, h.next)
	default:
		i := s.choose(len(h.alive))
		id = h.alive[i]
		if s.choose(2) == 0 {
			h.alive = slices.Delete(h.alive, i, i+1)
		} else {
			user = newUser(id, h.next)
		}
	}
	var key []byte
	if s.choose(2) == 0 {
		key = bytes.Repeat([]byte{byte(h.next)}, 32)
	}
	v := s.write(h.tenant, id, user, key)
	h.states[id] = append(h.states[id], committed{v, user})
}

// smuggle has a broken release of the home send personal data in the clear, as a state of an entity that is nowhere else.
func (s *simulation) smuggle(r *region) {
	lane := ident.Lane(s.choose(int(ident.Lanes)))
	id := ""
	for i := 0; id == "" || keyspace.LaneOf(id) != lane; i++ {
		id = fmt.Sprintf("usr_smuggled%d", i)
	}
	feed := replicationv1.Feed_FEED_PROJECTIONS
	at, err := ReadLane(context.Background(), r.replica, s.h.tenant, feed, home, lane)
	if err != nil || at.Watermark.Seq == 0 {
		return
	}
	// It says that it is of the last position that was applied, so that it changes nothing but what it says.
	stream := streamID{tenant: s.h.tenant, feed: feed, origin: home, lane: lane}
	e := &replicationv1.Event{Stream: stream.message(), Epoch: 1, Seq: uint64(at.Watermark.Seq), What: &replicationv1.Event_State{State: &replicationv1.State{
		Entity: userEntity, Id: id, Epoch: 1, Seq: uint64(at.Watermark.Seq), Scope: policyv1.Scope_SCOPE_GLOBAL,
		Table: s.catalog.Classes().Fingerprint(), Clear: marshal(&profilev1.User{Id: id, GivenName: private}),
	}}}
	body, _ := encode(&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: e}})
	for _, v := range r.applier.Apply(context.Background(), []queue.Message{{Body: body}}) {
		if v.Outcome != Done {
			s.tb.Fatalf("a violating event was not deleted: %v", v.Err)
		}
	}
}

// check holds what the destinations have against what the home committed.
func (s *simulation) check() error {
	for _, r := range s.regions {
		for feed, table := range r.feedsOf() {
			if err := s.checkRegion(r, feed, table); err != nil {
				return fmt.Errorf("%s, %s: %w", r.id, feed, err)
			}
		}
	}
	return nil
}

func (s *simulation) checkRegion(r *region, feed replicationv1.Feed, table store.Store) error {
	marks, err := ReadWatermarks(context.Background(), table, s.h.tenant, feed, home)
	if err != nil {
		return err
	}
	held := items(s.tb, table, s.h.tenant)
	for id, item := range held {
		if bytes.Contains(item.Value, []byte(private)) {
			return fmt.Errorf("%s holds personal data in the clear", id)
		}
		if s.h.states[id] == nil {
			continue // what was smuggled, and withheld
		}
		user := s.h.exactly(id, item.Version)
		if user == nil {
			return fmt.Errorf("%s has version %v, under which the home wrote no state", id, item.Version)
		}
		lookups := []*storagev1.Lookup{{Field: 4, Hash: []byte(user.GetEmail())}}
		if want := marshal(s.want(s.h.tenant, r, feed, id, user, lookups)); !bytes.Equal(want, canonical(feed, item.Value)) {
			return fmt.Errorf("%s at %v is not what the home wrote", id, item.Version)
		}
		lane := marks[keyspace.LaneOf(id)]
		if lane.Highest < item.Version.Seq {
			return fmt.Errorf("%s is shown at %v, and the highest position of the lane is %d", id, item.Version, lane.Highest)
		}
	}
	for id := range s.h.states {
		lane := marks[keyspace.LaneOf(id)]
		if !lane.Complete {
			continue
		}
		was, ok := s.h.at(id, lane.Watermark)
		item, here := held[id]
		last := s.h.states[id][len(s.h.states[id])-1]
		switch {
		case !ok:
		case was.user == nil && here:
			return fmt.Errorf("%s was deleted at %v, the watermark is at %v, and it is here at %v", id, was.version, lane.Watermark, item.Version)
		case was.user != nil && here && item.Version.Compare(was.version) < 0:
			return fmt.Errorf("%s is at %v, and the watermark is at %v, where the home had %v", id, item.Version, lane.Watermark, was.version)
		case was.user != nil && !here && last.user != nil:
			return fmt.Errorf("%s is not here, and the watermark is at %v, where the home had %v", id, lane.Watermark, was.version)
		}
	}
	return nil
}

func canonical(feed replicationv1.Feed, value []byte) []byte {
	var m proto.Message = &storagev1.Replica{}
	if feed == replicationv1.Feed_FEED_STANDBY {
		m = &storagev1.Entity{}
	}
	if err := proto.Unmarshal(value, m); err != nil {
		panic(err)
	}
	return marshal(m)
}

// settle lets everything arrive, has a repairer do what is owed, and compares.
func (s *simulation) settle() error {
	for _, r := range s.regions {
		for _, q := range s.net.queues[r.id] {
			q.messages = append(q.messages, q.dead[len(q.dead)/2:]...) // The others are dropped for good.
			q.dead = nil
		}
	}
	for range 3 { // What failed is tried again.
		s.now = s.now.Add(time.Minute)
		s.relayAll()
	}
	s.deliverAll()
	s.now = s.now.Add(time.Minute)
	for _, r := range s.regions {
		for feed := range r.feedsOf() {
			if err := s.reconcile(r, feed); err != nil {
				return err
			}
		}
	}
	if err := s.check(); err != nil {
		return err
	}
	for _, r := range s.regions {
		for feed, table := range r.feedsOf() {
			if err := s.equal(feed, table); err != nil {
				return fmt.Errorf("in the end, %s, %s: %w", r.id, feed, err)
			}
		}
	}
	return nil
}

// reconcile repairs the lanes that are owed a repair, and those whose last position was dropped: of that no destination can know by
// itself, the schedule of the repairer finds it.
func (s *simulation) reconcile(r *region, feed replicationv1.Feed) error {
	ctx := context.Background()
	if err := r.applier.Inspect(ctx, s.h.tenant, feed, home); err != nil {
		return err
	}
	marks, err := ReadWatermarks(ctx, r.feedsOf()[feed], s.h.tenant, feed, home)
	if err != nil {
		return err
	}
	owed := make(map[uint32]bool)
	for _, o := range r.applier.Owed() {
		if o.Stream.GetTenant() == string(s.h.tenant) && o.Stream.GetFeed() == feed {
			owed[o.Stream.GetLane()] = true
		}
	}
	for lane := range ident.Lane(ident.Lanes) {
		head, err := s.relay.counter(ctx, s.h.tenant, lane)
		if err != nil {
			return err
		}
		dropped := marks[lane].Watermark.Seq < head.Seq
		if !marks[lane].Complete && !owed[uint32(lane)] {
			return fmt.Errorf("%s, %s: lane %d is at %+v and no repair is owed", r.id, feed, lane, marks[lane])
		}
		if owed[uint32(lane)] || dropped {
			stream := streamID{tenant: s.h.tenant, feed: feed, origin: home, lane: lane}
			if err := s.repair(r, stream.message()); err != nil {
				return err
			}
		}
	}
	return nil
}

// repair brings a lane to the home's state as a repairer would.
func (s *simulation) repair(r *region, stream *replicationv1.Stream) error {
	return s.repairBy(r.applier, r, stream, func() bool { return true })
}

// repairBy does it as one of several processes. undisturbed tells whether no event has created anything since: that was not compared, and may
// be what the home has deleted since.
func (s *simulation) repairBy(a *Applier, r *region, stream *replicationv1.Stream, undisturbed func() bool) error {
	ctx := context.Background()
	began := a.Began(ident.TenantID(stream.GetTenant()))
	lane := ident.Lane(stream.GetLane())
	q, err := s.relay.counter(ctx, s.h.tenant, lane)
	if err != nil {
		return err
	}
	q.Epoch = max(q.Epoch, 1)
	atHome := items(s.tb, s.table, s.h.tenant)
	grant := GrantOf(a.cfg.Topology, s.record(), a.self)
	here := items(s.tb, r.feedsOf()[stream.GetFeed()], s.h.tenant)
	for id, item := range atHome {
		if keyspace.LaneOf(id) != lane {
			continue
		}
		state, err := s.maker.State(ctx, s.h.tenant, stream.GetFeed(), grant, userEntity, item)
		if err != nil {
			return err
		}
		if err := a.ApplyState(ctx, stream, state, "", q); err != nil {
			return err
		}
	}
	for id := range here {
		if _, ok := atHome[id]; !ok && keyspace.LaneOf(id) == lane && s.h.states[id] != nil {
			if err := a.ApplyState(ctx, stream, nil, id, q); err != nil {
				return err
			}
		}
	}
	if !undisturbed() {
		return nil
	}
	return a.Complete(ctx, stream, q, began)
}

func (s *simulation) equal(feed replicationv1.Feed, table store.Store) error {
	held := items(s.tb, table, s.h.tenant)
	for id, states := range s.h.states {
		last := states[len(states)-1]
		item, here := held[id]
		if (last.user != nil) != here || here && item.Version != last.version {
			return fmt.Errorf("%s is at %v, and at home at %v", id, item.Version, last.version)
		}
	}
	marks, err := ReadWatermarks(context.Background(), table, s.h.tenant, feed, home)
	if err != nil {
		return err
	}
	for lane := range ident.Lane(ident.Lanes) {
		head, err := s.relay.counter(context.Background(), s.h.tenant, lane)
		if err != nil {
			return err
		}
		if len(s.h.states) > 0 && (!marks[lane].Complete || marks[lane].Watermark.Seq != head.Seq) {
			return fmt.Errorf("lane %d is at %+v, and at home at %v", lane, marks[lane], head)
		}
	}
	return s.noGraves(table)
}

// noGraves tells whether tombstones that nobody needs stay.
func (s *simulation) noGraves(table store.Store) error {
	for lane := range ident.Lane(ident.Lanes) {
		from, to := keyspace.Tombstones()
		page, err := table.Query(context.Background(), store.Query{Partition: keyspace.Lane(s.h.tenant, lane), From: from, To: to})
		if err != nil {
			return err
		}
		if len(page.Items) > 0 && s.off == (safeguards{}) && !s.graves {
			return fmt.Errorf("%d tombstones stay in lane %d", len(page.Items), lane)
		}
	}
	return nil
}

var tenants atomic.Int64

// simulate runs a simulation and returns the first thing that is wrong.
func simulate(tb failer, tables func(string) store.Store, off safeguards, steps int, choose func(n int) int) error {
	w := newWorld(tb, tables, off)
	s := &simulation{world: w, choose: choose, h: &history{
		tenant: ident.TenantID(fmt.Sprintf("acme%d", tenants.Add(1))), states: make(map[string][]committed),
	}}
	w.tenant(s.h.tenant)
	for i := range steps {
		s.step()
		if err := s.check(); err != nil {
			return fmt.Errorf("after step %d: %w", i, err)
		}
	}
	return s.settle()
}

func seeded(seed uint64) func(n int) int {
	return rand.New(rand.NewPCG(seed, 1)).IntN
}

func TestRelayAndApplyConverge(t *testing.T) {
	t.Parallel()
	tables := openTables(t)
	rapid.Check(t, func(rt *rapid.T) {
		numbers := rapid.IntRange(0, 1<<20)
		err := simulate(rt, tables, safeguards{}, rapid.IntRange(10, 60).Draw(rt, "steps"), func(n int) int { return numbers.Draw(rt, "choice") % n })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

const seeds = 40

func TestSeeds(t *testing.T) {
	t.Parallel()
	tables := openTables(t)
	for seed := range uint64(seeds) {
		if err := simulate(t, tables, safeguards{}, 150, seeded(seed)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// Without any one of the rules the same runs fail.
func TestEachSafeguardIsNeeded(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]safeguards{
		"version check": {version: true}, "as-of check": {asOf: true}, "gap check": {gap: true}, "class check": {class: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tables := openTables(t)
			for seed := range uint64(seeds) {
				if err := simulate(t, tables, off, 150, seeded(seed)); err != nil {
					t.Logf("seed %d fails: %v", seed, err)
					return
				}
			}
			t.Errorf("%d runs do not notice that it is off", seeds)
		})
	}
}
