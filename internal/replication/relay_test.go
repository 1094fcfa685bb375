package replication

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/store"
)

const (
	acme        = ident.TenantID("acme-eu")
	projections = replicationv1.Feed_FEED_PROJECTIONS
)

// sole is an id, and its lane.
const sole = "usr_sole"

func soleLane() ident.Lane { return keyspace.LaneOf(sole) }

func (w *world) fill(n int) {
	for i := range n {
		w.write(acme, sole, newUser(sole, i), nil)
	}
}

func (w *world) outbox() int {
	w.tb.Helper()
	for {
		some, err := w.relay.Prune(context.Background())
		if err != nil {
			w.tb.Fatal(err)
		}
		if !some {
			break
		}
	}
	from, to := keyspace.OutboxAfter(0)
	page, err := w.table.Query(context.Background(), store.Query{Partition: keyspace.Lane(acme, soleLane()), From: from, To: to})
	if err != nil {
		w.tb.Fatal(err)
	}
	return len(page.Items)
}

func (w *world) lane(r *region, feed replicationv1.Feed) Lane {
	w.tb.Helper()
	l, err := ReadLane(context.Background(), r.feedsOf()[feed], acme, feed, home, soleLane())
	if err != nil {
		w.tb.Fatal(err)
	}
	return l
}

// All other regions of the default topology get the tenant's projections too; the world has two of them.
func (w *world) stepOthers() {
	for _, d := range w.relay.Status() {
		for {
			if some, _ := w.relay.Step(context.Background(), d.Region); !some {
				break
			}
		}
	}
}

func TestDeadDestinationDelaysNobodyAndIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	w.startRelay(RelayTuning{MaxBacklog: 20, Page: 7})
	w.fill(5)
	w.relayAll()
	w.stepOthers()
	w.deliverAll()
	w.net.down[abroad] = true
	w.fill(12)
	w.stepOthers()
	w.deliverAll()
	if got := w.lane(w.regions[0], projections); got.Watermark.Seq != 17 || !got.Complete {
		t.Errorf("the standby is at %+v, want 17", got)
	}
	if n := w.outbox(); n != 12 {
		t.Errorf("%d records wait for the dead region, want 12", n)
	}
	for _, d := range w.relay.Status() {
		if behind := d.Region == abroad; behind != (d.Failure != nil) || behind != (d.Events == 12) {
			t.Errorf("status: %+v", d)
		}
		if d.Region == abroad && (!errors.Is(d.Failure, errDown) || !d.Oldest.Equal(w.now)) {
			t.Errorf("status of the dead region: %+v", d)
		}
	}
	w.fill(20)
	w.stepOthers()
	if n := w.outbox(); n != 0 {
		t.Errorf("%d records wait for a region that is lost, want none", n)
	}
	// It answers again: what it missed is owed, what comes from now on arrives, and the lane does not answer until it is repaired.
	delete(w.net.down, abroad)
	w.now = w.now.Add(time.Minute)
	w.stepOthers()
	w.fill(3)
	w.stepOthers()
	w.deliverAll()
	if got := w.lane(w.regions[1], projections); got.Complete || got.Watermark.Seq != 5 || got.Highest != 40 {
		t.Errorf("the lost region is at %+v, want it behind at 5", got)
	}
	if n := w.outbox(); n != 0 {
		t.Errorf("%d records stay, want none", n)
	}
	owed := w.regions[1].applier.Owed()
	if len(owed) != 1 || !owed[0].Behind || owed[0].Stream.GetLane() != uint32(soleLane()) {
		t.Fatalf("owed: %v", owed)
	}
	if err := w.regions[1].applier.Complete(t.Context(), owed[0].Stream, ident.Version{Epoch: 1, Seq: 38}, w.regions[1].applier.Began(acme)); err != nil {
		t.Fatal(err)
	}
	if got := w.lane(w.regions[1], projections); !got.Complete || got.Watermark.Seq != 40 {
		t.Errorf("the repaired lane is at %+v, want 40", got)
	}
	if owed := w.regions[1].applier.Owed(); len(owed) != 0 {
		t.Errorf("owed after the repair: %v", owed)
	}
}

func TestPolicyChangeEndsAndBeginsStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	w.fill(3)
	w.relayAll()
	w.stepOthers()
	w.deliverAll()
	record, _ := w.dir.Tenant(acme)
	closed := record
	closed.Projections = uint8(tenancyv1.Projections_PROJECTIONS_JURISDICTION)
	w.dir.set(acme, closed)
	w.relay.Look(acme)
	w.relayAll()
	c, err := w.relay.readCursor(t.Context(), pair{acme, soleLane(), projections}, abroad)
	if err != nil || c.exists {
		t.Errorf("the cursor of a region that is granted nothing stays: %+v, %v", c, err)
	}
	w.stepOthers()
	w.fill(2)
	w.relayAll()
	w.stepOthers()
	if n := w.outbox(); n != 0 {
		t.Errorf("%d records wait for a region that is granted nothing", n)
	}
	if q := w.net.queue(abroad, QueueEvents); len(q.messages) != 0 {
		t.Errorf("%d messages were sent to a region that is granted nothing", len(q.messages))
	}
	w.dir.set(acme, record)
	w.relay.Look(acme)
	w.relayAll()
	w.deliverAll()
	if got := w.lane(w.regions[1], projections); got.Complete {
		t.Errorf("the lane answers before it was repaired: %+v", got)
	}
}

func TestEventsArePartedAndQueued(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	key := make([]byte, 32)
	w.write(acme, sole, newUser(sole, 1), key)
	w.relayAll()
	if q := w.net.queue(abroad, QueueSealed); len(q.messages) != 0 {
		t.Errorf("%d messages went into a queue abroad for what is sealed", len(q.messages))
	}
	if q := w.net.queue(standby, QueueEvents); len(q.messages) != 0 {
		t.Errorf("%d messages with sealed parts went into a queue for what is open", len(q.messages))
	}
	parts := 0
	for _, m := range w.net.queue(standby, QueueSealed).messages {
		var envelope replicationv1.Envelope
		if err := proto.Unmarshal(m.Body, &envelope); err != nil {
			t.Fatal(err)
		}
		if e := envelope.GetEvent(); e.GetParts() == 2 {
			parts++
			if (e.GetIdempotency() != nil) != (e.GetPart() == 0) || e.GetStream().GetFeed() != replicationv1.Feed_FEED_STANDBY {
				t.Errorf("part %d: %v", e.GetPart(), e)
			}
		}
	}
	if parts != 2 {
		t.Errorf("%d parts of the write under a key, want 2", parts)
	}
	w.deliverAll()
	for feed := range w.regions[0].feedsOf() {
		if got := w.lane(w.regions[0], feed); got.Watermark.Seq != 1 || !got.Complete {
			t.Errorf("%s: %+v", feed, got)
		}
	}
	for lane := range ident.Lane(ident.Lanes) {
		if got, err := ReadLane(t.Context(), w.regions[1].replica, acme, projections, home, lane); err != nil || !got.Complete {
			t.Errorf("lane %d was not opened: %+v, %v", lane, got, err)
		}
	}
}

func TestHeartbeatSaysWhatIsFresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	r := w.regions[1]
	fresh := func() time.Time {
		t.Helper()
		at, known, err := r.applier.Fresh(t.Context(), acme, projections, home)
		if err != nil {
			t.Fatal(err)
		}
		if !known {
			return time.Time{}
		}
		return at
	}
	beat := func() {
		t.Helper()
		if err := w.relay.Heartbeat(t.Context(), abroad); err != nil {
			t.Fatal(err)
		}
	}
	beat() // Before the first look at all tenants it knows nothing, and says nothing.
	if n := len(w.net.queue(abroad, QueueEvents).messages); n != 0 {
		t.Errorf("%d heartbeats before anything is known", n)
	}
	w.fill(1)
	w.relayAll()
	beat()
	w.deliverAll()
	first := w.now.Add(-time.Second)
	if got := fresh(); !got.Equal(first) {
		t.Errorf("fresh as of %v, want %v", got, first)
	}
	// A write whose event is under way: the next heartbeat arrives before it.
	w.now = w.now.Add(10 * time.Second)
	w.fill(1)
	w.relayAll()
	q := w.net.queue(abroad, QueueEvents)
	event := q.messages[0]
	q.remove(event.ID)
	beat()
	w.deliverAll()
	if got := fresh(); !got.Equal(first) {
		t.Errorf("fresh as of %v although an event is missing, want %v", got, first)
	}
	q.messages = append(q.messages, event)
	w.deliverAll()
	if got, want := fresh(), w.now.Add(-time.Second); !got.Equal(want) {
		t.Errorf("fresh as of %v, want %v", got, want)
	}
	// What is not sent holds the heartbeat back.
	held := w.now
	w.fill(1)
	w.now = w.now.Add(10 * time.Second)
	beat()
	w.deliverAll()
	if got := fresh(); got.After(held) {
		t.Errorf("fresh as of %v although a write of %v is not sent", got, held)
	}
}

func TestUntellableEntityDelaysItsLaneAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	w.fill(1)
	if err := w.table.Commit(t.Context(), store.Commit{Ops: []store.Op{{Kind: store.Put, Item: store.Item{
		Key: keyspace.Entity(acme, sole), Version: ident.Version{Epoch: 1, Seq: 1}, Value: []byte{0xff},
		Tag: store.Tag{Tenant: acme, Class: store.ClassPII},
	}}}}); err != nil {
		t.Fatal(err)
	}
	other := sole
	for i := 0; keyspace.LaneOf(other) == soleLane(); i++ {
		other += "x"
	}
	w.write(acme, other, newUser(other, 1), nil)
	w.relayAll()
	w.deliverAll()
	if _, ok := items(t, w.regions[1].replica, acme)[other]; !ok {
		t.Error("the other lane did not arrive")
	}
	if got := w.lane(w.regions[1], projections); got.Watermark.Seq != 0 {
		t.Errorf("the lane of the entity is at %+v", got)
	}
}

// arrivals is a Sender that says when something arrives.
type arrivals struct {
	Sender

	bell chan struct{}
}

func (a arrivals) Send(ctx context.Context, to ident.RegionID, name string, messages []queue.Outgoing) ([]error, error) {
	failed, err := a.Sender.Send(ctx, to, name, messages)
	select {
	case a.bell <- struct{}{}:
	default:
	}
	return failed, err
}

// The loops bring what is written before and while they run, from the store's own change feed.
func TestRelayRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	w.fill(3)
	w.startRelay(RelayTuning{})
	bell := make(chan struct{}, 1)
	w.relay.cfg.Sender = arrivals{w.net, bell}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.relay.Run(ctx, slog.New(slog.DiscardHandler)) }()
	w.fill(40)
	arrived := func() int {
		w.net.mu.Lock()
		defer w.net.mu.Unlock()
		return len(w.net.queue(abroad, QueueEvents).messages)
	}
	for arrived() < 8+43 { // eight lanes begin
		<-bell
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	w.deliverAll()
	if got := w.lane(w.regions[1], projections); got.Watermark.Seq != 43 || !got.Complete {
		t.Errorf("the lane is at %+v, want 43", got)
	}
}

// busyTable commits a write after each read of a lane's outbox, before anything else is read.
type busyTable struct {
	store.Store

	write func()
}

func (b busyTable) Query(ctx context.Context, q store.Query) (store.Page, error) {
	page, err := b.Store.Query(ctx, q)
	if strings.HasPrefix(q.From, "o/") {
		b.write()
	}
	return page, err
}

// A write that is committed while a step reads, does not look like one that was pruned: the stream is not opened anew.
func TestWriteDuringAStepOpensNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	w.fill(1)
	w.relayAll()
	w.deliverAll()
	n := 0
	table := w.table
	w.table = busyTable{table, func() {
		if n++; n < 20 {
			outer := w.table
			w.table = table
			w.fill(1)
			w.table = outer
		}
	}}
	w.startRelay(RelayTuning{})
	for range 5 {
		// The store tells of a write that was sent already.
		w.relay.Ring([]store.Change{{Key: keyspace.Outbox(acme, soleLane(), 1)}})
		w.relayAll()
	}
	w.deliverAll()
	head, err := table.Get(t.Context(), keyspace.Counter(acme, soleLane()))
	if err != nil || n < 5 {
		t.Fatalf("%d writes, %v", n, err)
	}
	for _, r := range w.regions {
		if lane := w.lane(r, projections); !lane.Complete || lane.Watermark != head.Version {
			t.Errorf("%s: %+v, the home is at %+v", r.id, lane, head.Version)
		}
	}
}

// A destination that was away for long is sent what waits as soon as it takes a heartbeat, not when the pause of its failures is over.
func TestHeartbeatEndsThePause(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	w.net.down[abroad] = true
	w.fill(3)
	for range 20 {
		for {
			if some, _ := w.relay.Step(t.Context(), abroad); !some {
				break
			}
		}
		w.now = w.now.Add(30 * time.Second)
	}
	if _, err := w.relay.Step(t.Context(), abroad); err == nil {
		t.Fatal("a destination that is down was sent something")
	}
	w.net.down[abroad] = false
	if _, err := w.relay.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if some, err := w.relay.Step(t.Context(), abroad); some || err != nil {
		t.Fatalf("no pause after failures: %t, %v", some, err)
	}
	if err := w.relay.Heartbeat(t.Context(), abroad); err != nil {
		t.Fatal(err)
	}
	if some, err := w.relay.Step(t.Context(), abroad); !some || err != nil {
		t.Errorf("the pause goes on after a heartbeat: %t, %v", some, err)
	}
}

// An outage is told once, when it is more than one heartbeat that fails, and its end once.
func TestOutageIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	if _, err := w.relay.Scan(t.Context()); err != nil { // until then there is nothing to tell
		t.Fatal(err)
	}
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	var to *destination
	for _, d := range w.relay.to {
		if d.id == abroad {
			to = d
		}
	}
	failed := 0
	for _, step := range []struct {
		down        bool
		warns, ends int
	}{
		{false, 0, 0}, {true, 0, 0}, {false, 0, 0}, // one alone
		{true, 0, 0}, {true, 1, 0}, {true, 1, 0}, {false, 1, 1}, {false, 1, 1},
	} {
		w.net.down[abroad] = step.down
		failed = w.relay.beatAndTell(t.Context(), to, failed, logger)
		warns, ends := strings.Count(log.String(), "level=WARN"), strings.Count(log.String(), "level=INFO")
		if warns != step.warns || ends != step.ends {
			t.Fatalf("%+v: %d warnings and %d ends\n%s", step, warns, ends, log.String())
		}
	}
}
