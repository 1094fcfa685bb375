package scenarios

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/domicile-api/domicile/entity"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/audit"
	"github.com/domicile-api/domicile/internal/consistency"
	"github.com/domicile-api/domicile/internal/crdt"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue/storequeue"
	"github.com/domicile-api/domicile/internal/repair"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/settings"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
)

const (
	// maxBacklog is small, so that a region which is away for a while is lost to the relay.
	maxBacklog = 6
	// retention is how long queues keep messages, and maxReceives how often one is received before it is a dead letter.
	retention   = 4 * 24 * time.Hour
	maxReceives = 5
	visibility  = 30 * time.Second
)

// region is a region: tables that outlive its processes, and a process.
type region struct {
	w     *world
	id    ident.RegionID
	index topology.Index
	// skew is how far its clock is ahead.
	skew time.Duration
	// tables survive a crash.
	tables map[string]*memory
	// known is what it knows of the directory, and release what it runs.
	known   *book
	release *release
	// broken says that it sends what is forbidden.
	broken bool
	// letters are messages that came.
	letters []letter
	// cursors are up to where its settings were sent to the others.
	cursors map[cursorKey]ident.Seq

	// The process, which a crash ends.
	up         bool
	fuse       *fuse
	engine     *entity.Engine
	users      *entity.Repository[*profilev1.User]
	records    *idempotency.Records
	relay      *replication.Relay
	applier    *replication.Applier
	source     *repair.Source
	reconciler *repair.Reconciler
	mender     *repair.Loop
	queues     map[string]queues
	tokens     *consistency.Tokens
	gate       *consistency.Gate
	kept       *settings.Settings
	// bell is what the change feed has to tell, scrub the tenants whose copies are to be looked at, and doubtful says how many of the next commits
	// give no answer.
	bell     []store.Change
	scrub    []ident.TenantID
	doubtful int
}

type queues struct{ main, dead *storequeue.Queue }

// fuse ends a process at one of its effects, which takes place or does not.
type fuse struct {
	w     *world
	left  int
	blown bool
}

// errCrashed is what everything answers after a crash.
var errCrashed = fmt.Errorf("%w: the region has crashed", store.ErrClosed)

// effect lets an effect take place, unless the process has crashed.
func (f *fuse) effect(do func()) error {
	if f.blown {
		return errCrashed
	}
	if f.left--; f.left != 0 {
		do()
		return nil
	}
	f.blown = true
	if f.w.draw(2) == 0 {
		do()
	}
	return errCrashed
}

// guarded is a table as a process has it.
type guarded struct {
	*memory

	r    *region
	fuse *fuse
	name string
}

// Get implements store.Store.
func (g *guarded) Get(ctx context.Context, key store.Key) (store.Item, error) {
	if g.fuse.blown {
		return store.Item{}, errCrashed
	}
	return g.memory.Get(ctx, key)
}

// Query implements store.Store.
func (g *guarded) Query(ctx context.Context, q store.Query) (store.Page, error) {
	if g.fuse.blown {
		return store.Page{}, errCrashed
	}
	return g.memory.Query(ctx, q)
}

// Commit implements store.Store.
func (g *guarded) Commit(ctx context.Context, c store.Commit) (err error) {
	lost := false
	crashed := g.fuse.effect(func() {
		if g.r.doubtful > 0 && g.name != queuesTable {
			g.r.doubtful--
			lost = true
			if g.r.w.draw(2) == 0 {
				return
			}
		}
		var took bool
		if took, err = g.commit(ctx, c); took {
			g.r.committed(g.name, c)
		}
	})
	switch {
	case crashed != nil:
		return crashed
	case lost:
		return errNetwork
	default:
		return err
	}
}

// committed takes note of what took effect.
func (r *region) committed(table string, c store.Commit) {
	if table != regionalTable {
		return
	}
	for _, op := range c.Ops {
		if op.Kind != store.Check {
			r.bell = append(r.bell, store.Change{Key: op.Item.Key, Deleted: op.Kind == store.Delete})
		}
	}
	r.w.truth.committed(r, c)
}

// The tables.
const (
	regionalTable = "regional"
	replicaTable  = "replica"
	queuesTable   = "queues"
	settingsTable = "settings"
)

func newRegion(w *world, index topology.Index) *region {
	r := &region{
		w: w, index: index, id: theTopology().ID(index), tables: make(map[string]*memory), known: newBook(), release: releases()[0],
		cursors: make(map[cursorKey]ident.Seq),
	}
	for _, name := range []string{regionalTable, replicaTable, queuesTable, settingsTable} {
		r.tables[name] = newMemory(r.clock)
	}
	return r
}

func (r *region) clock() time.Time { return r.w.now.Add(r.skew) }

// start begins a process on the region's tables.
func (r *region) start() {
	w := r.w
	r.up, r.fuse, r.doubtful = true, &fuse{w: w}, 0
	r.queues = make(map[string]queues)
	table := func(name string) *guarded { return &guarded{memory: r.tables[name], r: r, fuse: r.fuse, name: name} }
	regional, replica := table(regionalTable), table(replicaTable)
	jurisdiction := theTopology().Jurisdiction(r.index)
	random := rand.NewChaCha8([32]byte(w.bytes(32)))
	keys := sealer{r}
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var err error
	r.engine, err = entity.NewEngine(entity.Config{
		Store: regional, Replica: &entity.Replica{Table: replica, Lanes: lanes{r}}, Sealer: keys, Pages: consistency.NewCodes(tokenKey{}),
		Region: r.id, Jurisdiction: jurisdiction, Clock: r.clock, Rand: random,
		Tuning: entity.Tuning{CommitAttempts: 2, RetryPause: time.Nanosecond},
	})
	check(err)
	r.users, err = entity.New[*profilev1.User](r.engine)
	check(err)
	r.records = idempotency.New(idempotency.Config{Store: regional, Sealer: keys, Jurisdiction: jurisdiction, Clock: r.clock})
	maker := &replication.Maker{Table: regional, Sealer: keys, Catalog: r.release.catalog}
	r.relay, err = replication.NewRelay(replication.RelayConfig{
		Region: r.id, Topology: theTopology(), Table: regional, Maker: maker, Sender: sender{region: r, relay: true}, Tenants: r.known, Clock: r.clock,
		Jitter: func() float64 { return 0.5 }, Rand: random, Tuning: replication.RelayTuning{Page: 5, MaxBacklog: maxBacklog},
	})
	check(err)
	r.relay.Ring(nil) // As the change feed begins.
	r.applier, err = replication.NewApplier(replication.ApplierConfig{
		Region: r.id, Topology: theTopology(), Replica: replica, Regional: regional, Directory: r.known,
		Classes: r.release.catalog.Classes(), Sender: sender{region: r}, Clock: r.clock, Background: func(f func()) { f() },
	})
	check(err)
	w.off.applier(r.applier)
	r.source, err = repair.NewSource(repair.SourceConfig{
		Region: r.id, Topology: theTopology(), Table: regional, Directory: r.known,
		Entities: []protoreflect.MessageDescriptor{(&profilev1.User{}).ProtoReflect().Descriptor()}, Fitter: r.release.catalog, Maker: maker,
	})
	check(err)
	r.reconciler, err = repair.New(repair.Config{
		Region: r.id, Topology: theTopology(), Tenants: r.known, Replica: replica, Regional: regional, Target: r.applier,
		Home: func(id ident.RegionID) repair.Home {
			index, _ := theTopology().Index(id)
			return home{from: r, to: w.regions[index]}
		},
		Clock: r.clock, Tuning: repair.Tuning{Lanes: 1, Fetches: 1, Settle: time.Nanosecond},
	})
	check(err)
	r.mender, err = repair.NewLoop(repair.LoopConfig{Reconciler: r.reconciler, Owed: r.owed, Jitter: func() float64 { return 0.5 }})
	check(err)
	r.startTokens()
	r.startSettings(table(settingsTable), random)
	r.startQueues(table(queuesTable), random)
	r.scrub = tenants()
	r.inspect()
}

// inspect finds what is owed since before the process began.
func (r *region) inspect() {
	for _, tenant := range tenants() {
		t, known := r.known.Tenant(tenant)
		grant := replication.GrantOf(theTopology(), t, r.index)
		for _, feed := range feeds() {
			if known && grant.Has(feed) {
				if err := r.applier.Inspect(context.Background(), tenant, feed, theTopology().ID(t.Home)); err != nil {
					panic(err)
				}
			}
		}
	}
}

func feeds() [2]replicationv1.Feed {
	return [...]replicationv1.Feed{replicationv1.Feed_FEED_PROJECTIONS, replicationv1.Feed_FEED_STANDBY}
}

func allRegions() []ident.RegionID {
	all := make([]ident.RegionID, 0, theTopology().Len())
	for _, i := range theTopology().Regions() {
		all = append(all, theTopology().ID(i))
	}
	return all
}

func (r *region) startTokens() {
	codec, err := consistency.NewCodec(consistency.CodecConfig{Keys: tokenKey{}, Regions: allRegions()})
	if err != nil {
		panic(err)
	}
	r.tokens, err = consistency.NewTokens(consistency.TokensConfig{
		Codec: codec, Clock: r.clock, History: func(ident.TenantID) consistency.History { return consistency.History{Present: 1} },
	})
	if err != nil {
		panic(err)
	}
	r.gate, err = consistency.NewGate(consistency.GateConfig{
		Codec: codec, Topology: theTopology(), Replica: positions{r}, Streams: consistency.HomeLanes,
	})
	if err != nil {
		panic(err)
	}
}

func (r *region) startQueues(table *guarded, random *rand.ChaCha8) {
	for _, name := range []string{replication.QueueEvents, replication.QueueSealed} {
		open := func(name string, dead *storequeue.Queue) *storequeue.Queue {
			q, err := storequeue.Open(context.Background(), storequeue.Config{
				Store: table, Name: name, DeadLetters: dead, MaxReceives: maxReceives, Retention: retention, Tag: r.tagOf,
				Clock: r.clock, Random: random, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				panic(err)
			}
			return q
		}
		dead := open(name+replication.DeadSuffix, nil)
		r.queues[name] = queues{main: open(name, dead), dead: dead}
	}
}

// startSettings begins the settings; increments may carry what names them or not.
func (r *region) startSettings(table store.Store, random *rand.ChaCha8) {
	var err error
	r.kept, err = settings.New(settings.Config{
		Store: table, Region: r.id, Jurisdiction: theTopology().Jurisdiction(r.index), Clock: r.clock, Rand: random,
		Others: func(ident.TenantID) []ident.RegionID {
			return allRegions()
		},
		CheckClock: func(now time.Time) error {
			peers := crdt.NewPeers(time.Hour)
			for _, o := range r.w.regions {
				if o != r && o.up && r.w.net.passes(r, o) && r.w.net.passes(o, r) {
					peers.Observe(o.id, now, o.clock(), now)
				}
			}
			return peers.Check(now)
		},
		Attempts: 3, RetryPause: time.Nanosecond,
	})
	if err != nil {
		panic(err)
	}
}

// tagOf says whose a message is and what it holds.
func (r *region) tagOf(body []byte) store.Tag {
	var envelope replicationv1.Envelope
	if err := proto.Unmarshal(body, &envelope); err != nil {
		return store.Tag{Class: store.ClassGlobal}
	}
	e := envelope.GetEvent()
	tag := store.Tag{
		Class: store.ClassGlobal, Jurisdiction: theTopology().Jurisdiction(r.index),
		Tenant: ident.TenantID(e.GetStream().GetTenant() + envelope.GetViolation().GetStream().GetTenant()),
	}
	switch {
	case e.GetStream().GetFeed() == replicationv1.Feed_FEED_STANDBY:
		tag.Class = store.ClassPII
	case len(e.GetState().GetSealed()) > 0:
		tag.Class = store.ClassRegional
	}
	return tag
}

// stop ends the process; what it had in memory is gone.
func (r *region) stop() {
	r.up, r.fuse.blown = false, true
	for _, name := range []string{replication.QueueEvents, replication.QueueSealed} {
		_ = r.queues[name].main.Close()
		_ = r.queues[name].dead.Close()
	}
	_ = r.engine.Close(context.Background())
	r.bell, r.scrub = nil, nil
	r.w.dropAttempts(r)
}

// owed are the lanes to be repaired, in an order that does not change from run to run.
func (r *region) owed() []replication.Owed {
	all := r.applier.Owed()
	slices.SortFunc(all, func(a, b replication.Owed) int {
		return cmp.Or(
			strings.Compare(a.Stream.GetTenant(), b.Stream.GetTenant()), strings.Compare(a.Stream.GetOrigin(), b.Stream.GetOrigin()),
			cmp.Compare(a.Stream.GetFeed(), b.Stream.GetFeed()), cmp.Compare(a.Stream.GetLane(), b.Stream.GetLane()),
		)
	})
	return all
}

// learn takes a tenant's record over from the directory.
func (r *region) learn(tenant ident.TenantID) {
	r.known.tenants[tenant] = r.w.records[tenant]
	if r.up {
		r.relay.Look(tenant)
		r.scrub = append(r.scrub, tenant)
	}
}

// lanes is entity.ReplicaLanes.
type lanes struct{ r *region }

// Highest implements entity.ReplicaLanes.
func (l lanes) Highest(ctx context.Context, tenant ident.TenantID, home ident.RegionID, lane ident.Lane) (ident.Version, bool, error) {
	at, err := replication.ReadLane(ctx, l.r.tables[replicaTable], tenant, replicationv1.Feed_FEED_PROJECTIONS, home, lane)
	return ident.Version{Epoch: at.Watermark.Epoch, Seq: at.Highest}, at.Complete, err
}

// positions is consistency.Replica.
type positions struct{ r *region }

// Positions implements consistency.Replica.
func (p positions) Positions(ctx context.Context, tenant ident.TenantID, home ident.RegionID) (ident.Positions, bool, error) {
	t, known := p.r.known.Tenant(tenant)
	if !known {
		return ident.Positions{}, false, nil
	}
	marks, err := replication.ReadWatermarks(ctx, p.r.tables[replicaTable], tenant, replicationv1.Feed_FEED_PROJECTIONS, home)
	if err != nil || !marks.Complete(t.Epoch) {
		return ident.Positions{}, false, err
	}
	have := ident.Positions{Epoch: t.Epoch}
	for lane := range marks {
		have.Lanes[lane] = marks[lane].Watermark.Seq
	}
	return have, true, nil
}

// Watch implements consistency.Replica. Nobody waits in a scenario: a client that may not be answered yet goes home.
func (positions) Watch(ident.TenantID) (<-chan struct{}, func()) { return nil, func() {} }

// tokenKey is the one key of the tokens.
type tokenKey struct{}

var theSecret, _ = consistency.NewSecret(make([]byte, 32))

// Newest implements consistency.Keys.
func (tokenKey) Newest() (uint32, consistency.Secret, bool) { return 1, theSecret, true }

// Secret implements consistency.Keys.
func (tokenKey) Secret(id uint32) (consistency.Secret, consistency.KeyState) {
	if id != 1 {
		return consistency.Secret{}, consistency.KeyUnknown
	}
	return theSecret, consistency.KeyOpen
}

// audited returns what an audit of the region finds.
func (r *region) audited() (findings []string) {
	auditor := audit.New(audit.Config{
		Region: r.index, Topology: theTopology(), Tenants: byName{r.known},
		Places: []audit.Place{
			{Name: regionalTable, Kind: audit.Regional, Table: r.tables[regionalTable]},
			{Name: replicaTable, Kind: audit.Replicas, Table: r.tables[replicaTable]},
			{Name: queuesTable, Kind: audit.Queues, Table: r.tables[queuesTable]},
			{Name: settingsTable, Kind: audit.Settings, Table: r.tables[settingsTable]},
		},
		CheckReplica: func(replica *storagev1.Replica) error {
			if replica.GetDeleted() || replica.GetWithheld() {
				return nil
			}
			return r.release.catalog.Classes().CheckClear(replica.GetEntity(), replica.GetClear())
		},
	})
	_, err := auditor.Scan(context.Background(), func(f audit.Finding) {
		findings = append(findings, fmt.Sprintf("%s: %s, %s %q", f.Place, f.Rule, f.Tenant, f.Key))
	})
	if err != nil {
		findings = append(findings, err.Error())
	}
	return findings
}

// receive is one reception of a queue.
func (r *region) receive(ctx context.Context, name string) error {
	return r.applier.Receive(ctx, r.queues[name].main, replication.RunConfig{Visibility: visibility, Logger: slog.New(slog.DiscardHandler)})
}
