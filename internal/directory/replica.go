package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/topology"
)

// ReplicaConfig is what a Replica is made of.
type ReplicaConfig struct {
	// Table is the region's replica of the global table; nil: there is none, and the file alone is what is known.
	Table Table
	// Topology has the regions; each is a writer.
	Topology *topology.Topology
	// Path is the last good copy on disk; empty: none is kept.
	Path string
	// HostSuffixes are domains under which each tenant's id is a host, e.g. "localhost".
	HostSuffixes []string
	// Interval and Settle are those of Follower and Keeper.
	Interval, Settle time.Duration
	// Clock is time.Now in production.
	Clock  func() time.Time
	Logger *slog.Logger
	// Also, if set, gets every record that the follower applies, after the index.
	Also Sink
}

// Replica is what one region's process knows of the directory: the parts of this package that read, put together.
type Replica struct {
	Index       *Index
	Resolver    *Resolver
	Credentials *Credentials
	// Reader is nil when there is no table.
	Reader   *Reader
	Follower *Follower
	// Loaded says what the file gave at the start.
	Loaded Loaded

	keeper *Keeper
	table  Table
}

// OpenReplica loads the last good copy, if there is one, and puts the parts together. A copy that cannot be used is logged; it
// is an error only if there is no table to make up for it.
func OpenReplica(cfg ReplicaConfig) (*Replica, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Replica{Index: NewIndex(IndexConfig{Topology: cfg.Topology}), table: cfg.Table}
	if err := r.load(cfg); err != nil {
		return nil, err
	}
	control := cfg.Topology.ID(cfg.Topology.Control())
	regions := cfg.Topology.IDs()
	sink := Sink(r.Index)
	if cfg.Also != nil {
		sink = Sinks{r.Index, cfg.Also}
	}
	r.Follower = NewFollower(FollowerConfig{
		Table: cfg.Table, Writers: regions, Control: control, Sink: sink, Start: r.Loaded.Positions,
		Interval: cfg.Interval, Logger: cfg.Logger,
	})
	r.Resolver = NewResolver(ResolverConfig{
		Index: r.Index, Table: cfg.Table, Topology: cfg.Topology, HostSuffixes: cfg.HostSuffixes, Clock: cfg.Clock,
	})
	r.Credentials = NewCredentials(CredentialsConfig{Resolver: r.Resolver, Clock: cfg.Clock})
	if cfg.Table != nil {
		r.Reader = NewReader(ReaderConfig{Table: cfg.Table, Control: control, Regions: regions})
	}
	if cfg.Path != "" {
		r.keeper = NewKeeper(KeeperConfig{
			Path: cfg.Path, Index: r.Index, Follower: r.Follower, Settle: cfg.Settle, Logger: cfg.Logger,
		})
	}
	return r, nil
}

func (r *Replica) load(cfg ReplicaConfig) error {
	if cfg.Path == "" {
		return nil
	}
	loaded, err := LoadSnapshot(cfg.Path, r.Index)
	switch {
	case errors.Is(err, ErrNoSnapshot) && cfg.Table != nil:
		return nil
	case err != nil && cfg.Table != nil:
		cfg.Logger.Error("the directory's last good copy cannot be used; reading the table", slog.Any("error", err))
		return nil
	case err != nil:
		return fmt.Errorf("starting from the directory's last good copy: %w", err)
	case loaded.Refused != nil:
		cfg.Logger.Error("the directory's last good copy cannot be used; using the one before", slog.Any("error", loaded.Refused))
	}
	r.Loaded = loaded
	return nil
}

// Run follows the table and keeps the copy until ctx ends, whose error it returns. Without a table it only waits.
func (r *Replica) Run(ctx context.Context) error {
	if r.table == nil {
		<-ctx.Done()
		return fmt.Errorf("serving the directory: %w", ctx.Err())
	}
	var running sync.WaitGroup
	var kept error
	if r.keeper != nil {
		running.Go(func() { kept = r.keeper.Run(ctx) })
	}
	err := r.Follower.Run(ctx)
	running.Wait()
	return errors.Join(err, kept)
}

// Sinks gives records to several sinks in turn.
type Sinks []Sink

// Apply gives the records to each.
func (s Sinks) Apply(records []*directoryv1.Record) {
	for _, sink := range s {
		sink.Apply(records)
	}
}
