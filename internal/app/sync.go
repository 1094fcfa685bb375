package app

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/audit"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/repair"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

// visibility is how long a message may take to be applied, which takes milliseconds. What a region had received when it crashed
// waits so long.
const visibility = 5 * time.Second

// settle is how long a comparison waits for what is under way.
const settle = 15 * time.Second

// synchronisation is a region's part in telling and being told: it sends what its tenants wrote, applies what others sent, and repairs what
// differs.
type synchronisation struct {
	region   *region
	catalog  *residency.Catalog
	relay    *replication.Relay
	applier  *replication.Applier
	repairs  *repair.Reconciler
	mender   *repair.Loop
	queues   []Queue
	tags     tagger
	auditor  *audit.Auditor
	keysAway *keyDelivery
	// clocks, if set, compares clocks with other regions.
	clocks   *peer.Sender
	settler  *settler
	random   io.Reader
	clock    func() time.Time
	topology *topology.Topology

	mu sync.Mutex
	// classes are the tables of other releases, compiled.
	classes map[string]*residency.Classes
}

// newSynchronisation is what there is of it before the region has a directory: it hears of records.
func newSynchronisation(p *Platform, r *region) *synchronisation {
	s := &synchronisation{
		region: r, catalog: p.catalog, random: p.cfg.Random, clock: p.cfg.Clock, topology: p.cfg.Topology,
		classes: make(map[string]*residency.Classes),
	}
	s.keysAway, s.settler = newKeyDelivery(r, p.cfg.Topology), newSettler(r, p.cfg.Topology)
	return s
}

// entitiesOf returns the entities of the services, so that what they store can be told of by name.
func entitiesOf(cfg Config) []protoreflect.MessageDescriptor {
	var all []protoreflect.MessageDescriptor
	for _, service := range cfg.Services {
		for _, e := range service.Entities {
			all = append(all, e.ProtoReflect().Descriptor())
		}
	}
	return all
}

// openSync puts it together, and says what the region does for others.
func (r *region) openSync(p *Platform) error {
	if r.edgeOnly {
		return nil
	}
	s, cfg := r.sync, p.cfg
	s.queues, s.tags = r.res.Queues, tagger{cfg.Topology.Jurisdiction(r.index)}
	maker := &replication.Maker{Table: r.regional, Sealer: r.keys, Catalog: s.catalog}
	sender := r.res.Sender
	calls := peer.NewSender(r.peers).Comparing(cfg.Clock, r.settings)
	if sender == nil {
		sender = calls
	} else {
		s.clocks = calls // What goes past the peers compares no clocks.
	}
	err := r.settings.connect(cfg, sender)
	if err != nil {
		return err
	}
	s.relay, err = replication.NewRelay(replication.RelayConfig{
		Region: r.id, Topology: cfg.Topology, Table: r.regional, Maker: maker, Sender: sender, Tenants: s,
		Clock: cfg.Clock, Jitter: rand.Float64, Rand: cfg.Random,
	})
	if err != nil {
		return fmt.Errorf("making the relay of %s: %w", r.id, err)
	}
	s.applier, err = replication.NewApplier(replication.ApplierConfig{
		Region: r.id, Topology: cfg.Topology, Replica: r.replica, Regional: r.regional, Shared: r.res.Shared, Directory: s, Revision: r.revision,
		Classes: s.catalog.Classes(), Sender: sender, Clock: cfg.Clock, Observer: violationLog{r.logger}, Settings: r.settings.mender,
		Oldest: s.oldest,
	})
	if err != nil {
		return fmt.Errorf("making apply of %s: %w", r.id, err)
	}
	source, err := repair.NewSource(repair.SourceConfig{
		Region: r.id, Topology: cfg.Topology, Table: r.regional, Directory: s, Entities: entitiesOf(cfg), Fitter: s.catalog, Maker: maker,
	})
	if err != nil {
		return fmt.Errorf("making the source of repairs of %s: %w", r.id, err)
	}
	if err := s.openRepairs(); err != nil {
		return err
	}
	s.auditor = s.newAuditor()
	inboxes := make(map[string]peer.Inbox, len(s.queues))
	for _, q := range s.queues {
		if q.Incoming != nil {
			continue // Other regions send to it by themselves.
		}
		inboxes[q.Name] = peer.Inbox{
			Queue: q.Queue, AnyRegion: q.Name == replication.QueueEvents,
			From: func(body []byte) ident.RegionID { return ident.RegionID(senderOf(body)) },
		}
	}
	replicate := r.applyDirectory
	if r.res.Replicate == nil {
		replicate = nil
	}
	return r.peers.serve(cfg, peer.ServerConfig{
		Region: r.id, Topology: cfg.Topology, Queues: inboxes, Keys: r.keys, Operator: operator{r}, Clock: cfg.Clock,
		Source: sources{keyedSource{source, s.keysAway}, r.settings.source}, Replica: replicate,
	})
}

// applyDirectory takes an item of the directory from the region that wrote it, which writes nothing but its own partitions.
func (r *region) applyDirectory(ctx context.Context, item peer.Replicated) error {
	if directory.WriterOf(item.Item.Key.Partition) != item.Writer {
		return fault.New(errorsv1.Reason_REASON_PERMISSION_DENIED, "the partition is another region's")
	}
	return r.res.Replicate(ctx, item)
}

// revision numbers the record of a tenant that the region knows.
func (r *region) revision(tenant ident.TenantID) uint64 {
	return r.directory.Index.Revision(string(tenant))
}

// openRepairs makes what compares the region's copies with the homes.
func (s *synchronisation) openRepairs() error {
	r := s.region
	var err error
	s.repairs, err = repair.New(repair.Config{
		Region: r.id, Topology: s.topology, Tenants: s, Replica: r.replica, Regional: r.regional, Target: s.applier, Watch: s.applier.Watch,
		Home: func(id ident.RegionID) repair.Home { return r.peers.To(id) }, Clock: s.clock, Tuning: repair.Tuning{Settle: settle},
	})
	if err != nil {
		return fmt.Errorf("making the repairs of %s: %w", r.id, err)
	}
	s.mender, err = repair.NewLoop(repair.LoopConfig{Reconciler: s.repairs, Owed: s.applier.Owed, Jitter: rand.Float64})
	if err != nil {
		return fmt.Errorf("making the repairs of %s: %w", r.id, err)
	}
	return nil
}

// inspect has the lanes of a tenant repaired that it allows here and that are not known here, or behind since before the process began.
func (s *synchronisation) inspect(ctx context.Context, id ident.TenantID, t routing.Tenant) error {
	grant := replication.GrantOf(s.topology, t, s.region.index)
	for _, feed := range []replicationv1.Feed{replicationv1.Feed_FEED_PROJECTIONS, replicationv1.Feed_FEED_STANDBY} {
		if !grant.Has(feed) {
			continue
		}
		if err := s.applier.Inspect(ctx, id, feed, s.topology.ID(t.Home)); err != nil {
			return fmt.Errorf("looking at the copies of a tenant: %w", err)
		}
	}
	return nil
}

// newAuditor makes what looks at everything that the region holds.
func (s *synchronisation) newAuditor() *audit.Auditor {
	r := s.region
	return audit.New(audit.Config{
		Region: r.index, Topology: s.topology, Tenants: r.directory.Index,
		Places: r.res.Places,
		CheckReplica: func(replica *storagev1.Replica) error {
			if replica.GetDeleted() || replica.GetWithheld() {
				return nil
			}
			return s.catalog.Classes().CheckClear(replica.GetEntity(), replica.GetClear())
		},
	})
}

// run begins the loops.
func (s *synchronisation) run(r *region) {
	if !r.functions {
		s.tellAndApply(r)
	}
	if s.clocks != nil {
		r.loop("comparison of clocks", s.compareClocks)
	}
	if r.res.Shared {
		r.loop("survey", s.survey)
	}
	r.loop("repairs", s.mender.Run)
	r.loop("key delivery", s.keysAway.run)
	r.loop("settler", s.settler.run)
}

// surveyInterval is how often a region looks for lanes of which other processes of it left something undone.
const surveyInterval = 5 * time.Second

// survey looks for lanes that are behind, where other processes apply.
func (s *synchronisation) survey(ctx context.Context) error {
	tick := time.NewTicker(surveyInterval)
	defer tick.Stop()
	for {
		if err := s.applier.Survey(ctx); err != nil && ctx.Err() == nil {
			s.region.logger.WarnContext(ctx, "it could not be seen which lanes are behind; it is tried again", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// clockInterval is how often clocks are compared where nothing else does it.
const clockInterval = clockKept / 6

// compareClocks asks the other regions for their time, again and again. One that does not answer is asked the next time.
func (s *synchronisation) compareClocks(ctx context.Context) error {
	tick := time.NewTicker(clockInterval)
	defer tick.Stop()
	for {
		var asking sync.WaitGroup
		for _, i := range s.topology.Regions() {
			if i == s.region.index {
				continue
			}
			asking.Go(func() {
				if err := s.clocks.Compare(ctx, s.topology.ID(i)); err != nil {
					s.region.logger.DebugContext(ctx, "a region did not tell its time", slog.String("of", string(s.topology.ID(i))), slog.Any("error", err))
				}
			})
		}
		asking.Wait()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// tellAndApply tells other regions what tenants of this one wrote, and applies what others tell.
func (s *synchronisation) tellAndApply(r *region) {
	r.loop("relay", func(ctx context.Context) error { return s.relay.Run(ctx, r.logger) })
	for i, q := range s.queues {
		cfg := replication.RunConfig{Logger: r.logger, Visibility: visibility}
		if i > 0 {
			cfg.RetryParked = -1
		}
		r.loop("queue "+q.Name, func(ctx context.Context) error { return s.applier.Run(ctx, q.incoming(), cfg) })
	}
}

// Apply hears of records that are new in the directory; it is a directory.Sink.
func (s *synchronisation) Apply(records []*directoryv1.Record) {
	for _, record := range records {
		t := record.GetTenant()
		if t == nil {
			continue
		}
		id := ident.TenantID(t.GetId())
		if s.relay != nil {
			s.relay.Look(id)
			s.region.settings.relay.Look(id)
		}
		s.keysAway.add(id)
		s.settler.add(id)
	}
}

// Tenant is a tenant's record as this region knows it.
func (s *synchronisation) Tenant(id ident.TenantID) (routing.Tenant, bool) {
	return s.region.directory.Index.Tenant(string(id))
}

// AtHome implements replication.Tenants.
func (s *synchronisation) AtHome(_ context.Context, region topology.Index, fn func(ident.TenantID) error) error {
	for id, t := range s.region.directory.Index.Tenants() {
		if t.Home != region {
			continue
		}
		if err := fn(id); err != nil {
			return err
		}
	}
	return nil
}

// Classes implements replication.Directory.
func (s *synchronisation) Classes(fingerprint []byte) (*residency.Classes, bool) {
	own := s.catalog.Classes()
	if string(own.Fingerprint()) == string(fingerprint) {
		return own, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.classes[string(fingerprint)]; ok {
		return known, true
	}
	table, ok := s.region.directory.Index.ClassTable(fingerprint)
	if !ok {
		return nil, false
	}
	compiled, err := residency.NewClasses(table)
	if err != nil {
		return nil, false
	}
	s.classes[string(fingerprint)] = compiled
	return compiled, true
}

// freshID names a message that is sent again on purpose.
func (s *synchronisation) freshID() string {
	var b [16]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return ""
	}
	return hex.EncodeToString(b[:])
}
