package app

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile/entity"
	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routeheader"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/seal/local"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/topology"
)

// The tables of a region, all in one engine, and the files beside it.
const (
	directoryTable = "directory"
	regionalTable  = "regional"
	keysTable      = "keys"

	storeFolder   = "store"
	routeKeyFile  = "route.key"
	directoryFile = "directory.snapshot"
)

// region is everything that this process runs of one region.
type region struct {
	id       ident.RegionID
	index    topology.Index
	dir      string
	logger   *slog.Logger
	routeKey routeKey

	// What follows is absent in a process that runs edges alone, except directory.
	db       *pebblestore.DB
	regional store.Store
	table    directory.Table
	keys     *seal.Keyring
	entities *entity.Engine
	writer   *directory.Writer
	eraser   *eraser

	directory *directory.Replica
	// edge answers what comes in at the region's port.
	edge *edge.Edge
}

// openRegion opens the region's folder: its route key, and with stores also the store and the region's own key.
func openRegion(cfg Config, id ident.RegionID) (*region, error) {
	index, ok := cfg.Topology.Index(id)
	if !ok {
		return nil, fmt.Errorf("region %s is not in the topology", id)
	}
	r := &region{
		id: id, index: index, dir: filepath.Join(cfg.DataDir, string(id)),
		logger: cfg.Logger.With(slog.String("region", string(id))),
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data folder of %s: %w", id, err)
	}
	if !cfg.EdgeOnly {
		db, err := pebblestore.Open(pebblestore.Config{Dir: filepath.Join(r.dir, storeFolder), Clock: cfg.Clock, Logger: r.logger})
		if err != nil {
			return nil, inUse(cfg.DataDir, err)
		}
		r.db, r.regional = db, db.Table(regionalTable)
	}
	var err error
	if r.routeKey, err = loadRouteKey(filepath.Join(r.dir, routeKeyFile), cfg.Random); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
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

// openDirectory puts together what the region knows of the directory. table is nil for an edge alone.
func (r *region) openDirectory(cfg Config, table directory.Table) error {
	r.table = table
	control := cfg.Topology.ID(cfg.Topology.Control())
	var also directory.Sink
	if table != nil {
		r.eraser = newEraser(r.id, cfg.Clock, r.logger)
		also = r.eraser
	}
	replica, err := directory.OpenReplica(directory.ReplicaConfig{
		Table: table, Topology: cfg.Topology, Path: filepath.Join(r.dir, directoryFile), HostSuffixes: []string{"localhost"},
		Clock: cfg.Clock, Logger: r.logger, Also: also,
	})
	if err != nil {
		return fmt.Errorf("opening the directory of %s: %w", r.id, err)
	}
	r.directory = replica
	if table == nil {
		return nil
	}
	r.writer = directory.NewWriter(directory.WriterConfig{
		Table: table, Region: r.id, Control: control, Clock: cfg.Clock, Random: cfg.Random, Logger: r.logger,
		Applied: func(record *directoryv1.Record) { replica.Index.Apply([]*directoryv1.Record{record}) },
	})
	return nil
}

// openData puts together what keeps the tenants' data.
func (r *region) openData(cfg Config, courier *seal.InProcess) error {
	wrapper, err := local.Open(r.dir, r.id)
	if err != nil {
		return fmt.Errorf("opening the key of %s: %w", r.id, err)
	}
	jurisdiction := cfg.Topology.Jurisdiction(r.index)
	r.keys = seal.NewKeyring(seal.KeyringConfig{
		Region: r.id, Jurisdiction: jurisdiction, Keys: r.db.Table(keysTable), Wrapper: wrapper, Courier: courier, Clock: cfg.Clock,
	})
	courier.Join(r.keys)
	r.entities, err = entity.NewEngine(entity.Config{
		Store: r.regional, Sealer: r.keys, EnsureKey: r.ensureKey(cfg.Topology), Region: r.id, Jurisdiction: jurisdiction,
		Clock: cfg.Clock, Rand: cfg.Random,
	})
	if err != nil {
		return fmt.Errorf("opening the repositories of %s: %w", r.id, err)
	}
	r.eraser.reader, r.eraser.writer = r.directory.Reader, r.writer
	r.eraser.keys, r.eraser.rows, r.eraser.files = r.keys, r.entities, r.db
	return nil
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

// publishRouteKey writes the region's public key to the directory, unless it is the newest there.
func (r *region) publishRouteKey(ctx context.Context) error {
	_, err := r.writer.Write(ctx, func(ctx context.Context, v directory.View) (*directoryv1.Record, error) {
		published, err := v.RegionKeys(ctx)
		if err != nil {
			return nil, err
		}
		if have := published.GetRouteKeys(); len(have) > 0 && have[0].GetId() == r.routeKey.id {
			return nil, nil //nolint:nilnil // Nothing is to be written.
		}
		keys := &directoryv1.RegionKeys{Region: string(r.id), RouteKeys: []*directoryv1.RouteKey{{Id: r.routeKey.id, PublicKey: r.routeKey.public()}}}
		if old := published.GetRouteKeys(); len(old) > 0 {
			keys.RouteKeys = append(keys.RouteKeys, proto.CloneOf(old[0])) // What it signed may be under way.
		}
		return &directoryv1.Record{Subject: &directoryv1.Record_RegionKeys{RegionKeys: keys}}, nil
	})
	if err != nil {
		return fmt.Errorf("publishing the route key of %s: %w", r.id, err)
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

// run follows the directory and erases purged tenants until ctx ends.
func (r *region) run(start func(name string, run func(context.Context) error)) {
	start("directory of "+string(r.id), r.directory.Run)
	if r.eraser != nil {
		start("eraser of "+string(r.id), r.eraser.run)
		start("sweeper of "+string(r.id), r.sweep)
	}
}

// close ends what the region has open, newest first. Mutations that were accepted get their outcome before the store closes.
func (r *region) close() error {
	var errs []error
	if r.edge != nil {
		errs = append(errs, r.edge.Close())
	}
	if r.entities != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		errs = append(errs, r.entities.Close(ctx))
	}
	if r.db != nil {
		errs = append(errs, r.db.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing region %s: %w", r.id, err)
	}
	return nil
}
