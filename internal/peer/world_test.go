package peer_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	"github.com/domicile-api/domicile/gen/domicile/peer/v1/peerv1connect"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

const (
	frankfurt = ident.RegionID("eu-central-1")
	dublin    = ident.RegionID("eu-west-1")
	virginia  = ident.RegionID("us-east-1")
	singapore = ident.RegionID("ap-southeast-1")
)

// box is a queue that keeps what it gets; a body "refuse" is refused with full.
type box struct {
	queue.Queue

	mu       sync.Mutex
	messages []queue.Outgoing
}

func (b *box) Send(_ context.Context, messages []queue.Outgoing) ([]error, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	failed := make([]error, len(messages))
	for i, m := range messages {
		switch string(m.Body) {
		case "refuse":
			failed[i] = fmt.Errorf("sending: %w", queue.ErrFull)
		case "break":
			return nil, queue.ErrClosed
		default:
			b.messages = append(b.messages, m)
		}
	}
	return failed, nil
}

func (b *box) bodies() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]string, 0, len(b.messages))
	for _, m := range b.messages {
		out = append(out, string(m.Body))
	}
	return out
}

// region is what a region does for others, and remembers of it.
type region struct {
	events, sealed box

	mu       sync.Mutex
	items    []peer.Replicated
	keys     []seal.Delivery
	callers  []ident.RegionID
	fail     error
	during   func(ctx context.Context)
	response *peerv1.FetchResponse
}

func (r *region) called(ctx context.Context, caller ident.RegionID) error {
	r.mu.Lock()
	during := r.during
	r.callers = append(r.callers, caller)
	r.mu.Unlock()
	if proven, ok := peer.Caller(ctx); !ok || proven != caller {
		return fmt.Errorf("the proven caller is %s", proven)
	}
	if during != nil {
		during(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fail
}

func (r *region) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *region) replicate(_ context.Context, item peer.Replicated) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items = append(r.items, item)
	return r.fail
}

func (r *region) Accept(_ context.Context, d seal.Delivery) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = append(r.keys, d)
	return r.fail
}

func (r *region) Digest(ctx context.Context, caller ident.RegionID, in *peerv1.DigestRequest) (*peerv1.DigestResponse, error) {
	return &peerv1.DigestResponse{Epoch: 3, Seq: uint64(in.GetStream().GetLane())}, r.called(ctx, caller)
}

func (r *region) Fetch(ctx context.Context, caller ident.RegionID, in *peerv1.FetchRequest) (*peerv1.FetchResponse, error) {
	if err := r.called(ctx, caller); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.response != nil {
		return r.response, nil
	}
	return &peerv1.FetchResponse{Answered: uint32(len(in.GetIds()))}, nil
}

func (r *region) Operate(ctx context.Context, caller ident.RegionID, in *peerv1.OperateRequest) (*peerv1.OperateResponse, error) {
	if in.GetGetSyncStatus() == nil {
		return nil, errors.New("another request")
	}
	return &peerv1.OperateResponse{Response: &peerv1.OperateResponse_GetSyncStatus{}}, r.called(ctx, caller)
}

// world is all regions of the default topology over one adapter.
type world struct {
	t        *testing.T
	topology *topology.Topology
	regions  map[ident.RegionID]*region
	handlers map[ident.RegionID]peerv1connect.PeerServiceHandler
	network  func(from ident.RegionID) peer.Network
	// crash makes a region unreachable.
	crash  func(ident.RegionID)
	faults *peer.Faults
}

func newWorld(t testing.TB, top *topology.Topology) *world {
	t.Helper()
	w := &world{
		topology: top, regions: make(map[ident.RegionID]*region), handlers: make(map[ident.RegionID]peerv1connect.PeerServiceHandler),
		faults: peer.NewFaults(peer.FaultsConfig{}),
	}
	for _, i := range top.Regions() {
		r := &region{}
		server, err := peer.NewServer(peer.ServerConfig{
			Region: top.ID(i), Topology: top, Replica: r.replicate,
			Queues: map[string]peer.Inbox{"events": {Queue: &r.events, AnyRegion: true}, "sealed": {Queue: &r.sealed}},
			Keys:   r, Source: r, Operator: r,
		})
		if err != nil {
			t.Fatal(err)
		}
		w.regions[top.ID(i)], w.handlers[top.ID(i)] = r, server
	}
	return w
}

func inProcess(t testing.TB) *world {
	t.Helper()
	w := newWorld(t, topologyfile.Default())
	return w.inProcess(peer.FaultsConfig{})
}

func (w *world) inProcess(cfg peer.FaultsConfig) *world {
	w.faults = peer.NewFaults(cfg)
	net := peer.NewInProcess(w.faults)
	for id, handler := range w.handlers {
		net.Join(id, handler)
	}
	w.network, w.crash = net.From, net.Leave
	return w
}

// overHTTP has a server for each region.
func overHTTP(t testing.TB) *world {
	t.Helper()
	message := topologyfile.Default().Proto()
	data := t.TempDir()
	servers := make(map[ident.RegionID]*httptest.Server)
	for _, r := range message.GetRegions() {
		server := httptest.NewUnstartedServer(nil)
		servers[ident.RegionID(r.GetId())] = server
		r.Endpoint = "http://" + server.Listener.Addr().String()
		t.Cleanup(server.Close)
	}
	top, err := topologyfile.New(message)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, top)
	keys := peer.NewTrusted(top, data, time.Now)
	networks := make(map[ident.RegionID]peer.Network)
	for id, server := range servers {
		key, err := peer.LoadKey(data+"/"+string(id), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		path, handler, err := peer.NewHandler(peer.HandlerConfig{
			Region: id, Keys: keys, Service: w.handlers[id], Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.Handle(path, handler)
		server.Config.Handler = mux
		server.Start()
		network, err := peer.NewConnect(peer.ConnectConfig{Region: id, Topology: top, Key: key, Clock: time.Now, Random: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = network.Close() })
		networks[id] = network
	}
	w.network = func(from ident.RegionID) peer.Network { return networks[from] }
	w.crash = func(id ident.RegionID) {
		servers[id].CloseClientConnections()
		servers[id].Close()
	}
	return w
}

// onEach runs a test over both adapters.
func onEach(t *testing.T, test func(w *world)) {
	t.Helper()
	for name, build := range map[string]func(testing.TB) *world{"in process": inProcess, "over HTTP": overHTTP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := build(t)
			w.t = t
			test(w)
		})
	}
}

func message(body string) queue.Outgoing {
	return queue.Outgoing{Group: "g", Deduplication: "d-" + body[:min(len(body), 20)], Body: []byte(body)}
}

func send(ctx context.Context, w *world, from, to ident.RegionID, name string, bodies ...string) ([]error, error) {
	messages := make([]queue.Outgoing, 0, len(bodies))
	for _, body := range bodies {
		messages = append(messages, message(body))
	}
	return peer.NewSender(w.network(from)).Send(ctx, to, name, messages)
}

func repeat(text string, n int) string { return string(bytes.Repeat([]byte(text), n)) }

func sorted(in []string) []string { return slices.Sorted(slices.Values(in)) }
