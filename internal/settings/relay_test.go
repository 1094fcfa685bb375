package settings_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	gotesting "testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/settings"
)

// net is some regions that tell each other by relay and mender.
type net struct {
	*world

	relays  map[ident.RegionID]*settings.Relay
	menders map[ident.RegionID]*settings.Mender
	sources map[ident.RegionID]*settings.Source
	// inboxes have what was sent and is not applied; names what was sent, which is not delivered again.
	inboxes map[ident.RegionID][]queue.Outgoing
	names   map[string]bool
	// lose says, if it is set, whether a sending is lost, before it takes effect or after.
	lose func(to ident.RegionID) (before, after bool)
}

var errSilent = errors.New("no answer")

func newNet(t testing, n int, change func(*settings.RelayConfig)) *net {
	w := &net{
		world: newWorld(t, n), relays: map[ident.RegionID]*settings.Relay{}, menders: map[ident.RegionID]*settings.Mender{},
		sources: map[ident.RegionID]*settings.Source{}, inboxes: map[ident.RegionID][]queue.Outgoing{}, names: map[string]bool{},
	}
	for _, r := range w.regions {
		w.startAll(r, change)
	}
	return w
}

// startAll starts a region's processes, again if they ran.
func (w *net) startAll(r *region, change func(*settings.RelayConfig)) {
	w.t.Helper()
	w.start(r)
	var others []ident.RegionID
	for _, o := range w.regions {
		if o != r {
			others = append(others, o.id)
		}
	}
	jitter := func() float64 { return 0.5 }
	cfg := settings.RelayConfig{
		Settings: r.kept, Destinations: others, Sender: w, Tenants: w, Clock: func() time.Time { return w.now }, Jitter: jitter, Rand: w.rand,
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if w.relays[r.id], err = settings.NewRelay(cfg); err != nil {
		w.t.Fatal(err)
	}
	w.menders[r.id], err = settings.NewMender(settings.MenderConfig{
		Settings: r.kept, Origins: others, Tenants: w, Known: w.relays[r.id].Known, Jitter: jitter, Settle: time.Millisecond,
		Reach: func(id ident.RegionID) settings.Origin { return asked{w, r.id, id} },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.sources[r.id] = settings.NewSource(r.kept, w)
	w.relays[r.id].Look(tenant)
}

// Kept implements settings.Tenants.
func (w *net) Kept(id ident.TenantID) bool { return id == tenant }

// Each implements settings.Tenants.
func (w *net) Each(_ context.Context, fn func(ident.TenantID) error) error { return fn(tenant) }

// Send implements replication.Sender, with a queue's care for repetitions.
func (w *net) Send(_ context.Context, to ident.RegionID, _ string, messages []queue.Outgoing) ([]error, error) {
	var before, after bool
	if w.lose != nil {
		before, after = w.lose(to)
	}
	if before {
		return nil, errSilent
	}
	for _, m := range messages {
		if len(m.Body) > queue.MaxMessageBytes || len(m.Group) > queue.MaxNameBytes || len(m.Deduplication) > queue.MaxNameBytes {
			return nil, queue.ErrInvalid
		}
		if name := string(to) + m.Deduplication; !w.names[name] {
			w.names[name] = true
			w.inboxes[to] = append(w.inboxes[to], m)
		}
	}
	if after {
		return nil, errSilent
	}
	return make([]error, len(messages)), nil
}

// asked is a region as another asks it.
type asked struct {
	w        *net
	from, to ident.RegionID
}

func (a asked) Digest(ctx context.Context, r *peerv1.DigestRequest) (*peerv1.DigestResponse, error) {
	if a.w.lose != nil {
		if before, _ := a.w.lose(a.to); before {
			return nil, errSilent
		}
	}
	return a.w.sources[a.to].Digest(ctx, a.from, r)
}

func (a asked) Fetch(ctx context.Context, r *peerv1.FetchRequest) (*peerv1.FetchResponse, error) {
	return a.w.sources[a.to].Fetch(ctx, a.from, r)
}

// ring tells a region's relay that it has written.
func (w *net) ring(r *region) { w.relays[r.id].Look(tenant) }

// sendAll sends what a region has to send now, in so many steps at the most.
func (w *net) sendAll(r *region, to ident.RegionID, steps int) {
	w.t.Helper()
	for range steps {
		did, err := w.relays[r.id].Step(context.Background(), to)
		if err != nil && w.lose == nil && r.table.lose == nil {
			w.t.Fatalf("%s to %s: %v", r.id, to, err)
		}
		if !did || err != nil {
			return
		}
	}
}

// deliver applies a message of a region's inbox; it stays when it failed, or when it is to arrive once more.
func (w *net) deliver(r *region, i int, again bool) {
	w.t.Helper()
	var e replicationv1.Envelope
	if err := proto.Unmarshal(w.inboxes[r.id][i].Body, &e); err != nil {
		w.t.Fatal(err)
	}
	err := w.menders[r.id].Take(context.Background(), e.GetEvent())
	if err != nil && r.table.lose == nil {
		w.t.Fatalf("%s: %v", r.id, err)
	}
	if err == nil && !again {
		w.inboxes[r.id] = slices.Delete(w.inboxes[r.id], i, i+1)
	}
}

// settleAll heals everything and lets all be told. Streams that are owed a repair get it, if mend.
func (w *net) settleAll(mend bool) {
	w.t.Helper()
	w.lose = nil
	for _, r := range w.regions {
		r.table.lose = nil
	}
	for range 12 {
		w.now = w.now.Add(time.Minute)
		for _, r := range w.regions {
			w.ring(r)
			w.maintain(r)
			for _, o := range w.regions {
				if o != r {
					w.sendAll(r, o.id, 1000)
				}
			}
		}
		for _, r := range w.regions {
			for len(w.inboxes[r.id]) > 0 {
				w.deliver(r, len(w.inboxes[r.id])-1, false)
			}
			if err := w.menders[r.id].Inspect(context.Background(), tenant); err != nil {
				w.t.Fatal(err)
			}
			if !mend {
				continue
			}
			for _, o := range w.regions {
				if err := w.menders[r.id].Mend(context.Background(), o.id); err != nil {
					w.t.Fatal(err)
				}
			}
		}
	}
	ends := map[ident.RegionID]ident.Seq{}
	for _, r := range w.regions {
		reached, err := r.kept.Reached(context.Background(), tenant)
		if err != nil {
			w.t.Fatal(err)
		}
		ends[r.id] = reached[r.id]
	}
	for _, r := range w.regions {
		reached, err := r.kept.Reached(context.Background(), tenant)
		if err != nil {
			w.t.Fatal(err)
		}
		for id, end := range ends {
			if reached[id] != end {
				w.t.Fatalf("%s has reached %d of %s, which ends at %d", r.id, reached[id], id, end)
			}
		}
	}
}

// Whatever is lost, doubled, reordered or crashes, in the end all regions are equal and know it. A destination that was away for longer than
// outboxes wait fetches what it missed.
func TestRegionsTellEachOther(t *gotesting.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		small := func(c *settings.RelayConfig) { c.MaxBacklog, c.Page = 4, 3 }
		w := newNet(t, 3, small)
		away := ident.RegionID("")
		w.lose = func(to ident.RegionID) (bool, bool) {
			odd := rapid.IntRange(0, 9).Draw(t, "luck")
			return to == away || odd == 0, odd == 1
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			r := w.draw(t)
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1, 2:
				op := rapid.SampledFrom([]func() error{
					func() error { _, _, err := update(r, "", "a", increment("n", 1)); return err },
					func() error { _, _, err := update(r, "", "a", add("s", string(r.id))); return err },
					func() error { _, _, err := update(r, "", "b", set("v", int64(len(r.id)))); return err },
					func() error { _, _, err := update(r, "", "b", drop("v")); return err },
				}).Draw(t, "write")
				if err := op(); err != nil {
					t.Fatal(err)
				}
				w.ring(r)
			case 3, 4:
				for _, o := range w.regions {
					if o != r {
						w.sendAll(r, o.id, rapid.IntRange(0, 3).Draw(t, "pages"))
					}
				}
			case 5, 6:
				if n := len(w.inboxes[r.id]); n > 0 {
					w.deliver(r, rapid.IntRange(0, n-1).Draw(t, "message"), rapid.Bool().Draw(t, "again"))
				}
			case 7:
				if err := w.relays[r.id].Prune(context.Background()); err != nil {
					t.Fatal(err)
				}
				w.maintain(r)
			case 8:
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 60_000).Draw(t, "ms")) * time.Millisecond)
				away = rapid.SampledFrom([]ident.RegionID{"", "r0", "r1", "r2"}).Draw(t, "away")
			case 9:
				w.startAll(r, small)
			}
		}
		w.settleAll(true)
		for _, name := range []string{"a", "b"} {
			w.equal(name)
		}
		for _, r := range w.regions {
			found := &operationsv1.RegionVerification{}
			if err := w.menders[r.id].VerifyAll(context.Background(), tenant, false, found); err != nil || found.GetDifferenceCount() > 0 {
				t.Fatalf("%s: %v %v", r.id, found.GetDifferences(), err)
			}
		}
	})
}

// A sending that fails is made again: nothing is counted as sent before it was.
func TestNothingIsLostWhenSendingFails(t *gotesting.T) {
	t.Parallel()
	w := newNet(t, 2, nil)
	here, there := w.regions[0], w.regions[1]
	if _, _, err := update(here, "", "ui", set("theme", 1)); err != nil {
		t.Fatal(err)
	}
	w.ring(here)
	w.lose = func(ident.RegionID) (bool, bool) { return true, false }
	if _, err := w.relays[here.id].Step(t.Context(), there.id); !errors.Is(err, errSilent) {
		t.Fatalf("a sending that failed: %v", err)
	}
	status := w.relays[here.id].Status()
	if len(status) != 1 || status[0].Events != 1 || status[0].Failure == nil || status[0].Oldest.IsZero() {
		t.Errorf("what is seen of it: %+v", status)
	}
	if err := w.relays[here.id].Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if did, err := w.relays[here.id].Step(t.Context(), there.id); did || err != nil {
		t.Errorf("a destination that does not answer is tried again at once: %v", err)
	}
	w.relays[here.id].Answers(there.id)
	if did, err := w.relays[here.id].Step(t.Context(), there.id); !did || !errors.Is(err, errSilent) {
		t.Errorf("a destination that was reached is not tried: %t %v", did, err)
	}
	w.settleAll(false)
	if got := w.equal("ui"); len(got) != 1 {
		t.Errorf("arrived: %v", got)
	}
	if status := w.relays[here.id].Status(); status[0].Events != 0 || status[0].Failure != nil {
		t.Errorf("when all is sent: %+v", status)
	}
}

// A comparison of equal regions costs one digest; one difference costs what it holds, and is mended.
func TestComparison(t *gotesting.T) {
	t.Parallel()
	w := newNet(t, 2, nil)
	here, there := w.regions[0], w.regions[1]
	for i := range 200 {
		if _, _, err := update(here, "", "ns-"+string(rune('a'+i%26))+string(rune('a'+i/26)), set("v", 1)); err != nil {
			t.Fatal(err)
		}
	}
	w.settleAll(true)
	compare := func(r *region, mend bool) *operationsv1.RegionVerification {
		found := &operationsv1.RegionVerification{}
		if err := w.menders[r.id].VerifyAll(t.Context(), "", mend, found); err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := compare(there, false); found.GetDifferenceCount() != 0 || found.GetEntities() != 200 || found.GetLanes() != 1 || found.GetBytes() > 100 {
		t.Errorf("equal regions: %v", found)
	}
	if _, _, err := update(here, "", "ns-aa", set("v", 2), set("w", 2)); err != nil {
		t.Fatal(err)
	}
	if found := compare(here, false); found.GetDifferenceCount() != 0 {
		t.Errorf("who has more lacks nothing: %v", found)
	}
	found := compare(there, true)
	if found.GetDifferenceCount() != 1 || found.GetRepaired() != 1 || found.GetDifferences()[0].GetId() != "ns-aa" || found.GetBytes() > 20_000 {
		t.Errorf("one difference: %d, %d repaired, %d bytes: %v", found.GetDifferenceCount(), found.GetRepaired(), found.GetBytes(), found.GetDifferences())
	}
	w.equal("ns-aa")
	w.lose = func(ident.RegionID) (bool, bool) { return true, false }
	if found := compare(there, false); found.GetDifferenceCount() != 1 || found.GetDifferences()[0].GetKind() != "not compared" {
		t.Errorf("a silent region: %v", found)
	}
}

// What is deleted where a stream was lost is deleted by its repair, also when nothing of the namespace is kept there.
func TestRepairDeletes(t *gotesting.T) {
	t.Parallel()
	w := newNet(t, 2, func(c *settings.RelayConfig) { c.MaxBacklog = 1 })
	here, there := w.regions[0], w.regions[1]
	if _, _, err := update(here, "", "old", set("v", 1)); err != nil {
		t.Fatal(err)
	}
	w.settleAll(true)
	w.lose = func(ident.RegionID) (bool, bool) { return true, false }
	for _, op := range []string{"old", "x", "y", "z"} {
		if _, _, err := update(here, "", op, drop("v")); err != nil {
			t.Fatal(err)
		}
	}
	w.ring(here)
	w.sendAll(here, there.id, 1)
	w.maintain(here)
	if err := w.relays[here.id].Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _, err := here.kept.Outbox(t.Context(), tenant, 0, 10); err != nil || len(left) > 0 {
		t.Fatalf("the outbox still waits: %v %v", left, err)
	}
	w.settleAll(true)
	if got := w.equal("old"); len(got) != 0 {
		t.Errorf("deleted and back: %v", got)
	}
}

// A purge leaves nothing, and nothing comes after it.
func TestPurge(t *gotesting.T) {
	t.Parallel()
	w := newNet(t, 2, nil)
	here, there := w.regions[0], w.regions[1]
	for _, r := range w.regions {
		if _, _, err := update(r, "key-"+string(r.id), "ui", increment("n", 1)); err != nil {
			t.Fatal(err)
		}
	}
	w.settleAll(true)
	state, err := there.kept.Tell(t.Context(), tenant, "ui")
	if err != nil {
		t.Fatal(err)
	}
	if err := here.kept.Purge(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	if _, _, err := update(here, "", "ui", increment("n", 1)); !fault.Is(err, errorsv1.Reason_REASON_TENANT_UNKNOWN) {
		t.Errorf("a write after the purge: %v", err)
	}
	if _, err := here.kept.ApplyRemote(t.Context(), tenant, there.id, 9, "ui", state); !fault.Is(err, errorsv1.Reason_REASON_TENANT_UNKNOWN) {
		t.Errorf("an event after the purge: %v", err)
	}
	w.ring(here)
	if _, err := w.relays[here.id].Step(t.Context(), there.id); err != nil {
		t.Errorf("the relay after the purge: %v", err)
	}
	if n := len(here.table.items); n > 0 {
		t.Errorf("%d items are left of a purged tenant", n)
	}
}

// What makes no sense is told from what may be tried again.
func TestTakeRefusesNonsense(t *gotesting.T) {
	t.Parallel()
	w := newNet(t, 2, nil)
	event := func(change func(*replicationv1.Event)) *replicationv1.Event {
		e := &replicationv1.Event{
			Stream: &replicationv1.Stream{Tenant: string(tenant), Feed: replicationv1.Feed_FEED_SETTINGS, Origin: "r1"}, Epoch: 1, Seq: 1,
			What: &replicationv1.Event_Settings{Settings: &replicationv1.Settings{Namespace: "ui"}},
		}
		change(e)
		return e
	}
	for name, e := range map[string]*replicationv1.Event{
		"another epoch":    event(func(e *replicationv1.Event) { e.Epoch = 2 }),
		"an odd name":      event(func(e *replicationv1.Event) { e.GetSettings().Namespace = "Ünter" }),
		"no state":         event(func(e *replicationv1.Event) { e.GetSettings().State = []byte{0xff} }),
		"its own position": event(func(e *replicationv1.Event) { e.Stream.Origin = "r0" }),
	} {
		if err := w.menders["r0"].Take(t.Context(), e); err == nil || strings.Contains(err.Error(), "nter") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
