package app

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile/entity"
	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routeheader"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/tracestore"
	"github.com/domicile-api/domicile/internal/topology"
)

// region is everything that this process runs of one region, from its start to its end.
type region struct {
	id       ident.RegionID
	index    topology.Index
	logger   *slog.Logger
	res      *Resources
	routeKey routeKey
	// edgeOnly says that there are no services and no stores: what follows is absent then, except directory.
	edgeOnly bool
	// functions says that functions relay and apply.
	functions bool

	regional store.Store
	replica  store.Store
	keys     *seal.Keyring
	tokens   *tokens
	entities *entity.Engine
	settings *configuration
	writer   *directory.Writer
	eraser   *eraser
	sync     *synchronisation
	peers    *peers

	directory *directory.Replica
	// edge answers what comes in at the region's port.
	edge *edge.Edge
	// portal answers developers there.
	portal *lazyPortal
	// serves are the full names of the services that the process runs; nil: that of all, elsewhere.
	serves []string
	port   *listener

	// loops are what runs until the region ends: cancel ends them, fail takes the first failure of one.
	ctx    context.Context //nolint:containedctx // the region's life
	cancel context.CancelFunc
	loops  sync.WaitGroup
	fail   func(error)
}

// openRegion starts a region on what is in its folder. What was opened before a failure is closed again.
func (p *Platform) openRegion(ctx, loops context.Context, n *node) (*region, error) {
	r := &region{
		id: n.id, index: n.index, edgeOnly: p.cfg.EdgeOnly, functions: p.cfg.Functions,
		logger: p.cfg.Logger.With(slog.String("region", string(n.id))), fail: p.fail,
	}
	r.ctx, r.cancel = context.WithCancel(loops)
	if err := p.assemble(ctx, r); err != nil {
		return nil, errors.Join(err, r.close()) //nolint:contextcheck // what was opened is closed also when ctx has ended
	}
	return r, nil
}

// assemble puts the region's components together, each on those before it.
func (p *Platform) assemble(ctx context.Context, r *region) error {
	r.peers = &peers{region: r, network: p.network}
	if err := r.openResources(ctx, p); err != nil {
		return err
	}
	if err := r.openPeers(p); err != nil {
		return err
	}
	if err := r.openDirectory(ctx, p); err != nil {
		return err
	}
	if err := r.openData(p); err != nil { //nolint:contextcheck // wrapping does no I/O that a context could end
		return err
	}
	if err := r.openSync(p); err != nil {
		return err
	}
	local, err := p.servicesOf(r)
	if err != nil {
		return fmt.Errorf("mounting the services of %s: %w", r.id, err)
	}
	if r.edge, err = p.newEdge(r, local, p.calls.at(r.id)); err != nil {
		return err
	}
	r.portal = p.newPortal(r)
	server := rpc.NewServer(rpc.ServerConfig{Handler: r.peers.beside(rpc.CORS(p.besidePortal(r.edge, r.portal))), Logger: p.logger})
	r.port, err = p.cfg.listen(ctx, string(r.id), p.cfg.port(r.index), server)
	return err
}

// openResources opens what the region stands on.
func (r *region) openResources(ctx context.Context, p *Platform) error {
	cfg, part := p.cfg, Whole
	switch {
	case r.edgeOnly:
		part = EdgeAlone
	case r.functions:
		part = ServicesPart
	}
	res, err := cfg.Backend.Open(ctx, Opening{
		Region: r.id, Index: r.index, Topology: cfg.Topology, Part: part, Peers: r.peers, Published: publishedKeys{r},
		Tag: tagger{cfg.Topology.Jurisdiction(r.index)}.tagIn, Sender: senderOf, Clock: cfg.Clock, Random: cfg.Random, Logger: r.logger,
	})
	if err != nil {
		return err
	}
	r.res, r.routeKey = res, newRouteKey(res.RouteSeed)
	if !r.edgeOnly {
		r.regional, r.replica = p.traced(res.Regional, RegionalTable), p.traced(res.Replica, ReplicaTable)
	}
	return nil
}

// traced is a table whose calls are spans, when spans go anywhere.
func (p *Platform) traced(table store.Store, name string) store.Store {
	if p.tracing.Provider != nil {
		return tracestore.New(table, p.tracing.Provider, name)
	}
	return table
}

// openDirectory puts together what the region knows of the directory.
func (r *region) openDirectory(ctx context.Context, p *Platform) error {
	cfg := p.cfg
	control := cfg.Topology.ID(cfg.Topology.Control())
	var also directory.Sink
	if !r.edgeOnly {
		r.eraser = newEraser(r.id, cfg.Clock, r.logger)
		r.sync, r.tokens = newSynchronisation(p, r), newTokens(r)
		also = directory.Sinks{r.eraser, r.sync, r.tokens}
	}
	replica, err := directory.OpenReplica(ctx, directory.ReplicaConfig{
		Table: r.res.Directory, Topology: cfg.Topology, Copy: r.res.DirectoryCopy, CopyReadOnly: r.res.DirectoryCopyReadOnly,
		Interval: r.res.DirectoryInterval, HostSuffixes: []string{"localhost"},
		Clock: cfg.Clock, Logger: r.logger, Also: also,
	})
	if err != nil {
		return fmt.Errorf("opening the directory of %s: %w", r.id, err)
	}
	r.directory = replica
	if r.edgeOnly {
		return nil
	}
	r.writer = directory.NewWriter(directory.WriterConfig{
		Table: r.res.Directory, Region: r.id, Control: control, Clock: cfg.Clock, Random: cfg.Random, Logger: r.logger,
		Applied: func(record *directoryv1.Record) { replica.Index.Apply([]*directoryv1.Record{record}) },
	})
	return nil
}

// openData puts together what keeps the tenants' data.
func (r *region) openData(p *Platform) error {
	if r.edgeOnly {
		return nil
	}
	cfg := p.cfg
	jurisdiction := cfg.Topology.Jurisdiction(r.index)
	r.keys = seal.NewKeyring(seal.KeyringConfig{
		Region: r.id, Jurisdiction: jurisdiction, Keys: r.res.Keys, Wrapper: r.res.TenantKeys, Courier: r.peers.courier(r), Clock: cfg.Clock,
	})
	if err := errors.Join(r.openTokens(cfg), r.openSettings(cfg)); err != nil {
		return err
	}
	var err error
	r.entities, err = entity.NewEngine(entity.Config{
		Store: r.regional, Replica: &entity.Replica{Table: r.replica, Lanes: r.sync}, Sealer: r.keys, Pages: r.tokens.keys,
		EnsureKey: r.ensureKey(cfg.Topology), Region: r.id, Jurisdiction: jurisdiction, Clock: cfg.Clock, Rand: cfg.Random,
	})
	if err != nil {
		return fmt.Errorf("opening the repositories of %s: %w", r.id, err)
	}
	r.eraser.reader, r.eraser.writer = r.directory.Reader, r.writer
	r.eraser.keys, r.eraser.rows, r.eraser.scrub, r.eraser.backups = r.keys, r, r.res.Scrub, r.res.KeyBackups
	return nil
}

// Purge removes all rows of a tenant, whatever the region was to it.
func (r *region) Purge(ctx context.Context, tenant ident.TenantID) error {
	return r.sync.applier.Retire(tenant, func() error { //nolint:contextcheck // a removal that has begun is finished
		return errors.Join(r.entities.Purge(ctx, tenant), r.settings.kept.Purge(ctx, tenant), r.sync.purge(ctx, tenant))
	})
}

// ensureKey gives a tenant its data key, in the home and in the standby, before its first entity is stored.
func (r *region) ensureKey(topo *topology.Topology) func(context.Context, ident.TenantID) error {
	return func(ctx context.Context, tenant ident.TenantID) error {
		t, known := r.directory.Index.Tenant(string(tenant))
		if !known || t.Home != r.index {
			return fmt.Errorf("tenant %s is not at home in %s: %w", tenant, r.id, seal.ErrNoKey)
		}
		lawful := []ident.RegionID{r.id}
		if t.Standby != topology.NoRegion {
			lawful = append(lawful, topo.ID(t.Standby))
		}
		err := r.keys.Provision(ctx, tenant, t.Epoch, lawful)
		r.sync.keysAway.add(tenant) // Those who may only read are not waited for.
		switch {
		case errors.Is(err, seal.ErrPurged):
			return fault.Wrap(errorsv1.Reason_REASON_TENANT_UNKNOWN, err, "the tenant was purged")
		case errors.Is(err, seal.ErrUnreachable):
			return r.withoutStandby(ctx, tenant, err)
		default:
			return err
		}
	}
}

// withoutStandby lets a tenant's home go on alone when its key is in use: the standby has held the key before, and its absence
// now is no reason to refuse writes. Before that nothing may be sealed that the standby could not open.
func (r *region) withoutStandby(ctx context.Context, tenant ident.TenantID, unreachable error) error {
	inUse, err := r.keys.InUse(ctx, tenant)
	if err != nil || inUse {
		return err
	}
	f := fault.Wrap(errorsv1.Reason_REASON_REGION_UNAVAILABLE, unreachable,
		"the tenant's standby, which is to hold its key before the first write, does not answer")
	f.RetryAfter = edge.DefaultRetryAfter
	return f
}

// introduce tells the other regions what they need to know of this one: its public keys, and the classes of its release's fields.
func (r *region) introduce(ctx context.Context) error {
	if err := r.publishKeys(ctx); err != nil {
		return err
	}
	return r.publishClasses(ctx)
}

// publishKeys writes the region's public keys to the directory, unless they are the newest there.
func (r *region) publishKeys(ctx context.Context) error {
	_, err := r.writer.Write(ctx, func(ctx context.Context, v directory.View) (*directoryv1.Record, error) {
		published, err := v.RegionKeys(ctx)
		if err != nil {
			return nil, err
		}
		keys := &directoryv1.RegionKeys{
			Region: string(r.id), WrappingKey: r.res.OwnKey.Public(),
			RouteKeys: []*directoryv1.RouteKey{{Id: r.routeKey.id, PublicKey: r.routeKey.public()}},
		}
		keys.RouteKeys = withFormer(keys.GetRouteKeys(), published.GetRouteKeys())
		if r.res.PeerKeys == nil {
			keys.PeerKeys = withFormer([]*directoryv1.RouteKey{{Id: r.peers.key.ID(), PublicKey: r.peers.key.Public()}}, published.GetPeerKeys())
		}
		if proto.Equal(published, keys) {
			return nil, nil //nolint:nilnil // Nothing is to be written.
		}
		return &directoryv1.Record{Subject: &directoryv1.Record_RegionKeys{RegionKeys: keys}}, nil
	})
	if err != nil {
		return fmt.Errorf("publishing the keys of %s: %w", r.id, err)
	}
	return nil
}

// withFormer adds the key that was the newest before to the present one: what it signed may be under way.
func withFormer(present, published []*directoryv1.RouteKey) []*directoryv1.RouteKey {
	for _, old := range published {
		if old.GetId() != present[0].GetId() {
			return append(present, proto.CloneOf(old))
		}
	}
	return present
}

// publishClasses writes the release's class table to the directory, unless it is there.
func (r *region) publishClasses(ctx context.Context) error {
	table := r.sync.catalog.Table()
	_, err := r.writer.Write(ctx, func(ctx context.Context, v directory.View) (*directoryv1.Record, error) {
		there, err := v.ClassTable(ctx, table.GetFingerprint())
		if err != nil || there != nil {
			return nil, err
		}
		return &directoryv1.Record{Subject: &directoryv1.Record_ClassTable{ClassTable: table}}, nil
	})
	if err != nil {
		return fmt.Errorf("publishing the class table of %s: %w", r.id, err)
	}
	return nil
}

// routeKeyOf finds the key that a region's edge signs with.
func (r *region) routeKeyOf(region, keyID string) (ed25519.PublicKey, bool) {
	return r.directory.Index.RouteKey(ident.RegionID(region), keyID)
}

func (r *region) signer(cfg Config) *routeheader.Signer {
	return routeheader.NewSigner(routeheader.SignerConfig{Region: r.id, KeyID: r.routeKey.id, Key: r.routeKey.private, Clock: cfg.Clock})
}

// run begins everything that goes on until the region ends.
func (r *region) run() {
	r.loops.Go(func() { r.report("serving", r.port.serve()) })
	r.loop("directory", r.directory.Run)
	for _, l := range r.res.Loops {
		r.loop(l.Name, l.Run)
	}
	if r.edgeOnly {
		return
	}
	r.loop("introduction", r.introduce)
	r.loop("eraser", r.eraser.run)
	r.loop("sweeper", r.sweep)
	r.tokens.run(r)
	r.sync.run(r)
	r.settings.run()
}

// loop runs something that should go on until the region ends.
func (r *region) loop(name string, run func(context.Context) error) {
	r.loops.Go(func() { r.report(name, run(r.ctx)) })
}

// report says that something which should go on has failed, unless the region ends.
func (r *region) report(name string, err error) {
	if err != nil && r.ctx.Err() == nil {
		r.fail(fmt.Errorf("%s of %s: %w", name, r.id, err))
	}
}

// close ends the region: open calls may end first, and mutations that were accepted get their outcome before the store closes.
func (r *region) close() error {
	var errs []error
	if r.port != nil {
		errs = append(errs, r.port.stop())
	}
	return errors.Join(append(errs, r.end(closeTimeout))...)
}

// kill ends the region without any of that.
func (r *region) kill() error { return errors.Join(r.port.server.Close(), r.end(0)) }

// end closes what the region has open, newest first; accepted mutations have so long to get their outcome.
func (r *region) end(patience time.Duration) error {
	var errs []error
	if r.peers != nil {
		r.peers.leave()
	}
	if r.entities != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.entities.Close(ctx); patience > 0 {
			errs = append(errs, err)
		}
	}
	r.cancel()
	r.loops.Wait()
	if r.edge != nil {
		errs = append(errs, r.edge.Close())
	}
	if r.peers != nil {
		errs = append(errs, r.peers.close())
	}
	if r.res != nil {
		errs = append(errs, r.res.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing region %s: %w", r.id, err)
	}
	return nil
}
