package replication_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"math"
	mrand "math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/queue/storequeue"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/seal/local"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

const userName = "domicile.profile.v1.User"

// rig is regions with everything that synchronisation needs, on a disk, in one process: what the benchmarks measure.
type rig struct {
	tb      testing.TB
	top     *topology.Topology
	catalog *residency.Catalog
	net     *peer.InProcess
	nodes   []*node
	stop    context.CancelFunc
	loops   sync.WaitGroup

	mu      sync.RWMutex
	tenants map[ident.TenantID]routing.Tenant
}

// node is one region.
type node struct {
	rig     *rig
	id      ident.RegionID
	index   topology.Index
	db      *pebblestore.DB
	table   store.Store
	keys    *seal.Keyring
	relay   *replication.Relay
	applier *replication.Applier
	queues  map[string]*storequeue.Queue
	watched *watched
}

// watched is a replica table that tells when something of a lane can be read.
type watched struct {
	store.Store

	mu      sync.Mutex
	visible map[lane]ident.Seq
	tell    func(l lane, from, to ident.Seq, at time.Time)
	count   atomic.Int64
	want    int64
	reached chan struct{}
}

// lane is a lane of a tenant.
type lane struct {
	tenant ident.TenantID
	lane   ident.Lane
}

// Commit implements store.Store.
func (w *watched) Commit(ctx context.Context, c store.Commit) error {
	if err := w.Store.Commit(ctx, c); err != nil {
		return err
	}
	now := time.Now()
	for _, op := range c.Ops {
		if op.Kind != store.Put || !strings.HasPrefix(op.Item.Key.Sort, "w/p/") {
			continue
		}
		tenant, number, _ := keyspace.ParseLane(op.Item.Key.Partition)
		l := lane{tenant, number}
		w.mu.Lock()
		before := w.visible[l]
		w.visible[l] = max(before, op.Item.Version.Seq)
		if op.Item.Version.Seq > before {
			if w.tell != nil {
				w.tell(l, before+1, op.Item.Version.Seq, now)
			}
			if w.count.Add(int64(op.Item.Version.Seq-before)) == w.want {
				close(w.reached)
			}
		}
		w.mu.Unlock()
	}
	return nil
}

// expect makes reached close when so many positions have become visible.
func (w *watched) expect(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.want, w.reached = w.count.Load()+n, make(chan struct{})
	if n == 0 {
		close(w.reached)
	}
}

func must[T any](tb testing.TB) func(v T, err error) T {
	tb.Helper()
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// newRig makes regions.
func newRig(tb testing.TB, top *topology.Topology) *rig {
	tb.Helper()
	r := &rig{
		tb: tb, top: top, tenants: make(map[ident.TenantID]routing.Tenant), net: peer.NewInProcess(peer.NewFaults(peer.FaultsConfig{})),
		catalog: must[*residency.Catalog](tb)(residency.NewCatalog((&profilev1.User{}).ProtoReflect().Descriptor())),
	}
	dir := tb.TempDir()
	for _, i := range top.Regions() {
		r.nodes = append(r.nodes, r.open(dir, i))
	}
	tb.Cleanup(r.close)
	return r
}

func (r *rig) open(dir string, i topology.Index) *node {
	tb := r.tb
	n := &node{rig: r, id: r.top.ID(i), index: i, queues: make(map[string]*storequeue.Queue)}
	dir = filepath.Join(dir, string(n.id))
	n.db = must[*pebblestore.DB](tb)(pebblestore.Open(pebblestore.Config{Dir: filepath.Join(dir, "store")}))
	n.table = n.db.Table("regional")
	n.watched = &watched{Store: n.db.Table("replica"), visible: make(map[lane]ident.Seq), reached: make(chan struct{}), want: math.MaxInt64}
	n.keys = seal.NewKeyring(seal.KeyringConfig{
		Region: n.id, Jurisdiction: r.top.Jurisdiction(i), Keys: n.db.Table("keys"),
		Wrapper: must[*local.Wrapper](tb)(local.Open(dir, n.id)), Clock: time.Now,
	})
	inboxes := make(map[string]peer.Inbox)
	queues := n.db.Table("queues")
	for _, name := range []string{replication.QueueEvents, replication.QueueSealed} {
		dead := must[*storequeue.Queue](tb)(storequeue.Open(tb.Context(), storequeue.Config{Store: queues, Name: name + replication.DeadSuffix}))
		n.queues[name+replication.DeadSuffix] = dead
		n.queues[name] = must[*storequeue.Queue](tb)(storequeue.Open(tb.Context(), storequeue.Config{
			Store: queues, Name: name, DeadLetters: dead, MaxReceives: 5, Tag: r.tagOf(i), Sender: senderOf,
		}))
		inboxes[name] = peer.Inbox{Queue: n.queues[name], AnyRegion: name == replication.QueueEvents}
	}
	sender := peer.NewSender(r.net.From(n.id))
	var err error
	n.relay, err = replication.NewRelay(replication.RelayConfig{
		Region: n.id, Topology: r.top, Table: n.table, Maker: &replication.Maker{Table: n.table, Sealer: n.keys, Catalog: r.catalog},
		Sender: sender, Tenants: r, Clock: time.Now, Jitter: mrand.Float64, Rand: rand.Reader,
	})
	if err != nil {
		tb.Fatal(err)
	}
	n.applier, err = replication.NewApplier(replication.ApplierConfig{
		Region: n.id, Topology: r.top, Replica: n.watched, Regional: n.table, Directory: r, Classes: r.catalog.Classes(), Sender: sender,
		Clock: time.Now,
	})
	if err != nil {
		tb.Fatal(err)
	}
	r.net.Join(n.id, must[*peer.Server](tb)(peer.NewServer(peer.ServerConfig{Region: n.id, Topology: r.top, Queues: inboxes})))
	return n
}

// tagOf is how a region tags what is in its queues.
func (r *rig) tagOf(i topology.Index) func([]byte) store.Tag {
	return func(body []byte) store.Tag {
		var envelope replicationv1.Envelope
		if err := proto.Unmarshal(body, &envelope); err != nil {
			return store.Tag{Class: store.ClassGlobal}
		}
		return store.Tag{
			Class: store.ClassGlobal, Jurisdiction: r.top.Jurisdiction(i), Tenant: ident.TenantID(envelope.GetEvent().GetStream().GetTenant()),
		}
	}
}

func senderOf(body []byte) string {
	var envelope replicationv1.Envelope
	if err := proto.Unmarshal(body, &envelope); err != nil {
		return ""
	}
	return envelope.GetEvent().GetStream().GetOrigin() + envelope.GetHeartbeat().GetSource()
}

// run begins to relay and to apply.
func (r *rig) run() {
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	logger := slog.New(slog.DiscardHandler)
	for _, n := range r.nodes {
		r.loops.Go(func() { _ = n.relay.Run(ctx, logger) })
		for _, name := range []string{replication.QueueEvents, replication.QueueSealed} {
			r.loops.Go(func() { _ = n.applier.Run(ctx, n.queues[name], replication.RunConfig{Logger: logger}) })
		}
	}
}

func (r *rig) close() {
	if r.stop != nil {
		r.stop()
	}
	r.loops.Wait()
	for _, n := range r.nodes {
		for _, q := range n.queues {
			if err := q.Close(); err != nil {
				r.tb.Error(err)
			}
		}
		if err := n.db.Close(); err != nil {
			r.tb.Error(err)
		}
	}
}

// Tenant implements replication.Directory.
func (r *rig) Tenant(id ident.TenantID) (routing.Tenant, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t, ok := r.tenants[id]
	return t, ok
}

// AtHome implements replication.Tenants.
func (r *rig) AtHome(_ context.Context, region topology.Index, fn func(ident.TenantID) error) error {
	r.mu.RLock()
	var all []ident.TenantID
	for id, t := range r.tenants {
		if t.Home == region {
			all = append(all, id)
		}
	}
	r.mu.RUnlock()
	for _, id := range all {
		if err := fn(id); err != nil {
			return err
		}
	}
	return nil
}

// Classes implements replication.Directory.
func (r *rig) Classes(fingerprint []byte) (*residency.Classes, bool) {
	own := r.catalog.Classes()
	return own, string(own.Fingerprint()) == string(fingerprint)
}

// settle makes tenants at home in a region, whose projections go everywhere, and returns them.
func (n *node) settle(count int) []ident.TenantID {
	all := make([]ident.TenantID, 0, count)
	for i := range count {
		id := ident.TenantID(fmt.Sprintf("acme-%s-%d", n.id, i))
		n.rig.mu.Lock()
		n.rig.tenants[id] = routing.Tenant{
			Home: n.index, Standby: topology.NoRegion, Epoch: 1, State: uint8(tenancyv1.TenantState_TENANT_STATE_ACTIVE),
			Projections: uint8(tenancyv1.Projections_PROJECTIONS_EVERYWHERE),
		}
		n.rig.mu.Unlock()
		all = append(all, id)
	}
	return all
}

// writer writes to one lane of a tenant as the sequencer of a home does.
type writer struct {
	node  *node
	lane  lane
	epoch ident.Epoch
	seq   ident.Seq
	next  int
	// sealed stands for the part that is above GLOBAL, where nothing opens it.
	sealed []byte
}

func (n *node) writer(tenant ident.TenantID, number ident.Lane) *writer {
	sealed := make([]byte, 240)
	if n.rig.shares(n.index) {
		if err := n.keys.Provision(context.Background(), tenant, 1, []ident.RegionID{n.id}); err != nil {
			n.rig.tb.Fatal(err)
		}
		sealed = nil
	}
	return &writer{node: n, lane: lane{tenant, number}, epoch: 1, sealed: sealed}
}

// shares tells whether another region is of a region's jurisdiction.
func (r *rig) shares(i topology.Index) bool {
	for _, other := range r.top.Regions() {
		if other != i && r.top.SameJurisdiction(i, other) {
			return true
		}
	}
	return false
}

// maxBatch is how many writes a commit has at the most: four items each would be 25 with lookups.
const maxBatch = 25

// write commits so many writes in one transaction.
func (w *writer) write(ctx context.Context, count int) error {
	tag := store.Tag{Tenant: w.lane.tenant, Class: store.ClassPII, Jurisdiction: "EU"}
	meta := tag
	meta.Class = store.ClassGlobal
	now := timestamppb.Now()
	ops := make([]store.Op, 1, 1+2*count)
	for range count {
		w.seq++
		at := ident.Version{Epoch: w.epoch, Seq: w.seq}
		id := w.id()
		user := &profilev1.User{Id: id, GivenName: "Given", FamilyName: "Name", Email: id + "@example.test", Handle: "handle-" + id, Locale: "de-DE"}
		value, err := w.stored(ctx, user)
		if err != nil {
			return err
		}
		record, err := proto.Marshal(&storagev1.OutboxRecord{Entity: userName, Id: id, CommitTime: now})
		if err != nil {
			return err
		}
		ops = append(ops,
			store.Op{Kind: store.Put, Item: store.Item{Key: keyspace.Entity(w.lane.tenant, id), Version: at, Tag: tag, Value: value}},
			store.Op{Kind: store.Put, Item: store.Item{Key: keyspace.Outbox(w.lane.tenant, w.lane.lane, w.seq), Version: at, Tag: meta, Value: record}},
		)
	}
	ops[0] = store.Op{Kind: store.Put, Item: store.Item{
		Key: keyspace.Counter(w.lane.tenant, w.lane.lane), Version: ident.Version{Epoch: w.epoch, Seq: w.seq}, Tag: meta,
	}}
	return w.node.table.Commit(ctx, store.Commit{Ops: ops})
}

func (w *writer) stored(ctx context.Context, user *profilev1.User) ([]byte, error) {
	open, guarded := residency.Split(user)
	clearPart, err := proto.Marshal(open)
	if err != nil {
		return nil, err
	}
	sealed := w.sealed
	if sealed == nil {
		plain, err := proto.Marshal(guarded)
		if err != nil {
			return nil, err
		}
		sealed, err = w.node.keys.Seal(ctx, seal.Bind{Tenant: w.lane.tenant, Type: userName, ID: user.GetId()}, plain)
		if err != nil {
			return nil, err
		}
	}
	return proto.Marshal(&storagev1.Entity{Clear: clearPart, Sealed: sealed})
}

// id returns the next id of the lane.
func (w *writer) id() string {
	for {
		w.next++
		if id := fmt.Sprintf("usr_%026d", w.next); keyspace.LaneOf(id) == w.lane.lane {
			return id
		}
	}
}

// writers returns one for each of so many lanes of each tenant.
func (n *node) writers(tenants []ident.TenantID, lanes int) []*writer {
	all := make([]*writer, 0, len(tenants)*lanes)
	for _, t := range tenants {
		for l := range lanes {
			all = append(all, n.writer(t, ident.Lane(l)))
		}
	}
	return all
}

// fill commits count writes, spread over the writers.
func (r *rig) fill(writers []*writer, count int) {
	r.tb.Helper()
	var failed error
	var mu sync.Mutex
	var group sync.WaitGroup
	slots := make(chan struct{}, 64)
	for i, w := range writers {
		mine := count / len(writers)
		if i < count%len(writers) {
			mine++
		}
		if mine == 0 {
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			for mine > 0 {
				n := min(mine, maxBatch)
				mine -= n
				if err := w.write(context.Background(), n); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
			}
		})
	}
	group.Wait()
	if failed != nil {
		r.tb.Fatal(failed)
	}
}

// regionsOf makes a topology of n regions of a jurisdiction each.
func regionsOf(tb testing.TB, n int) *topology.Topology {
	tb.Helper()
	made := &topologyv1.Topology{}
	for i := range n {
		roles := []topologyv1.Role{topologyv1.Role_ROLE_HOME}
		if i == 0 {
			roles = append(roles, topologyv1.Role_ROLE_CONTROL)
		}
		made.Regions = append(made.Regions, &topologyv1.Region{
			Id: fmt.Sprintf("region-%d", i), Jurisdiction: fmt.Sprintf("J%d", i), Roles: roles, Port: int32(9001 + 20*i),
			Latitude: float64(i), Longitude: float64(i),
		})
	}
	return must[*topology.Topology](tb)(topologyfile.New(made))
}
