package replication

import (
	"testing"
	"time"
)

// TestFreshnessSurvivesRestarts has an event wait in a queue while its source, or its destination, starts anew: neither remembers that it
// was sent, and what was committed before it is not applied.
func TestFreshnessSurvivesRestarts(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]func(*world, *region){
		"nobody":          func(*world, *region) {},
		"the source":      func(w *world, _ *region) { w.startRelay(RelayTuning{}) },
		"the destination": func(w *world, r *region) { w.startApplier(r) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, openTables(t), safeguards{})
			w.tenant(acme)
			r, ctx := w.regions[1], t.Context()
			beat := func() {
				t.Helper()
				if err := w.relay.Heartbeat(ctx, r.id); err != nil {
					t.Fatal(err)
				}
			}
			w.write(acme, sole, newUser(sole, 1), nil)
			w.relayAll()
			beat()
			w.deliverAll()

			w.now = w.now.Add(time.Minute)
			written := w.now
			w.write(acme, sole, newUser(sole, 2), nil)
			w.relayAll()
			if name == "the destination" {
				beat()
				w.deliverBeats(r)
			}
			restart(w, r)
			w.relayAll()
			w.now = w.now.Add(time.Minute)
			beat()
			w.deliverBeats(r)
			if fresh, ok, err := r.applier.Fresh(ctx, acme, projections, home); err != nil || ok && fresh.After(written) {
				t.Errorf("fresh as of %v, %v, while a write of %v waits in the queue; %v", fresh, ok, written, err)
			}
			w.deliverAll()
			if fresh, ok, err := r.applier.Fresh(ctx, acme, projections, home); err != nil || !ok || !fresh.After(written) {
				t.Errorf("fresh as of %v, %v, when all is applied; %v", fresh, ok, err)
			}
		})
	}
}

// deliverBeats delivers the heartbeats alone, as they have a message group of their own.
func (w *world) deliverBeats(r *region) {
	q := w.net.queue(r.id, QueueEvents)
	group := groupOfRegion("heartbeat", home)
	for len(q.take(group, 1)) > 0 {
		w.deliver(r, q, group, 10, false)
	}
}
