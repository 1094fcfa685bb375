package scenarios

import (
	"context"
	"fmt"
	"time"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/topology"
)

// tell has a region learn something of the directory.
func (w *world) tell(r *region) {
	if w.draw(3) == 0 {
		for _, each := range w.regions {
			classes := each.release.catalog.Classes()
			if _, known := r.known.tables[string(classes.Fingerprint())]; !known {
				w.notef("%s learns the class table of %s", r.id, each.id)
				r.known.tables[string(classes.Fingerprint())] = classes
			}
		}
		return
	}
	tenant := tenants()[w.draw(2)]
	if r.known.tenants[tenant] != w.records[tenant] {
		w.notef("%s learns of %s", r.id, tenant)
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
		w.notef("%s and %s are cut off from each other (%s)", r.id, o.id, []string{"both ways", "the way in", "the way out"}[way])
	}
}

// join ends all cuts.
func (w *world) join() {
	if len(w.net.cut) > 0 {
		w.notef("all can reach each other")
		clear(w.net.cut)
	}
}

func (w *world) disturb() {
	w.net.bad = []int{0, 0, 10, 40}[w.draw(4)]
	w.notef("%d %% of the calls go wrong", w.net.bad)
}

// crash has a region crash at one of its next effects.
func (w *world) crash(r *region) {
	if r.up && r.fuse.left <= 0 {
		r.fuse.left = 1 + w.draw(12)
		w.notef("%s will crash at its effect %d from here", r.id, r.fuse.left)
	}
}

func (w *world) restart(r *region) {
	if !r.up {
		w.notef("%s begins again", r.id)
		r.start()
	}
}

// doubt has some of a region's next commits give no answer.
func (w *world) doubt(r *region) {
	if r.up {
		r.doubtful = 1 + w.draw(4)
		w.notef("the next %d commits of %s give no answer", r.doubtful, r.id)
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
	if err != nil {
		return
	}
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
		w.notef("receivers of %s take %d messages of %s and die: %d dead letters", r.id, taken, name, after.Waiting-before.Waiting)
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
		w.notef("an operator of %s redrives or drops %d dead letters%s", r.id, n, cond(err == nil, "", fmt.Sprintf(": %v", err)))
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
	w.notef("an old message is put into %s of %s again: %v", l.queue, r.id, err)
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
	w.notef("something without sense is in %s of %s: %v", name, r.id, err)
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
	w.notef("%s is sent what is forbidden of lane %d of %s: %v", r.id, lane, tenant, err)
}

// misbuild has a region run a build that sends what is forbidden, or no longer.
func (w *world) misbuild(r *region) {
	r.broken = !r.broken && w.draw(2) == 0
	w.notef("%s sends what is forbidden from here on: %v", r.id, r.broken)
}

// jump moves the time on: by minutes, hours, or more than queues keep messages.
func (w *world) jump() {
	by := []time.Duration{6 * time.Minute, 3 * time.Hour, retention + time.Hour}[w.drawOf(5, 3, 2)]
	w.now = w.now.Add(by)
	w.notef("%s pass", by)
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
	w.notef("%s: projections %v, standby %d", tenant, tenancyv1.Projections(t.Projections), t.Standby)
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
	w.notef("%s gets the newer release", r.id)
	r.start()
}
