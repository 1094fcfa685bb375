package scenarios

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
)

// giveUp is how long clients repeat an op: less than idempotency keys live.
const giveUp = 20 * time.Hour

// off are the safeguards that are switched off. In a build without the tag scenario_unsafe those of other packages are not here.
type off struct {
	// applier switches off what belongs to apply.
	applier func(*replication.Applier)
	// record leaves out the idempotency record, look the second look before a failure, increment what names an increment everywhere.
	record, look, increment bool
}

// world is all there is of a run.
type world struct {
	seed uint64
	rng  *rand.Rand
	now  time.Time
	off  off

	net     *network
	regions []*region
	// records and newest are the directory as it is: what regions learn sooner or later.
	records map[ident.TenantID]routing.Tenant
	truth   *truth
	clients []*client

	stepNo, ops, keys int
	pending           []*op
	attempts          []*attempt
	reads             []observed
	keyOf             map[string]int
	settings          *settingsModel
	// allRecords says that a standby has the record of each write that its watermark has passed: no lane of it was repaired, which brings
	// the records of other writes.
	allRecords bool

	weights []int
	// inside says that a region waits for another in the present step, and healing that the run is over.
	inside, healing bool

	log     []string
	failure string
}

func newWorld(seed uint64, o off) *world {
	if o.applier == nil {
		o.applier = func(*replication.Applier) {}
	}
	w := &world{
		seed: seed, rng: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), off: o,
		truth: newTruth(), keyOf: make(map[string]int), settings: newSettingsModel(),
	}
	w.net = &network{w: w, cut: make(map[link]bool)}
	everywhere := uint8(tenancyv1.Projections_PROJECTIONS_EVERYWHERE)
	w.records = map[ident.TenantID]routing.Tenant{
		acme: {Home: frankfurt, Standby: dublin, Projections: everywhere, State: active, Epoch: 1},
		bank: {Home: virginia, Standby: topology.NoRegion, Projections: everywhere, State: active, Epoch: 1},
	}
	for i := range topology.Index(4) {
		r := newRegion(w, i)
		classes := r.release.catalog.Classes()
		r.known.tables[string(classes.Fingerprint())] = classes
		w.regions = append(w.regions, r)
	}
	if w.draw(2) == 0 { // One clock is wrong, by up to ten minutes.
		w.regions[w.draw(4)].skew = time.Duration(w.draw(1200)-600) * time.Second
	}
	for _, r := range w.regions {
		for _, tenant := range tenants() {
			if w.draw(4) > 0 || r.index == w.records[tenant].Home {
				r.known.tenants[tenant] = w.records[tenant]
			}
		}
		r.start()
		w.note("%s begins, its clock is %s ahead", r.id, r.skew)
	}
	for i := range 3 {
		w.clients = append(w.clients, &client{
			name: fmt.Sprintf("client %d", i), tokens: make(map[ident.TenantID][]string), etags: make(map[string]seen),
		})
	}
	return w
}

// draw is a number below n.
func (w *world) draw(n int) int { return w.rng.IntN(n) }

// drawOf is an index, each as often as its weight says.
func (w *world) drawOf(weights ...int) int {
	sum := 0
	for _, n := range weights {
		sum += n
	}
	at := w.draw(sum)
	for i, n := range weights {
		if at -= n; at < 0 {
			return i
		}
	}
	return 0
}

func (w *world) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.rng.Uint32())
	}
	return b
}

// note writes a line of the history.
func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%4d %s ", w.stepNo, w.now.Format("02 15:04:05"))+fmt.Sprintf(format, args...))
}

// fail notes what is wrong; the first is what counts.
func (w *world) fail(format string, args ...any) {
	w.note("WRONG: "+format, args...)
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
	}
}

func (w *world) history() string { return strings.Join(w.log, "\n") }

// run makes so many steps, then heals everything, and returns what was wrong first.
func (w *world) run(steps int) string {
	w.swarm()
	w.allRecords = true
	for range steps {
		w.stepNo++
		w.now = w.now.Add(time.Duration(w.draw(3000)) * time.Millisecond)
		w.step()
		w.bury()
		if w.failure != "" {
			return w.failure
		}
	}
	w.heal()
	for _, r := range w.regions {
		r.stop()
	}
	return w.failure
}

// bury notices which processes have crashed.
func (w *world) bury() {
	for _, r := range w.regions {
		if r.up && r.fuse.blown {
			w.note("%s has crashed", r.id)
			r.stop()
		}
	}
}

// move is something that can happen.
type move struct {
	weight int
	// fault is left out, or happens often, in some runs: then what the others do together shows. See Groce et al., Swarm Testing, ISSTA 2012.
	fault bool
	do    func(w *world, r *region)
}

var moves = []move{
	{34, false, func(w *world, _ *region) { w.newOp() }},
	{100, false, func(w *world, _ *region) { w.goOn() }},
	{8, false, func(w *world, _ *region) { w.again() }},
	{14, false, func(w *world, _ *region) { w.read() }},
	{12, false, func(_ *world, r *region) { r.ring() }},
	{6, false, func(w *world, r *region) { r.scan() }},
	{34, false, func(w *world, _ *region) { w.send() }},
	{40, false, func(w *world, _ *region) { w.take() }},
	{4, false, func(w *world, r *region) { r.beat() }},
	{4, false, func(w *world, r *region) { r.prune() }},
	{4, false, func(w *world, r *region) { r.unpark() }},
	{6, false, func(w *world, r *region) { r.mend() }},
	{3, false, func(w *world, r *region) { r.verify() }},
	{6, false, func(w *world, r *region) { r.clean() }},
	{4, false, func(w *world, r *region) { w.tell(r) }},
	{12, false, func(w *world, r *region) { w.settingsMove(r) }},
	{10, true, func(w *world, _ *region) { w.land() }},
	{2, true, func(w *world, r *region) { w.partition(r) }},
	{3, false, func(w *world, _ *region) { w.join() }},
	{2, true, func(w *world, _ *region) { w.disturb() }},
	{3, true, func(w *world, r *region) { w.crash(r) }},
	{6, false, func(w *world, r *region) { w.restart(r) }},
	{2, true, func(w *world, r *region) { w.doubt(r) }},
	{5, true, func(w *world, r *region) { w.swallow(r) }},
	{4, true, func(w *world, r *region) { w.operate(r) }},
	{4, true, func(w *world, r *region) { w.repeat(r) }},
	{2, true, func(w *world, r *region) { w.poison(r) }},
	{2, true, func(w *world, r *region) { w.smuggle(r) }},
	{1, true, func(w *world, r *region) { w.misbuild(r) }},
	{1, true, func(w *world, _ *region) { w.jump() }},
	{1, true, func(w *world, _ *region) { w.policy() }},
	{1, true, func(w *world, r *region) { w.upgrade(r) }},
}

// swarm decides how often what happens in this run.
func (w *world) swarm() {
	for _, m := range moves {
		weight := m.weight * 2
		if m.fault {
			weight = m.weight * []int{0, 1, 2, 3, 6}[w.draw(5)]
		}
		w.weights = append(w.weights, weight)
	}
	if w.draw(2) == 0 {
		w.net.bad = w.draw(40)
	}
}

func (w *world) step() {
	m := moves[w.drawOf(w.weights...)]
	m.do(w, w.regions[w.draw(len(w.regions))])
}

// meanwhile lets other things happen while a region waits for another: between what a relay has read and its sending, between an answer to a
// repair and what is made of it.
func (w *world) meanwhile() {
	if w.inside || w.healing || w.draw(3) > 0 {
		return
	}
	w.inside = true
	w.note("meanwhile {")
	for range 1 + w.draw(12) {
		w.step()
	}
	w.note("}")
	w.inside = false
}

// goOn makes the next step of an attempt.
func (w *world) goOn() {
	if len(w.attempts) > 0 {
		w.advance(w.draw(len(w.attempts)))
	}
}

// again repeats an op whose outcome its client does not know, perhaps while an attempt is under way.
func (w *world) again() {
	for _, i := range w.rng.Perm(len(w.pending)) {
		o := w.pending[i]
		if !o.over && w.now.Sub(o.begun) < giveUp && o.flights < 2 {
			w.launch(o)
			return
		}
	}
}

// ring tells the relay what the change feed has to tell: some of it.
func (r *region) ring() {
	if !r.up {
		return
	}
	for len(r.bell) > 0 && r.w.draw(8) > 0 {
		r.relay.Ring(r.bell[:1])
		r.bell = r.bell[1:]
	}
}

func (r *region) scan() {
	if r.up {
		_, _ = r.relay.Scan(context.Background())
	}
}

// send has a relay send a page to some destination that it has something for.
func (w *world) send() {
	r := w.regions[w.records[tenants()[w.draw(2)]].Home]
	if !r.up {
		return
	}
	for _, i := range w.rng.Perm(len(w.regions)) {
		to := w.regions[i]
		if to == r {
			continue
		}
		if some, err := r.relay.Step(context.Background(), to.id); some {
			w.note("%s sends a page to %s%s", r.id, to.id, cond(err == nil, "", fmt.Sprintf(": %v", err)))
			return
		}
	}
}

func (r *region) queueName() string {
	return []string{replication.QueueEvents, replication.QueueSealed}[r.w.draw(2)]
}

// take receives and applies a batch where there is one.
func (w *world) take() {
	for _, i := range w.rng.Perm(len(w.regions)) {
		r, name := w.regions[i], w.regions[i].queueName()
		if !r.up {
			continue
		}
		if depth, err := r.queues[name].main.Depth(context.Background()); err != nil || depth.Waiting == 0 {
			continue
		}
		err := r.receive(context.Background(), name)
		w.note("%s applies a batch of %s%s", r.id, name, cond(err == nil, "", fmt.Sprintf(": %v", err)))
		w.check(r)
		return
	}
}

func (r *region) beat() {
	to := r.w.regions[r.w.draw(len(r.w.regions))]
	if r.up && to != r {
		_ = r.relay.Heartbeat(context.Background(), to.id)
	}
}

// prune prunes all lanes that can be: which of them is first is not the world's to say.
func (r *region) prune() {
	for r.up && !r.fuse.blown {
		if some, err := r.relay.Prune(context.Background()); !some || err != nil {
			return
		}
	}
}

func (r *region) unpark() {
	if !r.up {
		return
	}
	if left, err := r.applier.RetryParked(context.Background()); left > 0 || err != nil {
		r.w.note("%s has %d parked events%s", r.id, left, cond(err == nil, "", fmt.Sprintf(": %v", err)))
	}
	r.w.check(r)
}

// mend repairs what is owed of one home's lanes.
func (r *region) mend() {
	at := r.w.regions[r.w.draw(len(r.w.regions))]
	if !r.up || at == r {
		return
	}
	r.mendFrom(at)
	r.w.check(r)
}

func (r *region) mendFrom(at *region) {
	owed := 0
	for _, o := range r.owed() {
		if o.Stream.GetOrigin() == string(at.id) {
			owed++
		}
	}
	if owed == 0 {
		return
	}
	r.w.allRecords = false
	err := r.mender.Step(context.Background(), at.id)
	r.w.note("%s repairs %d lanes of %s%s", r.id, owed, at.id, cond(err == nil, "", fmt.Sprintf(": %v", err)))
}

// verify verifies one lane, as it is done now and then, and repairs it if it differs.
func (r *region) verify() {
	if !r.up {
		return
	}
	streams := r.streams()
	if len(streams) > 0 {
		r.verifyOne(streams[r.w.draw(len(streams))])
	}
	r.w.check(r)
}

func (r *region) streams() (all []*replicationv1.Stream) {
	err := r.reconciler.Streams(context.Background(), "", func(s *replicationv1.Stream) error {
		all = append(all, s)
		return nil
	})
	if err != nil {
		panic(err)
	}
	return all
}

func (r *region) verifyOne(s *replicationv1.Stream) {
	if s.GetFeed() == replicationv1.Feed_FEED_STANDBY {
		r.w.allRecords = false
	}
	if err := r.mender.Verify(context.Background(), s); err != nil {
		r.w.note("%s verifies lane %d of %s of %s: %v", r.id, s.GetLane(), s.GetFeed(), s.GetTenant(), err)
	}
}

// clean removes the copies that a tenant's policy allows here no more, as the region's scrubber does.
func (r *region) clean() {
	if !r.up || len(r.scrub) == 0 {
		return
	}
	tenant := r.scrub[0]
	t, known := r.known.Tenant(tenant)
	if !known {
		r.scrub = r.scrub[1:]
		return
	}
	var err error
	if t.Home == r.index || routing.ScopeAt(theTopology(), &t, r.index) == policyv1.Scope_SCOPE_UNSPECIFIED {
		err = r.deleteRows(replicaTable, tenant)
	}
	if err == nil && t.Home != r.index && t.Standby != r.index {
		err = r.deleteRows(regionalTable, tenant)
	}
	if err == nil {
		r.scrub = r.scrub[1:]
	}
	r.w.check(r)
}

func (r *region) deleteRows(name string, tenant ident.TenantID) error {
	table := &guarded{memory: r.tables[name], r: r, fuse: r.fuse, name: name}
	for _, partition := range keyspace.Partitions(tenant) {
		for {
			page, err := table.Query(context.Background(), store.Query{Partition: partition, Limit: store.MaxOps})
			if err != nil {
				return err
			}
			if len(page.Items) == 0 {
				break
			}
			r.w.note("%s removes %d rows of %s from %s", r.id, len(page.Items), tenant, name)
			ops := make([]store.Op, len(page.Items))
			for i := range page.Items {
				ops[i] = store.Op{Kind: store.Delete, Item: store.Item{Key: page.Items[i].Key}}
			}
			if err := table.Commit(context.Background(), store.Commit{Ops: ops}); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell has a region learn something of the directory.
func (w *world) tell(r *region) {
	if w.draw(3) == 0 {
		for _, each := range w.regions {
			classes := each.release.catalog.Classes()
			if _, known := r.known.tables[string(classes.Fingerprint())]; !known {
				w.note("%s learns the class table of %s", r.id, each.id)
				r.known.tables[string(classes.Fingerprint())] = classes
			}
		}
		return
	}
	tenant := tenants()[w.draw(2)]
	if r.known.tenants[tenant] != w.records[tenant] {
		w.note("%s learns of %s", r.id, tenant)
		r.learn(tenant)
	}
}

// land lets something arrive that was late.
func (w *world) land() {
	if n := len(w.net.flying); n > 0 {
		w.net.land(w.draw(n), w.draw(4) == 0)
	}
}

// partition cuts a region off, from one or from all, in one direction or in both.
func (w *world) partition(r *region) {
	way, one := w.draw(3), w.regions[w.draw(len(w.regions))]
	for _, o := range w.regions {
		if o == r || one != r && o != one {
			continue
		}
		if way != 1 {
			w.net.cut[link{r.index, o.index}] = true
		}
		if way != 2 {
			w.net.cut[link{o.index, r.index}] = true
		}
		w.note("%s and %s are cut off from each other (%s)", r.id, o.id, []string{"both ways", "the way in", "the way out"}[way])
	}
}

// join ends all cuts.
func (w *world) join() {
	if len(w.net.cut) > 0 {
		w.note("all can reach each other")
		clear(w.net.cut)
	}
}

func (w *world) disturb() {
	w.net.bad = []int{0, 0, 10, 40}[w.draw(4)]
	w.note("%d %% of the calls go wrong", w.net.bad)
}

// crash has a region crash at one of its next effects.
func (w *world) crash(r *region) {
	if r.up && r.fuse.left <= 0 {
		r.fuse.left = 1 + w.draw(12)
		w.note("%s will crash at its effect %d from here", r.id, r.fuse.left)
	}
}

func (w *world) restart(r *region) {
	if !r.up {
		w.note("%s begins again", r.id)
		r.start()
	}
}

// doubt has some of a region's next commits give no answer.
func (w *world) doubt(r *region) {
	if r.up {
		r.doubtful = 1 + w.draw(4)
		w.note("the next %d commits of %s give no answer", r.doubtful, r.id)
	}
}

// swallow has receivers take messages and die: once, or until there is a dead letter.
func (w *world) swallow(r *region) {
	if !r.up {
		return
	}
	name := r.queueName()
	q, most, times := r.queues[name], []int{1, 1, 2, queue.MaxBatch}[w.draw(4)], []int{1, 60, 60}[w.draw(3)]
	before, err := q.dead.Depth(context.Background())
	after, taken := before, 0
	for range times {
		if after, err = q.dead.Depth(context.Background()); err != nil || after.Waiting > before.Waiting {
			break
		}
		all, err := q.main.Receive(context.Background(), queue.Receive{Max: most, Visibility: visibility})
		depth, _ := q.main.Depth(context.Background())
		if err != nil || len(all) == 0 && depth.InFlight == 0 {
			break
		}
		if len(all) == 0 {
			w.now = w.now.Add(visibility + time.Second)
		}
		taken += len(all)
	}
	if taken > 0 {
		w.note("receivers of %s take %d messages of %s and die: %d dead letters", r.id, taken, name, after.Waiting-before.Waiting)
	}
}

// operate has an operator put dead letters back, or drop them.
func (w *world) operate(r *region) {
	if !r.up {
		return
	}
	q := r.queues[r.queueName()]
	var n int
	var err error
	if w.draw(4) > 0 {
		n, err = queue.Redrive(context.Background(), q.dead, q.main, nil, w.fresh)
	} else {
		n, err = queue.Drop(context.Background(), q.dead, nil)
	}
	if n > 0 || err != nil {
		w.note("an operator of %s redrives or drops %d dead letters%s", r.id, n, cond(err == nil, "", fmt.Sprintf(": %v", err)))
	}
}

// repeat puts back a message that was there before, as when an operator's redrive ended between its sending and its deleting and was begun
// again much later.
func (w *world) repeat(r *region) {
	if !r.up || len(r.letters) == 0 {
		return
	}
	l := r.letters[w.draw(len(r.letters))]
	_, err := r.queues[l.queue].main.Send(context.Background(), []queue.Outgoing{{Group: l.group, Deduplication: w.fresh(), Body: l.body}})
	w.note("an old message is put into %s of %s again: %v", l.queue, r.id, err)
}

func (w *world) fresh() string {
	w.keys++
	return fmt.Sprintf("fresh-%d", w.keys)
}

// poison puts something into a queue that makes no sense, in a group of things that do.
func (w *world) poison(r *region) {
	if !r.up {
		return
	}
	stream := &replicationv1.Stream{
		Tenant: string(acme), Feed: replicationv1.Feed_FEED_PROJECTIONS, Origin: string(theTopology().ID(frankfurt)), Lane: uint32(w.draw(ident.Lanes)),
	}
	body := [][]byte{
		{0xff, 0xff, 0xff}, encoded(&replicationv1.Envelope{}),
		encoded(&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: &replicationv1.Event{Stream: stream, Epoch: 1, Seq: 1}}}),
	}[w.draw(3)]
	name := r.queueName()
	_, err := r.queues[name].main.Send(context.Background(), []queue.Outgoing{{
		Group: replication.GroupOf(stream), Deduplication: w.fresh(), Body: body,
	}})
	w.note("something without sense is in %s of %s: %v", name, r.id, err)
}

// smuggle puts an event into a queue that says of an entity which is nowhere what may not leave its home.
func (w *world) smuggle(r *region) {
	tenant := tenants()[w.draw(2)]
	home := w.regions[w.records[tenant].Home]
	if !r.up || r == home {
		return
	}
	lane := ident.Lane(w.draw(ident.Lanes))
	feed := replicationv1.Feed_FEED_PROJECTIONS
	at, err := replication.ReadLane(context.Background(), r.tables[replicaTable], tenant, feed, home.id, lane)
	if err != nil || at.Watermark.Seq == 0 {
		return
	}
	id := ""
	for i := 0; id == "" || keyspace.LaneOf(id) != lane; i++ {
		id = fmt.Sprintf("usr_smuggled%d", i)
	}
	stream := &replicationv1.Stream{Tenant: string(tenant), Feed: feed, Origin: string(home.id), Lane: uint32(lane)}
	e := &replicationv1.Event{Stream: stream, Epoch: 1, Seq: uint64(at.Watermark.Seq), What: &replicationv1.Event_State{State: &replicationv1.State{
		Entity: userEntity, Id: id, Epoch: 1, Seq: uint64(at.Watermark.Seq), Scope: policyv1.Scope_SCOPE_GLOBAL,
		Table: r.release.catalog.Classes().Fingerprint(), Clear: encoded(&profilev1.User{Id: id, GivenName: private}),
	}}}
	body := encoded(&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: e}})
	_, err = r.queues[replication.QueueEvents].main.Send(context.Background(), []queue.Outgoing{{
		Group: replication.GroupOf(stream), Deduplication: w.fresh(), Body: body,
	}})
	w.note("%s is sent what is forbidden of lane %d of %s: %v", r.id, lane, tenant, err)
}

// misbuild has a region run a build that sends what is forbidden, or no longer.
func (w *world) misbuild(r *region) {
	r.broken = !r.broken && w.draw(2) == 0
	w.note("%s sends what is forbidden from here on: %v", r.id, r.broken)
}

// jump moves the time on: by minutes, hours, or more than queues keep messages.
func (w *world) jump() {
	by := []time.Duration{6 * time.Minute, 3 * time.Hour, retention + time.Hour}[w.drawOf(5, 3, 2)]
	w.now = w.now.Add(by)
	w.note("%s pass", by)
	if by > time.Hour { // No call takes as long.
		w.dropAttempts(nil)
	}
}

// policy changes a tenant's record.
func (w *world) policy() {
	tenant := tenants()[w.draw(2)]
	t := w.records[tenant]
	if tenant == acme && w.draw(4) == 0 {
		if t.Standby == dublin {
			t.Standby = topology.NoRegion
		} else {
			t.Standby = dublin
		}
		w.allRecords = false
	} else {
		t.Projections = []uint8{
			uint8(tenancyv1.Projections_PROJECTIONS_EVERYWHERE), uint8(tenancyv1.Projections_PROJECTIONS_JURISDICTION),
			uint8(tenancyv1.Projections_PROJECTIONS_NONE),
		}[w.drawOf(2, 1, 1)]
	}
	w.records[tenant] = t
	w.note("%s: projections %v, standby %d", tenant, tenancyv1.Projections(t.Projections), t.Standby)
	w.regions[w.draw(4)].learn(tenant)
}

// upgrade gives a region the newer release.
func (w *world) upgrade(r *region) {
	if r.release == releases()[1] || !r.up {
		return
	}
	r.stop()
	r.release = releases()[1]
	r.known.tables[string(r.release.catalog.Classes().Fingerprint())] = r.release.catalog.Classes()
	w.note("%s gets the newer release", r.id)
	r.start()
}
