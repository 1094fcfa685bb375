package replication

import (
	"context"
	"fmt"
	"strings"
	"testing"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/store"
)

// twoEntities is a lane with some history, and the messages that tell a region of it.
func twoEntities(t *testing.T, tables func(string) store.Store) (*simulation, []queue.Message) {
	t.Helper()
	s := &simulation{world: newWorld(t, tables, safeguards{}), graves: true, h: &history{
		tenant: ident.TenantID(fmt.Sprintf("acme%d", tenants.Add(1))), states: make(map[string][]committed),
	}}
	s.tenant(s.h.tenant)
	other := ""
	for i := 0; other == "" || keyspace.LaneOf(other) != soleLane(); i++ {
		other = fmt.Sprintf("usr_other%d", i)
	}
	write := func(id string, user *profilev1.User) {
		v := s.write(s.h.tenant, id, user, nil)
		s.h.states[id] = append(s.h.states[id], committed{v, user})
	}
	told := func() {
		s.handle(fed(s.h.tenant, ident.Version{Seq: 1}))
	}
	for n, id := range []string{sole, other, sole} {
		write(id, newUser(id, n))
		told()
	}
	write(other, newUser(other, 4))
	write(other, newUser(other, 5))
	told() // The fourth position is told of with what the fifth wrote.
	write(sole, nil)
	told()
	stream := streamID{tenant: s.h.tenant, feed: projections, origin: home, lane: soleLane()}
	var messages []queue.Message
	for _, m := range s.net.queue(abroad, QueueEvents).sent {
		if m.Group == stream.group() {
			messages = append(messages, m)
		}
	}
	return s, messages
}

// interleave has one process stop after so many effects of applying a message, while another applies another, and looks at what comes of it.
func interleave(t *testing.T, tables func(string) store.Store, first, second, stop int, blind func(store.Op) bool) (stopped bool, err error) {
	t.Helper()
	s, messages := twoEntities(t, tables)
	r, ctx := s.regions[1], context.Background()
	s.another(r).Apply(ctx, messages[:1])
	p := &applyProcess{region: r}
	p.applier = s.shared(r, stepped{r.replica, &p.process, blind}, r.regional, nil)
	p.start(func() { p.applier.Apply(ctx, messages[first:first+1]) })
	for n := 0; p.running && n < stop; n++ {
		p.step(false)
	}
	stopped = p.running
	if v := s.another(r).Apply(ctx, messages[second:second+1]); v[0].Outcome != Done {
		t.Fatal(v[0].Err)
	}
	between, err := ReadLane(ctx, r.replica, s.h.tenant, projections, home, soleLane())
	if err != nil {
		t.Fatal(err)
	}
	for p.running {
		p.step(false)
	}
	after, err := ReadLane(ctx, r.replica, s.h.tenant, projections, home, soleLane())
	switch {
	case err != nil:
		t.Fatal(err)
	case after.Watermark.Compare(between.Watermark) < 0:
		return stopped, fmt.Errorf("the watermark went back from %v to %v", between.Watermark, after.Watermark)
	}
	return stopped, s.check()
}

// everyInterleaving tries all, and returns the first that is wrong.
func everyInterleaving(t *testing.T, blind func(store.Op) bool) error {
	t.Helper()
	tables := openTables(t)
	const messages = 7 // The opening and six writes.
	for first := 1; first < messages; first++ {
		for second := 1; second < messages; second++ {
			for stop, stopped := 0, true; stopped; stop++ {
				var err error
				if stopped, err = interleave(t, tables, first, second, stop, blind); err != nil {
					return fmt.Errorf("%d stopped after %d effects for %d: %w", first, stop, second, err)
				}
			}
		}
	}
	return nil
}

// Whenever two processes apply two events of a lane, nothing of either is forgotten; without the conditions it would be.
func TestTwoProcessesApplyOneLane(t *testing.T) {
	t.Parallel()
	for name, sort := range map[string]string{"with all conditions": "", "without that of the watermark": "w/", "without the guard's": "g/"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var blind func(store.Op) bool
			if sort != "" {
				blind = func(op store.Op) bool { return strings.HasPrefix(op.Item.Key.Sort, sort) }
			}
			err := everyInterleaving(t, blind)
			if (err != nil) != (sort != "") {
				t.Errorf("found: %v", err)
			}
		})
	}
}

// twoRelays has one relay stop after so many effects, while another sends the same lane further, and returns by how much the cursor went back.
func twoRelays(t *testing.T, stop int, blind func(store.Op) bool) (stopped bool, back ident.Seq) {
	t.Helper()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	w.handle(fed(acme, w.write(acme, sole, newUser(sole, 1), nil)))
	second := w.write(acme, sole, newUser(sole, 2), nil)
	w.startRelay(RelayTuning{Parallel: 1})
	p := &relayProcess{relay: w.relay}
	p.relay.cfg.Table = stepped{w.table, &p.process, blind}
	p.relay.cfg.Sender = steppedSender{w.net, &p.process}
	p.start(func() { _ = p.relay.Handle(context.Background(), fed(acme, second)) })
	for n := 0; p.running && n < stop; n++ {
		p.step(false)
	}
	stopped = p.running
	w.startRelay(RelayTuning{Parallel: 1})
	third := w.write(acme, sole, newUser(sole, 3), nil)
	w.handle(fed(acme, third))
	for p.running {
		p.step(false)
	}
	c, err := w.relay.readCursor(t.Context(), pair{acme, soleLane(), projections}, abroad)
	if err != nil {
		t.Fatal(err)
	}
	return stopped, third.Seq - c.version.Seq
}

// A cursor never goes back; without its condition it would.
func TestTwoRelaysSendOneLane(t *testing.T) {
	t.Parallel()
	stopped, back := true, ident.Seq(0)
	for stop := 0; stopped; stop++ {
		if stopped, back = twoRelays(t, stop, nil); back != 0 {
			t.Errorf("stopped after %d effects: the cursor is %d back", stop, back)
		}
	}
	blind := func(op store.Op) bool { return strings.HasPrefix(op.Item.Key.Sort, "x/") }
	stopped = true
	for stop := 0; stopped && back == 0; stop++ {
		stopped, back = twoRelays(t, stop, blind)
	}
	if back == 0 {
		t.Error("the condition is not needed")
	}
}
