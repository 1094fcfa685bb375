package scenarios

import (
	"context"
	"time"

	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/replication"
)

// heal ends all that is wrong, lets everything come to rest as the loops of a platform do, and compares.
func (w *world) heal() {
	w.stepNo++
	w.notef("everything heals")
	w.healing = true
	clear(w.net.cut)
	w.net.bad = 0
	for _, r := range w.regions {
		r.broken = false
		if !r.up {
			r.start()
		}
		r.fuse.left, r.doubtful = 0, 0
	}
	for len(w.net.flying) > 0 {
		w.net.land(0, false)
	}
	for _, r := range w.regions {
		for range 8 {
			w.tell(r)
		}
		for _, tenant := range tenants() {
			r.learn(tenant)
		}
		for _, each := range releases() {
			r.known.tables[string(each.catalog.Classes().Fingerprint())] = each.catalog.Classes()
		}
	}
	w.finishOps()
	w.rest()
	for _, r := range w.regions {
		w.letters(r)
	}
	w.rest()
	w.now = w.now.Add(time.Hour)  // The newest idempotency records are not verified yet.
	for _, r := range w.regions { // On schedule.
		for _, s := range r.streams() {
			r.verifyOne(s)
		}
	}
	w.rest()
	w.settleSettings()
	if w.failure != "" {
		return
	}
	w.allRecords = true
	for _, r := range w.regions {
		w.check(r)
		w.checkEqual(r)
	}
	w.checkLinear()
	w.checkOps()
}

// finishOps has the clients repeat what they do not know the outcome of.
func (w *world) finishOps() {
	for range 3 {
		for _, o := range w.pending {
			if !o.over && o.flights == 0 && w.now.Sub(o.begun) < giveUp {
				w.launch(o)
			}
		}
		for len(w.attempts) > 0 {
			w.stepNo++
			w.advance(0)
		}
	}
}

// checkOps holds what clients were told against what was committed.
func (w *world) checkOps() {
	for _, o := range w.pending {
		times, version := w.took(o)
		switch {
		case o.acked && times == 0:
			w.failf("%s was acknowledged, and is lost", o)
		case o.acked && version != o.version:
			w.failf("%s was acknowledged as %v, and is %v", o, o.version, version)
		case times > 1:
			w.failf("%s took effect %d times", o, times)
		}
	}
}

// rest lets the loops run until there is nothing for them to do.
func (w *world) rest() {
	const most = 80
	beaten := false
	for range most {
		w.stepNo++
		w.now = w.now.Add(visibility + time.Second)
		busy := false
		for _, r := range w.regions {
			busy = r.turn() || busy
		}
		if w.failure != "" || !busy && beaten {
			return
		}
		if !busy { // Heartbeats tell of what was lost and nothing follows.
			beaten = true
			for _, r := range w.regions {
				for _, to := range w.regions {
					if to != r {
						_ = r.relay.Heartbeat(context.Background(), to.id)
					}
				}
			}
		}
	}
	w.failf("the regions do not come to rest in %d rounds", most)
}

// turn is a turn of all of a region's loops; false if they had nothing to do.
func (r *region) turn() (busy bool) {
	ctx := context.Background()
	for len(r.bell) > 0 {
		r.relay.Ring(r.bell[:1])
		r.bell, busy = r.bell[1:], true
	}
	for len(r.scrub) > 0 {
		r.clean()
		busy = true
	}
	if some, _ := r.relay.Scan(ctx); some {
		busy = true
	}
	for _, to := range r.w.regions {
		for to != r {
			some, err := r.relay.Step(ctx, to.id)
			busy = busy || some
			if !some || err != nil {
				break
			}
		}
	}
	r.prune()
	for _, name := range []string{replication.QueueEvents, replication.QueueSealed} {
		for {
			depth, err := r.queues[name].main.Depth(ctx)
			if err != nil {
				panic(err)
			}
			if depth.Waiting == 0 {
				busy = busy || depth.InFlight > 0
				break
			}
			before := depth.Waiting
			busy = true
			_ = r.receive(ctx, name)
			if depth, _ = r.queues[name].main.Depth(ctx); depth.Waiting >= before {
				break
			}
		}
	}
	if left, err := r.applier.RetryParked(ctx); left > 0 || err != nil {
		busy = true
	}
	if len(r.owed()) > 0 {
		busy = true
		for _, at := range r.w.regions {
			if at != r {
				r.mendFrom(at)
			}
		}
	}
	r.w.check(r)
	return busy
}

// letters has an operator put back what is among the dead letters, and drop what comes there again.
func (w *world) letters(r *region) {
	for _, name := range []string{replication.QueueEvents, replication.QueueSealed} {
		q := r.queues[name]
		n, err := queue.Redrive(context.Background(), q.dead, q.main, nil, w.fresh)
		if n > 0 || err != nil {
			w.notef("%s: %d dead letters are put back: %v", r.id, n, err)
		}
	}
}
