package app

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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
	"github.com/domicile-api/domicile/internal/seal/local"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/globaltable"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/store/tracestore"
	"github.com/domicile-api/domicile/internal/topology"
)

// The tables of a region, all in one engine, and the files beside it.
const (
	directoryTable = "directory"
	regionalTable  = "regional"
	keysTable      = "keys"
	replicaTable   = "replica"
	queuesTable    = "queues"

	storeFolder   = "store"
	routeKeyFile  = "route.key"
	directoryFile = "directory.snapshot"
)

// region is everything that this process runs of one region, from its start to its end.
type region struct {
	id       ident.RegionID
	index    topology.Index
	dir      string
	logger   *slog.Logger
	routeKey routeKey

	// What follows is absent in a process that runs edges alone, except directory.
	db       *pebblestore.DB
	regional store.Store
	replica  store.Store
	// queueTable has the queues. It is one object, by which queues know that they lie together.
	queueTable store.Store
	table      *globaltable.Table
	links      []*globaltable.Link
	wrapper    *local.Wrapper
	keys       *seal.Keyring
	tokens     *tokens
	entities   *entity.Engine
	settings   *configuration
	writer     *directory.Writer
	eraser     *eraser
	sync       *synchronisation
	peers      *peers

	directory *directory.Replica
	// edge answers what comes in at the region's port.
	edge *edge.Edge
	port *listener

	// loops are what runs until the region ends: cancel ends them, fail takes the first failure of one.
	ctx    context.Context //nolint:containedctx // the region's life
	cancel context.CancelFunc
	loops  sync.WaitGroup
	fail   func(error)
}

// openRegion starts a region on what is in its folder. What was opened before a failure is closed again.
func (p *Platform) openRegion(ctx, loops context.Context, n *node) (*region, error) {
	r := &region{
		id: n.id, index: n.index, dir: filepath.Join(p.cfg.DataDir, string(n.id)),
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
	if err := r.openStore(p); err != nil {
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
	if err := r.openSync(ctx, p); err != nil {
		return err
	}
	local, err := p.servicesOf(r)
	if err != nil {
		return fmt.Errorf("mounting the services of %s: %w", r.id, err)
	}
	if r.edge, err = p.newEdge(r, local, p.calls.at(r.id)); err != nil {
		return err
	}
	server := rpc.NewServer(rpc.ServerConfig{Handler: r.peers.beside(rpc.CORS(r.edge)), Logger: p.logger})
	r.port, err = p.cfg.listen(ctx, string(r.id), p.cfg.Topology.Port(r.index), server)
	return err
}

// openStore opens the region's folder: its route key, and with stores also the store.
func (r *region) openStore(p *Platform) error {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return fmt.Errorf("making the data folder of %s: %w", r.id, err)
	}
	if !p.cfg.EdgeOnly {
		db, err := pebblestore.Open(pebblestore.Config{Dir: filepath.Join(r.dir, storeFolder), Clock: p.cfg.Clock, Logger: r.logger})
		if err != nil {
			return inUse(p.cfg.DataDir, err)
		}
		r.db = db
		r.regional, r.replica = p.traced(db, regionalTable), p.traced(db, replicaTable)
		r.queueTable = db.Table(queuesTable)
	}
	var err error
	r.routeKey, err = loadRouteKey(filepath.Join(r.dir, routeKeyFile), p.cfg.Random)
	return err
}

// traced is a table whose calls are spans, when spans go anywhere.
func (p *Platform) traced(db *pebblestore.DB, name string) store.Store {
	table := db.Table(name)
	if p.tracing.Provider != nil {
		return tracestore.New(table, p.tracing.Provider, name)
	}
	return table
}

// inUse says who holds a data folder that is in use.
func inUse(dir string, err error) error {
	var locked *pebblestore.LockedError
	if !errors.As(err, &locked) {
		return err
	}
	if locked.PID == 0 {
		return fmt.Errorf("the data folder %s is in use by another process; stop it, or give another --data: %w", dir, err)
	}
	return fmt.Errorf("the data folder %s is in use by pid %d; stop it, or give another --data", dir, locked.PID)
}

// openDirectory puts together what the region knows of the directory.
func (r *region) openDirectory(ctx context.Context, p *Platform) error {
	cfg := p.cfg
	control := cfg.Topology.ID(cfg.Topology.Control())
	var also directory.Sink
	var table directory.Table
	if r.db != nil {
		if err := r.openTable(ctx, p); err != nil {
			return err
		}
		table = r.table
		r.eraser = newEraser(r.id, cfg.Clock, r.logger)
		r.sync, r.tokens = newSynchronisation(p, r), newTokens(r)
		also = directory.Sinks{r.eraser, r.sync, r.tokens}
	}
	replica, err := directory.OpenReplica(directory.ReplicaConfig{
		Table: table, Topology: cfg.Topology, Path: filepath.Join(r.dir, directoryFile), HostSuffixes: []string{"localhost"},
		Clock: cfg.Clock, Logger: r.logger, Also: also,
	})
	if err != nil {
		return fmt.Errorf("opening the directory of %s: %w", r.id, err)
	}
	r.directory = replica
	if r.db == nil {
		return nil
	}
	r.writer = directory.NewWriter(directory.WriterConfig{
		Table: table, Region: r.id, Control: control, Clock: cfg.Clock, Random: cfg.Random, Logger: r.logger,
		Applied: func(record *directoryv1.Record) { replica.Index.Apply([]*directoryv1.Record{record}) },
	})
	return nil
}

// openTable opens the region's replica of the directory's global table, and its links to all other regions.
func (r *region) openTable(ctx context.Context, p *Platform) error {
	others := slices.DeleteFunc(p.cfg.Topology.IDs(), func(id ident.RegionID) bool { return id == r.id })
	table, err := globaltable.Open(ctx, globaltable.Config{
		Region: r.id, Peers: others, Local: r.db.Table(directoryTable), Clock: p.cfg.Clock, Logger: r.logger,
	})
	if err != nil {
		return fmt.Errorf("opening the directory's replica in %s: %w", r.id, err)
	}
	r.table = table
	for _, other := range others {
		r.links = append(r.links, table.Connect(other, r.peers.receiver(other)))
	}
	return nil
}

// openData puts together what keeps the tenants' data.
func (r *region) openData(p *Platform) error {
	if r.db == nil {
		return nil
	}
	cfg := p.cfg
	var err error
	if r.wrapper, err = local.Open(r.dir, r.id); err != nil {
		return fmt.Errorf("opening the key of %s: %w", r.id, err)
	}
	jurisdiction := cfg.Topology.Jurisdiction(r.index)
	r.keys = seal.NewKeyring(seal.KeyringConfig{
		Region: r.id, Jurisdiction: jurisdiction, Keys: r.db.Table(keysTable), Wrapper: r.wrapper, Courier: r.peers.courier(r), Clock: cfg.Clock,
	})
	if err := errors.Join(r.openTokens(cfg), r.openSettings(cfg)); err != nil {
		return err
	}
	r.entities, err = entity.NewEngine(entity.Config{
		Store: r.regional, Replica: &entity.Replica{Table: r.replica, Lanes: r.sync}, Sealer: r.keys, Pages: r.tokens.keys,
		EnsureKey: r.ensureKey(cfg.Topology), Region: r.id, Jurisdiction: jurisdiction, Clock: cfg.Clock, Rand: cfg.Random,
	})
	if err != nil {
		return fmt.Errorf("opening the repositories of %s: %w", r.id, err)
	}
	r.eraser.reader, r.eraser.writer = r.directory.Reader, r.writer
	r.eraser.keys, r.eraser.rows, r.eraser.files = r.keys, r, r.db
	return nil
}

// Purge removes all rows of a tenant, whatever the region was to it.
func (r *region) Purge(ctx context.Context, tenant ident.TenantID) error {
	return r.sync.applier.Retire(tenant, func() error {
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
			Region: string(r.id), WrappingKey: r.wrapper.Public(),
			RouteKeys: []*directoryv1.RouteKey{{Id: r.routeKey.id, PublicKey: r.routeKey.public()}},
		}
		for _, old := range published.GetRouteKeys() {
			if old.GetId() != r.routeKey.id && len(keys.GetRouteKeys()) < 2 {
				keys.RouteKeys = append(keys.RouteKeys, proto.CloneOf(old)) // What it signed may be under way.
			}
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
	if r.db == nil {
		return
	}
	for _, link := range r.links {
		r.loop("replication of the directory", link.Run)
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
	if r.sync != nil {
		errs = append(errs, r.sync.close())
	}
	if r.peers != nil {
		errs = append(errs, r.peers.close())
	}
	if r.db != nil {
		errs = append(errs, r.db.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing region %s: %w", r.id, err)
	}
	return nil
}
