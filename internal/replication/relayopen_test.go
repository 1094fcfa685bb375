package replication

import (
	"context"
	"testing"

	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
)

// batches is a Sender that keeps what it is given, call by call, and fails as long as it is told to.
type batches struct {
	sent [][]queue.Outgoing
	down bool
}

func (b *batches) Send(_ context.Context, _ ident.RegionID, _ string, messages []queue.Outgoing) ([]error, error) {
	if b.down {
		return nil, errDown
	}
	b.sent = append(b.sent, messages)
	return make([]error, len(messages)), nil
}

// The lanes of a tenant begin in one batch, also when the first attempt fails, and a lane that is tried meanwhile is left to who begins
// them and then looked at again.
func TestLanesBeginTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openTables(t), safeguards{})
	w.tenant(acme)
	to := &batches{down: true}
	w.relay.cfg.Sender = to
	w.fill(1)
	if _, err := w.relay.Step(t.Context(), abroad); err == nil {
		t.Fatal("it was sent nowhere")
	}
	to.down = false
	d, _ := w.relay.destinationOf(abroad)
	first := pair{tenant: acme, lane: soleLane(), feed: projections}
	if !d.begin(first) {
		t.Fatal("who failed still begins")
	}
	w.now = w.now.Add(maxPause)
	if _, err := w.relay.Step(t.Context(), abroad); err != nil || len(to.sent) > 0 {
		t.Fatalf("%d batches of two who begin, %v", len(to.sent), err)
	}
	d.begun(first, w.now)
	for some := true; some; {
		var err error
		if some, err = w.relay.Step(t.Context(), abroad); err != nil {
			t.Fatal(err)
		}
	}
	if len(to.sent) != 2 || len(to.sent[0]) != ident.Lanes || len(to.sent[1]) != 1 {
		t.Fatalf("%d batches", len(to.sent))
	}
	lanes := make(map[uint32]bool)
	for _, m := range to.sent[0] {
		var e replicationv1.Envelope
		if err := proto.Unmarshal(m.Body, &e); err != nil || e.GetEvent().GetOpen() == nil {
			t.Fatalf("%v, %v", &e, err)
		}
		lanes[e.GetEvent().GetStream().GetLane()] = m.Group == GroupOf(e.GetEvent().GetStream())
	}
	if len(lanes) != ident.Lanes || !lanes[0] {
		t.Errorf("lanes %v begin", lanes)
	}
}
