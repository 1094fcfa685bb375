// Package embedded keeps regions on this machine: all of a region's tables and queues in one Pebble engine in its folder, its keys in
// files beside it. Regions of one process replicate the directory to each other by this project's own global table.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/audit"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/seal/local"
	"github.com/domicile-api/domicile/internal/store/globaltable"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

const (
	storeFolder   = "store"
	routeKeyFile  = "route.key"
	directoryFile = "directory.snapshot"
)

// Backend is the embedded app.Backend.
type Backend struct{ dir string }

var _ app.Backend = Backend{}

// New returns a backend that keeps region R in dir/R and nowhere else.
func New(dir string) Backend { return Backend{dir} }

// Open implements app.Backend. The folder is the process's alone until Close, so a region has no part but the whole and its edge.
func (b Backend) Open(ctx context.Context, o app.Opening) (*app.Resources, error) {
	dir := filepath.Join(b.dir, string(o.Region))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data folder of %s: %w", o.Region, err)
	}
	res := &app.Resources{DirectoryCopy: directory.FileCopy{Path: filepath.Join(dir, directoryFile)}, Close: func() error { return nil }}
	if o.Part != app.EdgeAlone {
		if err := b.openData(ctx, dir, o, res); err != nil {
			return nil, errors.Join(err, res.Close())
		}
	}
	var err error
	if res.RouteSeed, err = loadRouteSeed(filepath.Join(dir, routeKeyFile), o.Random); err != nil {
		return nil, errors.Join(err, res.Close())
	}
	return res, nil
}

// openData opens what an edge alone has not.
func (b Backend) openData(ctx context.Context, dir string, o app.Opening, res *app.Resources) error {
	db, err := pebblestore.Open(pebblestore.Config{Dir: filepath.Join(dir, storeFolder), Clock: o.Clock, Logger: o.Logger})
	if err != nil {
		return inUse(b.dir, err)
	}
	queues := &queues{table: db.Table(app.QueuesTable), opening: o}
	res.Close = func() error { return errors.Join(queues.close(), db.Close()) }
	res.Regional, res.Replica, res.Keys, res.Settings = db.Table(app.RegionalTable), db.Table(app.ReplicaTable), db.Table(app.KeysTable),
		db.Table(app.SettingsTable)
	res.Places = []audit.Place{
		{Name: app.DirectoryTable, Kind: audit.Directory, Table: db.Walker(app.DirectoryTable)},
		{Name: app.RegionalTable, Kind: audit.Regional, Table: db.Walker(app.RegionalTable)},
		{Name: app.ReplicaTable, Kind: audit.Replicas, Table: db.Walker(app.ReplicaTable)},
		{Name: app.KeysTable, Kind: audit.Keys, Table: db.Walker(app.KeysTable)},
		{Name: app.QueuesTable, Kind: audit.Queues, Table: db.Walker(app.QueuesTable)},
		{Name: app.SettingsTable, Kind: audit.Settings, Table: db.Walker(app.SettingsTable)},
	}
	res.Scrub = db.Scrub
	key, err := peer.LoadKey(dir, o.Random)
	if err != nil {
		return fmt.Errorf("opening the peer key of %s: %w", o.Region, err)
	}
	res.PeerSeed = key.Seed()
	res.PeerKeys = peer.NewTrusted(o.Topology, b.dir, o.Clock)
	own, err := local.Open(dir, o.Region)
	if err != nil {
		return fmt.Errorf("opening the key of %s: %w", o.Region, err)
	}
	res.OwnKey, res.TenantKeys = own, own
	if err := openDirectory(ctx, db, o, res); err != nil {
		return err
	}
	if res.Queues, err = queues.open(ctx); err != nil {
		return err
	}
	res.Loops = append(res.Loops, app.Loop{Name: "opening of queues", Run: queues.reopen})
	return nil
}

// openDirectory opens the region's replica of the directory's global table, and its links to all other regions.
func openDirectory(ctx context.Context, db *pebblestore.DB, o app.Opening, res *app.Resources) error {
	others := slices.DeleteFunc(o.Topology.IDs(), func(id ident.RegionID) bool { return id == o.Region })
	table, err := globaltable.Open(ctx, globaltable.Config{
		Region: o.Region, Peers: others, Local: db.Table(app.DirectoryTable), Clock: o.Clock, Logger: o.Logger,
	})
	if err != nil {
		return fmt.Errorf("opening the directory's replica in %s: %w", o.Region, err)
	}
	res.Directory = table
	res.Replicate = func(ctx context.Context, item peer.Replicated) error {
		return table.Apply(ctx, globaltable.Replicated(item))
	}
	for _, other := range others {
		link := table.Connect(other, peer.NewReplica[globaltable.Replicated](o.Peers, other))
		res.Loops = append(res.Loops, app.Loop{Name: "replication of the directory", Run: link.Run})
	}
	return nil
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
