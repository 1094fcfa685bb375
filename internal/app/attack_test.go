package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
	"github.com/domicile-api/domicile/services"
)

// startPlatform runs all regions of the default topology in this process, with the demonstration tenants.
func startPlatform(t *testing.T) *Platform {
	t.Helper()
	topo, dir := topologyfile.Default(), t.TempDir()
	p, err := Start(t.Context(), Config{
		Backend: NewBackend(dir), DataDir: dir, Host: "127.0.0.1", Topology: topo, Services: services.All(), Demo: true, Faults: true,
		Logger: slog.New(slog.DiscardHandler), Clock: time.Now, Random: rand.Reader,
		Env: func(string) (string, bool) { return "", false },
		Listen: func(ctx context.Context, _ string, _ int) (net.Listener, error) {
			var lc net.ListenConfig
			return lc.Listen(ctx, "tcp", "127.0.0.1:0")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	if err := p.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func regionOf(t *testing.T, p *Platform, id ident.RegionID) *region {
	t.Helper()
	for _, r := range p.regions() {
		if r.id == id {
			return r
		}
	}
	t.Fatalf("region %s does not run", id)
	return nil
}

// TestNoRegionSpeaksForAnother sends, as one region, what says that it is another's.
func TestNoRegionSpeaksForAnother(t *testing.T) {
	t.Parallel()
	p := startPlatform(t)
	attacker := regionOf(t, p, "sa-east-1")
	stream := &replicationv1.Stream{Tenant: "acme-eu", Feed: replicationv1.Feed_FEED_PROJECTIONS, Origin: "eu-central-1"}
	for name, forged := range map[string]*replicationv1.Envelope{
		"event": {Content: &replicationv1.Envelope_Event{Event: &replicationv1.Event{
			Stream: stream, Epoch: 1, Seq: 1 << 62, What: &replicationv1.Event_Open{Open: &replicationv1.Open{}},
		}}},
		"heartbeat": {Content: &replicationv1.Envelope_Heartbeat{Heartbeat: &replicationv1.Heartbeat{
			Source: "eu-central-1", SentUntil: timestamppb.New(time.Now().Add(24 * time.Hour)),
		}}},
		"violation": {Content: &replicationv1.Envelope_Violation{Violation: &replicationv1.Violation{
			Stream: stream, Epoch: 1, Seq: 1, Destination: "eu-central-1",
		}}},
	} {
		body, err := proto.Marshal(forged)
		if err != nil {
			t.Fatal(err)
		}
		_, err = peer.NewSender(attacker.peers).Send(t.Context(), "us-east-1", replication.QueueEvents, []queue.Outgoing{
			{Group: "group", Deduplication: name, Body: body},
		})
		if !fault.Is(err, errorsv1.Reason_REASON_PERMISSION_DENIED) {
			t.Errorf("a forged %s: %v", name, errors.Join(err))
		}
	}
}

// TestPurgeFindsDeadLettersBehindOthers fills a region's dead letters with another tenant's, behind which lie those of one that is purged.
func TestPurgeFindsDeadLettersBehindOthers(t *testing.T) {
	t.Parallel()
	p := startPlatform(t)
	r := regionOf(t, p, "sa-east-1")
	letter := func(tenant, group string, n int) queue.Outgoing {
		body, err := proto.Marshal(&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: &replicationv1.Event{
			Stream: &replicationv1.Stream{Tenant: tenant, Feed: replicationv1.Feed_FEED_PROJECTIONS, Origin: "us-east-1"}, Seq: uint64(n),
		}}})
		if err != nil {
			t.Fatal(err)
		}
		return queue.Outgoing{Group: group, Deduplication: fmt.Sprint(tenant, n), Body: body}
	}
	dead := r.sync.queues[0].Dead
	for n := range mostListed / queue.MaxBatch {
		batch := make([]queue.Outgoing, 0, queue.MaxBatch)
		for i := range queue.MaxBatch {
			batch = append(batch, letter("acme-us", fmt.Sprint("g", n), n*queue.MaxBatch+i))
		}
		if _, err := dead.Send(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 25 {
		if _, err := dead.Send(t.Context(), []queue.Outgoing{letter("gone", "gone", n)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.sync.purge(t.Context(), "gone"); err != nil {
		t.Errorf("the tenant's letters stay: %v", err)
	}
	if depth, err := dead.Depth(t.Context()); err != nil || depth.Waiting != mostListed {
		t.Errorf("%+v, %v; the others' letters are to stay", depth, err)
	}
}

// TestKeyComesBack takes the key and the copies of a tenant from its standby, as a record that ended the grant does when the standby hears of
// it after the home has already delivered the key under the record that granted it again.
func TestKeyComesBack(t *testing.T) {
	t.Parallel()
	p := startPlatform(t)
	home, standby := regionOf(t, p, "eu-central-1"), regionOf(t, p, "eu-west-1")
	const tenant = ident.TenantID("acme-eu")
	held := func(what string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; {
			if ok, err := standby.keys.InUse(t.Context(), tenant); err != nil || ok {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the standby has no key %s", what)
			}
			<-time.After(20 * time.Millisecond)
		}
	}
	if err := home.ensureKey(p.cfg.Topology)(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	held("at first")
	err := errors.Join(
		deleteRows(t.Context(), standby.replica, tenant), deleteRows(t.Context(), standby.regional, tenant), standby.keys.Release(t.Context(), tenant),
	)
	if err != nil {
		t.Fatal(err)
	}
	standby.sync.settler.add(tenant)
	held("after the grant came back")
}

// TestNothingStartsAfterTheEnd restarts a region, as an operator's call that is still under way may, after it was stopped for good.
func TestNothingStartsAfterTheEnd(t *testing.T) {
	t.Parallel()
	p := startPlatform(t)
	n := p.nodes[0]
	if err := n.crash(); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.restart(t.Context()); err != nil {
		t.Logf("restarting: %v", err)
	}
	if r := n.region(); r != nil {
		t.Error("a region was started that nobody stops")
		_ = n.stop()
	}
}

// TestNoRegionHoldsUpAnother puts a message that nobody can apply into the message group of another region's stream.
func TestNoRegionHoldsUpAnother(t *testing.T) {
	t.Parallel()
	p := startPlatform(t)
	attacker, home, victim := regionOf(t, p, "sa-east-1"), regionOf(t, p, "eu-central-1"), regionOf(t, p, "ap-southeast-1")
	stream := &replicationv1.Stream{Tenant: "acme-eu", Feed: replicationv1.Feed_FEED_PROJECTIONS, Origin: "eu-central-1"}
	group := replication.GroupOf(stream)
	send := func(from *region, name string, body []byte) {
		t.Helper()
		_, err := peer.NewSender(from.peers).Send(t.Context(), victim.id, replication.QueueEvents, []queue.Outgoing{
			{Group: group, Deduplication: name, Body: body},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	send(attacker, "poison", []byte("\xff\xff\xff"))
	body, err := proto.Marshal(&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: &replicationv1.Event{
		Stream: stream, Epoch: 1, What: &replicationv1.Event_Open{Open: &replicationv1.Open{}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	send(home, "open", body)
	for deadline := time.Now().Add(5 * time.Second); victim.sync.waitingBySource()[home.id] > 0; {
		if time.Now().After(deadline) {
			t.Fatal("the home's event waits behind another region's poison")
		}
		<-time.After(20 * time.Millisecond)
	}
	lane, err := replication.ReadLane(t.Context(), victim.replica, "acme-eu", stream.GetFeed(), home.id, 0)
	if err != nil || !lane.Complete {
		t.Errorf("%+v, %v", lane, err)
	}
}
