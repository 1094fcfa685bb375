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
	// Path is the last good copy on disk; empty: Copy, if there is one.
	Path string
	// Copy is where the last good copy is kept when it is no file; nil: none is kept.
	Copy Copy
	// CopyReadOnly says that this process only starts from the copy; another one keeps it.
	CopyReadOnly bool
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
	// Loaded says what the copy gave at the start.
	Loaded Loaded

	copy   Copy
	keeper *Keeper
	table  Table
}

// staleCopy is the age from which on a copy that a process starts from is told of.
const staleCopy = time.Hour

// OpenReplica loads the last good copy, if there is one, and puts the parts together. A copy that cannot be used is logged; it
// is an error only if there is no table to make up for it.
func OpenReplica(ctx context.Context, cfg ReplicaConfig) (*Replica, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Path != "" {
		cfg.Copy = FileCopy{Path: cfg.Path}
	}
	r := &Replica{Index: NewIndex(IndexConfig{Topology: cfg.Topology}), table: cfg.Table, copy: cfg.Copy}
	if err := r.load(ctx, cfg); err != nil {
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
	if cfg.Copy != nil && !cfg.CopyReadOnly {
		r.keeper = NewKeeper(KeeperConfig{
			Copy: cfg.Copy, Index: r.Index, Follower: r.Follower, Settle: cfg.Settle, Logger: cfg.Logger,
		})
	}
	return r, nil
}

func (r *Replica) load(ctx context.Context, cfg ReplicaConfig) error {
	if cfg.Copy == nil {
		return nil
	}
	loaded, err := cfg.Copy.Load(ctx, r.Index)
	switch {
	case errors.Is(err, ErrNoSnapshot) && cfg.Table != nil:
		return nil
	case err != nil && cfg.Table != nil:
		cfg.Logger.ErrorContext(ctx, "the directory's last good copy cannot be used; reading the table", slog.Any("error", err))
		return nil
	case err != nil:
		return fmt.Errorf("starting from the directory's last good copy: %w", err)
	case loaded.Refused != nil:
		cfg.Logger.ErrorContext(ctx, "the directory's last good copy cannot be used; using the one before", slog.Any("error", loaded.Refused))
	}
	if age := cfg.Clock().Sub(loaded.Saved); !loaded.Saved.IsZero() && age > staleCopy {
		cfg.Logger.WarnContext(ctx, "the directory's last good copy is old; it is used until the table has been read",
			slog.Time("saved", loaded.Saved), slog.Duration("age", age.Round(time.Second)))
	}
	r.Loaded = loaded
	return nil
}

// SaveCopy saves what is known now, for a process that is woken now and then and does not Run: it polls the follower, and saves.
// ErrNotNewer says that the copy that is kept goes at least as far. Without a copy it does nothing.
func (r *Replica) SaveCopy(ctx context.Context) error {
	if r.copy == nil {
		return nil
	}
	return saveCopy(ctx, r.copy, r.Index, r.Follower)
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
