package scenarios

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/routing"
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
		w.notef("%s begins, its clock is %s ahead", r.id, r.skew)
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

// notef writes a line of the history.
func (w *world) notef(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%4d %s ", w.stepNo, w.now.Format("02 15:04:05"))+fmt.Sprintf(format, args...))
}

// failf notes what is wrong; the first is what counts.
func (w *world) failf(format string, args ...any) {
	w.notef("WRONG: "+format, args...)
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
	}
}

func (w *world) history() string { return strings.Join(w.log, "\n") }

// run makes its steps, then heals everything, and returns what was wrong first.
func (w *world) run() string {
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
			w.notef("%s has crashed", r.id)
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
	{6, false, func(_ *world, r *region) { r.scan() }},
	{70, false, func(w *world, _ *region) { w.send() }},
	{80, false, func(w *world, _ *region) { w.take() }},
	{4, false, func(_ *world, r *region) { r.beat() }},
	{4, false, func(_ *world, r *region) { r.prune() }},
	{4, false, func(_ *world, r *region) { r.unpark() }},
	{6, false, func(_ *world, r *region) { r.mend() }},
	{3, false, func(_ *world, r *region) { r.verify() }},
	{6, false, func(_ *world, r *region) { r.clean() }},
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
	w.notef("meanwhile {")
	for range 1 + w.draw(12) {
		w.step()
		w.bury() // Who waits in a process that has crashed finds out when it goes on.
	}
	w.notef("}")
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
