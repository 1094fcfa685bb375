package replication

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// The default topology's regions, in its order.
const (
	frankfurt topology.Index = iota
	dublin
	virginia
)

const (
	home    = ident.RegionID("eu-central-1")
	standby = ident.RegionID("eu-west-1")
	abroad  = ident.RegionID("us-east-1")

	active     = uint8(tenancyv1.TenantState_TENANT_STATE_ACTIVE)
	everywhere = uint8(tenancyv1.Projections_PROJECTIONS_EVERYWHERE)
	userEntity = "domicile.profile.v1.User"
	private    = "Private Name"
)

// sealer is a seal.Sealer whose sealed values show in a test what they are bound to.
type sealer struct{}

func (sealer) Seal(_ context.Context, b seal.Bind, plain []byte) ([]byte, error) {
	sealed := []byte("sealed " + string(b.Tenant) + b.Type + b.ID + "|")
	for _, c := range plain {
		sealed = append(sealed, c^0x5a)
	}
	return sealed, nil
}

func (s sealer) Open(ctx context.Context, b seal.Bind, sealed []byte) ([]byte, error) {
	head, _ := s.Seal(ctx, b, nil)
	rest, ok := bytes.CutPrefix(sealed, head)
	if !ok {
		return nil, seal.ErrCannotOpen
	}
	plain := make([]byte, 0, len(rest))
	for _, c := range rest {
		plain = append(plain, c^0x5a)
	}
	return plain, nil
}

func (sealer) Hash(context.Context, ident.TenantID, string, []byte) ([]byte, error) { return nil, nil }

// directory is what all regions of a test know.
type directory struct {
	mu      sync.Mutex
	tenants map[ident.TenantID]routing.Tenant
	tables  map[string]*residency.Classes
}

func (d *directory) Tenant(id ident.TenantID) (routing.Tenant, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.tenants[id]
	return t, ok
}

func (d *directory) set(id ident.TenantID, t routing.Tenant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tenants[id] = t
}

func (d *directory) AtHome(_ context.Context, region topology.Index, fn func(ident.TenantID) error) error {
	d.mu.Lock()
	var all []ident.TenantID
	for id, t := range d.tenants {
		if t.Home == region {
			all = append(all, id)
		}
	}
	d.mu.Unlock()
	for _, id := range all {
		if err := fn(id); err != nil {
			return err
		}
	}
	return nil
}

func (d *directory) Classes(fingerprint []byte) (*residency.Classes, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.tables[string(fingerprint)]
	return c, ok
}

// fifo is a queue as the port promises, as far as these tests ask: messages stay until deleted.
type fifo struct {
	messages []queue.Message
	dead     []queue.Message
	seen     map[string]bool
	sent     []queue.Message
}

// network takes what the relay sends to the regions' queues.
type network struct {
	mu     sync.Mutex
	queues map[ident.RegionID]map[string]*fifo
	// lose makes the next Send deliver and say that it failed; down refuses all.
	lose bool
	down map[ident.RegionID]bool
	n    int
}

var errDown = errors.New("the region does not answer")

func (n *network) queue(to ident.RegionID, name string) *fifo {
	if n.queues[to] == nil {
		n.queues[to] = make(map[string]*fifo)
	}
	if n.queues[to][name] == nil {
		n.queues[to][name] = &fifo{seen: make(map[string]bool)}
	}
	return n.queues[to][name]
}

func (n *network) Send(_ context.Context, to ident.RegionID, name string, messages []queue.Outgoing) ([]error, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down[to] {
		return nil, errDown
	}
	if len(messages) > queue.MaxBatch {
		return nil, queue.ErrInvalid
	}
	q := n.queue(to, name)
	for _, m := range messages {
		if q.seen[m.Deduplication] {
			continue
		}
		q.seen[m.Deduplication] = true
		n.n++
		made := queue.Message{ID: strconv.Itoa(n.n), Group: m.Group, Body: m.Body, Receipt: strconv.Itoa(n.n), Sent: time.Unix(int64(n.n), 0)}
		q.messages = append(q.messages, made)
		q.sent = append(q.sent, made)
	}
	if n.lose {
		n.lose = false
		return nil, errDown
	}
	return make([]error, len(messages)), nil
}

// oldest is when the oldest message was sent that is in a region's queues.
func (n *network) oldest(region ident.RegionID) (at time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, q := range n.queues[region] {
		for _, m := range q.messages {
			if at.IsZero() || m.Sent.Before(at) {
				at = m.Sent
			}
		}
	}
	return at
}

// take returns up to max messages of one group, in order, without removing them.
func (q *fifo) take(group string, limit int) []queue.Message {
	var found []queue.Message
	for _, m := range q.messages {
		if m.Group == group && len(found) < limit {
			found = append(found, m)
		}
	}
	return found
}

func (q *fifo) groups() []string {
	var all []string
	for _, m := range q.messages {
		if !slices.Contains(all, m.Group) {
			all = append(all, m.Group)
		}
	}
	return all
}

func (q *fifo) remove(id string) {
	q.messages = slices.DeleteFunc(q.messages, func(m queue.Message) bool { return m.ID == id })
}

// region is a destination.
type region struct {
	id                ident.RegionID
	replica, regional store.Store
	applier           *Applier
}

// world is a home and two destinations, a standby and one abroad.
type world struct {
	tb      failer
	dir     *directory
	net     *network
	table   store.Store
	catalog *residency.Catalog
	maker   *Maker
	relay   *Relay
	regions []*region
	now     time.Time
	off     safeguards
}

type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// begun is when worlds begin, as their tables know it.
func begun() time.Time { return time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC) }

// tables are opened once a test: a store is slow to open, and tenants do not meet.
func openTables(tb testing.TB) func(name string) store.Store {
	tb.Helper()
	db, err := pebblestore.OpenMemory(pebblestore.Config{SweepInterval: -1, Clock: begun})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db.Table
}

func newCatalog(tb failer) *residency.Catalog {
	tb.Helper()
	c, err := residency.NewCatalog((&profilev1.User{}).ProtoReflect().Descriptor())
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func newWorld(tb failer, tables func(string) store.Store, off safeguards) *world {
	tb.Helper()
	w := &world{
		tb: tb, table: tables("home"), catalog: newCatalog(tb), now: begun(), off: off,
		dir: &directory{tenants: make(map[ident.TenantID]routing.Tenant), tables: make(map[string]*residency.Classes)},
		net: &network{queues: make(map[ident.RegionID]map[string]*fifo), down: make(map[ident.RegionID]bool)},
	}
	w.dir.tables[string(w.catalog.Classes().Fingerprint())] = w.catalog.Classes()
	w.maker = &Maker{Table: w.table, Sealer: sealer{}, Catalog: w.catalog}
	w.startRelay(RelayTuning{})
	for _, id := range []ident.RegionID{standby, abroad} {
		r := &region{id: id, replica: tables(string(id) + "-replica"), regional: tables(string(id) + "-regional")}
		w.startApplier(r)
		w.regions = append(w.regions, r)
	}
	return w
}

func (w *world) startApplier(r *region) {
	a, err := NewApplier(ApplierConfig{
		Region: r.id, Topology: topologyfile.Default(), Replica: r.replica, Regional: r.regional, Directory: w.dir,
		Classes: w.catalog.Classes(), Sender: w.net, Clock: func() time.Time { return w.now },
		Background: func(f func()) { f() },
		Oldest:     func(context.Context) (time.Time, error) { return w.net.oldest(r.id), nil },
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	a.off = w.off
	r.applier = a
}

// startRelay begins a relay that knows nothing of what an earlier one remembered.
func (w *world) startRelay(tuning RelayTuning) {
	r, err := NewRelay(RelayConfig{
		Region: home, Topology: topologyfile.Default(), Table: w.table, Maker: w.maker, Sender: w.net, Tenants: w.dir,
		Clock: func() time.Time { return w.now }, Jitter: func() float64 { return 1 }, Rand: rand.Reader, Tuning: tuning,
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	w.relay = r
}

// tenant makes a tenant with a standby, whose projections go to the two destinations alone.
func (w *world) tenant(id ident.TenantID) {
	w.dir.set(id, routing.Tenant{Home: frankfurt, Standby: dublin, Projections: everywhere, State: active, Epoch: 1})
}

// write commits an entity's next state, or its deletion, as the sequencer of the home does, and rings the relay.
func (w *world) write(tenant ident.TenantID, id string, user *profilev1.User, keyHash []byte) ident.Version {
	w.tb.Helper()
	ctx := context.Background()
	lane := keyspace.LaneOf(id)
	counter, err := w.relay.counter(ctx, tenant, lane)
	if err != nil {
		w.tb.Fatal(err)
	}
	record, _ := w.dir.Tenant(tenant)
	v := ident.Version{Epoch: record.Epoch, Seq: counter.Seq + 1}
	tag := store.Tag{Tenant: tenant, Class: store.ClassPII, Jurisdiction: "EU"}
	op := store.Op{Kind: store.Delete, Item: store.Item{Key: keyspace.Entity(tenant, id)}}
	if user != nil {
		open, guarded := residency.Split(user)
		stored := &storagev1.Entity{Clear: marshal(open), Lookups: []*storagev1.Lookup{{Field: 4, Hash: []byte(user.GetEmail())}}}
		stored.Sealed, _ = sealer{}.Seal(ctx, seal.Bind{Tenant: tenant, Type: userEntity, ID: id}, marshal(guarded))
		op = store.Op{Kind: store.Put, Item: store.Item{Key: keyspace.Entity(tenant, id), Version: v, Tag: tag, Value: marshal(stored)}}
	}
	tag.Class = store.ClassGlobal
	ops := []store.Op{
		op,
		{Kind: store.Put, Item: store.Item{Key: keyspace.Counter(tenant, lane), Version: v, Tag: tag}},
		{Kind: store.Put, Item: store.Item{Key: keyspace.Outbox(tenant, lane, v.Seq), Version: v, Tag: tag, Value: marshal(&storagev1.OutboxRecord{
			Entity: userEntity, Id: id, Deleted: user == nil, IdempotencyHash: keyHash, CommitTime: timestamppb.New(w.now),
		})}},
	}
	if keyHash != nil {
		ops = append(ops, store.Op{Kind: store.Put, Item: idempotency.Copy(
			tenant, [32]byte(keyHash), v, "EU", time.Now().Add(time.Hour), marshal(&storagev1.IdempotencyRecord{Seq: uint64(v.Seq)}))})
	}
	if err := w.table.Commit(ctx, store.Commit{Ops: ops}); err != nil {
		w.tb.Fatal(err)
	}
	w.relay.Ring([]store.Change{{Key: keyspace.Outbox(tenant, lane, v.Seq)}})
	return v
}

func marshal(m proto.Message) []byte {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return raw
}

func newUser(id string, n int) *profilev1.User {
	return &profilev1.User{
		Id: id, GivenName: private, Email: fmt.Sprintf("%d@example.test", n), RegulatedNote: fmt.Sprint("note ", n), Handle: fmt.Sprint("handle ", n),
	}
}

// relayAll steps the relay until nothing is dirty or may be tried.
func (w *world) relayAll() {
	w.tb.Helper()
	ctx := context.Background()
	for range 5 {
		if _, err := w.relay.Scan(ctx); err != nil {
			w.tb.Fatal(err)
		}
		for _, r := range w.regions {
			for {
				some, _ := w.relay.Step(ctx, r.id)
				if !some {
					break
				}
			}
		}
	}
}

// deliver applies a batch of a group and deletes what is done, unless it is lost on the way.
func (w *world) deliver(r *region, q *fifo, group string, limit int, forgetful bool) {
	batch := q.take(group, limit)
	for i, v := range r.applier.Apply(context.Background(), batch) {
		if v.Outcome == Done && !forgetful {
			q.remove(batch[i].ID)
		}
		if v.Outcome == Again {
			w.tb.Fatalf("applying: %v", v.Err)
		}
	}
}

// deliverAll delivers everything.
func (w *world) deliverAll() {
	for _, r := range w.regions {
		for _, name := range []string{QueueEvents, QueueSealed} {
			q := w.net.queue(r.id, name)
			for _, g := range q.groups() {
				for len(q.take(g, 1)) > 0 {
					w.deliver(r, q, g, 10, false)
				}
			}
		}
	}
}

// items returns what a table holds of a tenant's entities.
func items(tb failer, table store.Store, tenant ident.TenantID) map[string]store.Item {
	tb.Helper()
	found := make(map[string]store.Item)
	for lane := range ident.Lane(ident.Lanes) {
		from, to := keyspace.Entities("", "")
		page, err := table.Query(context.Background(), store.Query{Partition: keyspace.Lane(tenant, lane), From: from, To: to})
		if err != nil {
			tb.Fatal(err)
		}
		for _, item := range page.Items {
			found[item.Key.Sort[len(keyspace.EntityPrefix):]] = item
		}
	}
	return found
}

// feedsOf returns the feeds that a region gets of a tenant of these tests, and its table of each.
func (r *region) feedsOf() map[replicationv1.Feed]store.Store {
	all := map[replicationv1.Feed]store.Store{replicationv1.Feed_FEED_PROJECTIONS: r.replica}
	if r.id == standby {
		all[replicationv1.Feed_FEED_STANDBY] = r.regional
	}
	return all
}

// want returns the value that a destination's item is to have for a state of the home.
func (w *world) want(tenant ident.TenantID, r *region, feed replicationv1.Feed, id string, user *profilev1.User, lookups []*storagev1.Lookup) proto.Message {
	grant := Grant{Scope: policyv1.Scope_SCOPE_GLOBAL}
	if r.id == standby {
		grant = Grant{Scope: policyv1.Scope_SCOPE_JURISDICTION, Standby: true}
	}
	open, guarded := residency.Split(user)
	if feed == replicationv1.Feed_FEED_STANDBY {
		sealed, _ := sealer{}.Seal(context.Background(), seal.Bind{Tenant: tenant, Type: userEntity, ID: id}, marshal(guarded))
		return &storagev1.Entity{Clear: marshal(open), Sealed: sealed, Lookups: lookups}
	}
	made, _, err := w.catalog.Project(userEntity, grant.Scope, user)
	if err != nil {
		w.tb.Fatal(err)
	}
	want := &storagev1.Replica{Entity: userEntity, Scope: made.Scope, Clear: made.Clear, Table: w.catalog.Classes().Fingerprint()}
	if made.Scope == policyv1.Scope_SCOPE_JURISDICTION {
		want.Sealed, _ = sealer{}.Seal(context.Background(), seal.Bind{Tenant: tenant, Type: keyspace.SealType(userEntity), ID: id}, made.Regional)
	}
	return want
}

// record is the directory's record of the tenant of a simulation.
func (s *simulation) record() routing.Tenant {
	t, _ := s.dir.Tenant(s.h.tenant)
	return t
}
