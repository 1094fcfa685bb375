package replication

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// shard is a part of the change feed: in order, and handled by one process at a time.
type shard struct {
	changes []store.Change
	busy    bool
}

// relayProcess is a process of the home that relays or sweeps.
type relayProcess struct {
	process

	relay *Relay
}

// applyProcess is a process of a destination that applies or repairs.
type applyProcess struct {
	process

	applier *Applier
	region  *region
}

// deployment is a home and its destinations, each of several processes over the same tables, which stop and die between any two effects.
type deployment struct {
	*simulation

	shards   [2]shard
	relays   []*relayProcess
	appliers []*applyProcess
	// inFlight are the groups of a region's queue that a process has.
	inFlight map[string]bool
	// written is when each position of each lane was committed.
	written []writtenAt
	trimmed bool
	// cursors are how far the lanes were sent when that was looked at last.
	cursors [ident.Lanes]map[cursorID]cursor
	// created counts what events created.
	created int
	blind   func(store.Op) bool
	failure error
}

// writtenAt is a position of a lane and when it was written.
type writtenAt struct {
	lane ident.Lane
	seq  ident.Seq
	at   time.Time
}

func newDeployment(tb failer, tables func(string) store.Store, choose func(int) int, blind func(store.Op) bool) *deployment {
	d := &deployment{
		simulation: &simulation{world: newWorld(tb, tables, safeguards{}), choose: choose, graves: true, h: &history{
			tenant: ident.TenantID(fmt.Sprintf("acme%d", tenants.Add(1))), states: make(map[string][]committed),
		}},
		inFlight: make(map[string]bool), blind: blind,
	}
	d.tenant(d.h.tenant)
	for range 3 {
		d.relays = append(d.relays, d.newRelay())
	}
	for _, r := range d.regions {
		r.applier = d.shared(r, r.replica, r.regional, d.net) // It reads, and what the test looks at.
		for range 2 {
			d.appliers = append(d.appliers, d.newApplier(r))
		}
	}
	return d
}

func (d *deployment) newRelay() *relayProcess {
	p := &relayProcess{}
	table := stepped{d.table, &p.process, d.blind}
	made, err := NewRelay(RelayConfig{
		Region: home, Topology: topologyfile.Default(), Table: table, Maker: &Maker{Table: table, Sealer: sealer{}, Catalog: d.catalog},
		Sender: steppedSender{d.net, &p.process}, Tenants: only{d.dir, d.h.tenant}, Clock: func() time.Time { return d.now },
		Jitter: func() float64 { return 0.5 }, Rand: rand.Reader, Tuning: RelayTuning{Parallel: 1, Page: 1 + d.choose(4)},
	})
	if err != nil {
		d.tb.Fatal(err)
	}
	p.relay = made
	return p
}

// only is a directory with one tenant at home: tables are shared with other tests.
type only struct {
	*directory

	tenant ident.TenantID
}

// AtHome implements Tenants.
func (o only) AtHome(_ context.Context, _ topology.Index, fn func(ident.TenantID) error) error {
	return fn(o.tenant)
}

func (d *deployment) newApplier(r *region) *applyProcess {
	p := &applyProcess{region: r}
	p.applier = d.shared(r, stepped{r.replica, &p.process, d.blind}, stepped{r.regional, &p.process, d.blind}, steppedSender{d.net, &p.process})
	return p
}

func (w *world) shared(r *region, replica, regional store.Store, sender Sender) *Applier {
	a, err := NewApplier(ApplierConfig{
		Region: r.id, Topology: topologyfile.Default(), Replica: replica, Regional: regional, Shared: true, Directory: w.dir,
		Classes: w.catalog.Classes(), Sender: sender, Clock: func() time.Time { return w.now }, Background: func(f func()) { f() },
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	return a
}

// step does one thing at random.
func (d *deployment) step() {
	d.now = d.now.Add(100 * time.Millisecond)
	switch d.choose(14) {
	case 0:
		d.write()
	case 1, 2:
		d.startRelaying()
	case 3:
		d.startSweeping()
	case 4, 5:
		d.startApplying()
	case 6:
		d.startRepairing()
		if q := d.net.queue(d.regions[d.choose(2)].id, QueueEvents); d.choose(20) == 0 && len(q.messages) > 0 {
			q.remove(q.messages[d.choose(len(q.messages))].ID) // It became a dead letter, and was dropped.
		}
	default:
		d.goOn(d.choose(40) == 0)
	}
	if d.choose(200) == 0 {
		to := d.regions[d.choose(2)].id
		d.net.down[to] = !d.net.down[to]
	}
}

func (d *deployment) write() {
	before := d.counters()
	d.change()
	for lane, head := range d.counters() {
		if head != before[lane] {
			s := &d.shards[lane%2]
			s.changes = append(s.changes, store.Change{Key: keyspace.Outbox(d.h.tenant, ident.Lane(lane), head)})
			d.written = append(d.written, writtenAt{ident.Lane(lane), head, d.now})
		}
	}
	if s := &d.shards[d.choose(2)]; d.choose(60) == 0 && !s.busy && len(s.changes) > 0 { // The feed forgets what nobody fetched.
		s.changes, d.trimmed = s.changes[1:], true
	}
}

func (d *deployment) counters() (heads [ident.Lanes]ident.Seq) {
	for lane := range heads {
		v, err := d.relay.counter(context.Background(), d.h.tenant, ident.Lane(lane))
		if err != nil {
			d.tb.Fatal(err)
		}
		heads[lane] = v.Seq
	}
	return heads
}

// idleRelay returns a relay that does nothing; nil when there is none.
func (d *deployment) idleRelay() *relayProcess {
	i := d.choose(len(d.relays))
	if d.relays[i].running {
		return nil
	}
	return d.relays[i]
}

func (d *deployment) startRelaying() {
	p, s := d.idleRelay(), &d.shards[d.choose(2)]
	if p == nil || s.busy || len(s.changes) == 0 {
		return
	}
	s.busy = true
	batch := slices.Clone(s.changes[:1+d.choose(min(len(s.changes), 4))])
	p.start(func() {
		if err := p.relay.Handle(context.Background(), batch); err == nil {
			s.changes = s.changes[len(batch):]
		}
		s.busy = false
	})
}

func (d *deployment) startSweeping() {
	if p := d.idleRelay(); p != nil {
		p.start(func() { _ = p.relay.Sweep(context.Background()) })
	}
}

func (d *deployment) startApplying() {
	p := d.appliers[d.choose(len(d.appliers))]
	if p.running {
		return
	}
	if d.choose(12) == 0 {
		p.start(func() { _, _ = p.applier.RetryParked(context.Background()) })
		return
	}
	name := []string{QueueEvents, QueueSealed}[d.choose(2)]
	q := d.net.queue(p.region.id, name)
	groups := q.groups()
	if len(groups) == 0 {
		return
	}
	group := groups[d.choose(len(groups))]
	key := string(p.region.id) + name + group
	if d.inFlight[key] && d.choose(4) > 0 { // Now and then it took too long, and the messages are visible again.
		return
	}
	d.inFlight[key] = true
	batch := q.take(group, 1+d.choose(5))
	p.committed = func(c store.Commit) {
		for _, op := range c.Ops {
			if op.Kind == store.Put && op.If == store.Absent() && keyspace.IsEntity(op.Item.Key.Sort) {
				d.created++
			}
		}
	}
	p.start(func() {
		defer func() { p.committed = nil }()
		verdicts := p.applier.Apply(context.Background(), batch)
		if p.yield() == nil { // Else it is killed before it deletes.
			left := Unfinished(batch, verdicts)
			for i, m := range batch {
				if !slices.Contains(left, i) {
					q.remove(m.ID)
				}
			}
		}
		d.inFlight[key] = false
	})
}

// startRepairing repairs a lane, owed or not.
func (d *deployment) startRepairing() {
	p := d.appliers[d.choose(len(d.appliers))]
	if p.running || d.choose(6) > 0 || len(d.written) == 0 {
		return
	}
	feed := replicationv1.Feed_FEED_PROJECTIONS
	if p.region.id == standby && d.choose(2) == 0 {
		feed = standbyFeed
	}
	stream := streamID{tenant: d.h.tenant, feed: feed, origin: home, lane: ident.Lane(d.choose(ident.Lanes))}
	created := d.created
	p.start(func() {
		err := d.repairBy(p.applier, p.region, stream.message(), func() bool { return d.created == created })
		_, changed := errors.AsType[*store.ConditionError](err)
		if err != nil && !p.dead && !changed {
			d.failure = fmt.Errorf("repairing: %w", err)
		}
	})
}

// goOn lets one process that does something go on, or kills it.
func (d *deployment) goOn(kill bool) {
	var busy []func()
	for i, p := range d.relays {
		if p.running {
			busy = append(busy, func() { d.stepRelay(i, kill) })
		}
	}
	for i, p := range d.appliers {
		if p.running {
			busy = append(busy, func() { d.stepApplier(i, kill) })
		}
	}
	if len(busy) > 0 {
		busy[d.choose(len(busy))]()
	}
}

func (d *deployment) stepRelay(i int, kill bool) {
	p := d.relays[i]
	for p.step(kill); p.dead && p.running; {
		p.step(true)
	}
	if p.dead {
		d.relays[i] = d.newRelay()
	}
}

func (d *deployment) stepApplier(i int, kill bool) {
	p := d.appliers[i]
	for p.step(kill); p.dead && p.running; {
		p.step(true)
	}
	if p.dead {
		d.appliers[i] = d.newApplier(p.region)
	}
}

// finish lets all processes come to the end of what they do.
func (d *deployment) finish() {
	for busy := true; busy; {
		busy = false
		for i, p := range d.relays {
			if p.running {
				d.stepRelay(i, false)
				busy = true
			}
		}
		for i, p := range d.appliers {
			if p.running {
				d.stepApplier(i, false)
				busy = true
			}
		}
	}
}

// check looks at everything that must be so at any moment.
func (d *deployment) check() error {
	if d.failure != nil {
		return d.failure
	}
	if err := d.simulation.check(); err != nil {
		return err
	}
	for lane, before := range d.cursors {
		now, err := d.relay.cursors(context.Background(), laneOf{d.h.tenant, ident.Lane(lane)})
		if err != nil {
			return err
		}
		for id, c := range before {
			if now[id].version.Compare(c.version) < 0 {
				return fmt.Errorf("the cursor of lane %d to %v went back from %v to %v", lane, id, c.version, now[id].version)
			}
		}
		d.cursors[lane] = now
	}
	for _, r := range d.regions {
		if err := d.checkFresh(r); err != nil {
			return fmt.Errorf("%s: %w", r.id, err)
		}
	}
	return nil
}

// checkFresh holds what a region says of its freshness against what the home committed.
func (d *deployment) checkFresh(r *region) error {
	ctx := context.Background()
	fresh, ok, err := r.applier.Fresh(ctx, d.h.tenant, projections, home)
	if err != nil || !ok {
		return err
	}
	marks, err := ReadWatermarks(ctx, r.replica, d.h.tenant, projections, home)
	if err != nil {
		return err
	}
	for _, w := range d.written {
		if w.at.Before(fresh) && marks[w.lane].Watermark.Seq < w.seq {
			return fmt.Errorf("fresh as of %v, and %d of lane %d, of %v, is not applied", fresh, w.seq, w.lane, w.at)
		}
	}
	return nil
}

// settle lets everything arrive that was told, and has what is owed repaired.
func (d *deployment) settle() error {
	ctx := context.Background()
	d.finish()
	clear(d.net.down)
	d.now = d.now.Add(time.Minute)
	for i := range d.shards {
		if s := &d.shards[i]; len(s.changes) > 0 {
			if err := d.relays[i].relay.Handle(ctx, s.changes); err != nil {
				return err
			}
		}
	}
	if err := d.relays[0].relay.newBatch(time.Hour).sweepMarks(ctx); err != nil {
		return err
	}
	if err := d.allSent(); err != nil && !d.trimmed {
		return fmt.Errorf("what was fed was neither sent nor marked: %w", err)
	}
	if err := d.relays[0].relay.Sweep(ctx); err != nil {
		return err
	}
	if err := d.allSent(); err != nil {
		return err
	}
	d.deliverShared()
	for _, r := range d.regions {
		if _, err := r.applier.RetryParked(ctx); err != nil {
			return err
		}
	}
	return d.mendAll()
}

// mendAll has each region find and repair what is owed, and compares.
func (d *deployment) mendAll() error {
	ctx := context.Background()
	for range 3 {
		d.now = d.now.Add(9 * time.Second)
		for _, r := range d.regions {
			if err := r.applier.Survey(ctx); err != nil {
				return err
			}
		}
	}
	for _, r := range d.regions {
		for _, o := range r.applier.Owed() {
			if o.Stream.GetTenant() != string(d.h.tenant) {
				continue
			}
			if err := d.repair(r, o.Stream); err != nil {
				return err
			}
		}
	}
	if err := d.check(); err != nil {
		return err
	}
	for _, r := range d.regions {
		for feed, table := range r.feedsOf() {
			if err := d.equal(feed, table); err != nil {
				return fmt.Errorf("in the end, %s, %s: %w", r.id, feed, err)
			}
		}
		if fresh, ok, err := r.applier.Fresh(ctx, d.h.tenant, projections, home); len(d.written) > 0 && (err != nil || !ok || d.now.Sub(fresh) > time.Minute) {
			return fmt.Errorf("in the end, %s is fresh as of %v, %v, %w", r.id, fresh, ok, err)
		}
	}
	return nil
}

// deliverShared delivers everything.
func (d *deployment) deliverShared() {
	for _, r := range d.regions {
		for _, name := range []string{QueueEvents, QueueSealed} {
			q := d.net.queue(r.id, name)
			for _, g := range q.groups() {
				for len(q.take(g, 1)) > 0 {
					d.deliver(r, q, g, 10, false)
				}
			}
		}
	}
}

// allSent tells whether all cursors are at the ends of their lanes.
func (d *deployment) allSent() error {
	for lane, head := range d.counters() {
		cursors, err := d.relay.cursors(context.Background(), laneOf{d.h.tenant, ident.Lane(lane)})
		if err != nil {
			return err
		}
		for id, c := range cursors {
			if c.version.Seq < head {
				return fmt.Errorf("lane %d is at %d, and was sent to %v up to %d", lane, head, id, c.version.Seq)
			}
		}
		if want := 3; head > 0 && len(cursors) != want+len(otherRegions()) {
			return fmt.Errorf("lane %d has %d cursors", lane, len(cursors))
		}
	}
	return nil
}

// otherRegions are those that are told, of which nobody here applies anything.
func otherRegions() []ident.RegionID {
	var all []ident.RegionID
	for _, i := range topologyfile.Default().Regions() {
		if id := topologyfile.Default().ID(i); id != home && id != standby && id != abroad {
			all = append(all, id)
		}
	}
	return all
}

// deploy runs a deployment and returns the first thing that is wrong.
func deploy(tb failer, tables func(string) store.Store, steps int, choose func(int) int, blind func(store.Op) bool) error {
	d := newDeployment(tb, tables, choose, blind)
	for i := range steps {
		d.step()
		if i%7 != 0 {
			continue
		}
		if err := d.check(); err != nil {
			d.blind = nil
			d.finish()
			return fmt.Errorf("after step %d: %w", i, err)
		}
	}
	return d.settle()
}

const deploymentSeeds = 12

func TestProcesses(t *testing.T) {
	t.Parallel()
	tables := openTables(t)
	for seed := range uint64(deploymentSeeds) {
		if err := deploy(t, tables, 700, seeded(seed), nil); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
