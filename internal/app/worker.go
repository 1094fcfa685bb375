package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/settings"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
)

// directoryAge is how old what a worker knows of the directory may be before it looks again. What a tenant's policy forbids since then is
// removed again by the region's services, and what is not known yet is put aside.
const directoryAge = 5 * time.Second

// WorkerConfig says what a process is woken for.
type WorkerConfig struct {
	Backend  Backend
	Topology *topology.Topology
	Region   ident.RegionID
	// Part is one of RelayPart, ApplyEvents, ApplySealed and SweepPart.
	Part Part
	// Services are the product's, whose entities are relayed and applied.
	Services []domicile.Service

	Logger *slog.Logger
	Clock  func() time.Time
	Random io.Reader
}

// Worker is a part of a region for a process that is woken for each piece of work, as a function is: nothing goes on in it between two calls.
// Several workers of one part, and the services of the region in other processes, work on the same tables. Its methods are safe for
// concurrent use.
type Worker struct {
	cfg    WorkerConfig
	region *region
	sync   *synchronisation
	// writer is the sweep's alone.
	writer *directory.Writer

	mu     sync.Mutex
	polled time.Time
}

// OpenWorker opens a worker. It reads the directory first, from its last good copy on.
func OpenWorker(ctx context.Context, cfg WorkerConfig) (*Worker, error) {
	index, ok := cfg.Topology.Index(cfg.Region)
	if !ok {
		return nil, fmt.Errorf("region %q is not in the topology", cfg.Region)
	}
	r := &region{id: cfg.Region, index: index, logger: cfg.Logger}
	w := &Worker{cfg: cfg, region: r}
	if err := w.open(ctx); err != nil {
		if r.res != nil {
			err = errors.Join(err, r.res.Close())
		}
		return nil, fmt.Errorf("opening a worker of %s: %w", cfg.Region, err)
	}
	return w, nil
}

func (w *Worker) open(ctx context.Context) error {
	cfg, r := w.cfg, w.region
	catalog, err := residency.NewCatalog(entitiesOf(Config{Services: cfg.Services})...)
	if err != nil {
		return fmt.Errorf("reading the entities of the services: %w", err)
	}
	r.res, err = cfg.Backend.Open(ctx, Opening{
		Region: r.id, Index: r.index, Topology: cfg.Topology, Part: cfg.Part, Published: publishedKeys{r},
		Tag: tagger{cfg.Topology.Jurisdiction(r.index)}.tagIn, Sender: senderOf, Clock: cfg.Clock, Random: cfg.Random, Logger: cfg.Logger,
	})
	if err != nil {
		return err
	}
	w.sync = &synchronisation{
		region: r, catalog: catalog, random: cfg.Random, clock: cfg.Clock, topology: cfg.Topology, classes: make(map[string]*residency.Classes),
	}
	if err := w.openDirectory(ctx); err != nil {
		return err
	}
	if r.res.Keys != nil {
		r.keys = seal.NewKeyring(seal.KeyringConfig{
			Region: r.id, Jurisdiction: cfg.Topology.Jurisdiction(r.index), Keys: r.res.Keys, Wrapper: r.res.TenantKeys, Clock: cfg.Clock,
		})
	}
	return w.openSync()
}

func (w *Worker) openDirectory(ctx context.Context) error {
	cfg, r := w.cfg, w.region
	var err error
	r.directory, err = directory.OpenReplica(ctx, directory.ReplicaConfig{
		Table: r.res.Directory, Topology: cfg.Topology, Copy: r.res.DirectoryCopy, CopyReadOnly: r.res.DirectoryCopyReadOnly,
		Clock: cfg.Clock, Logger: cfg.Logger,
	})
	if err != nil {
		return fmt.Errorf("opening the directory: %w", err)
	}
	if cfg.Part == SweepPart {
		w.writer = directory.NewWriter(directory.WriterConfig{
			Table: r.res.Directory, Region: r.id, Control: cfg.Topology.ID(cfg.Topology.Control()), Clock: cfg.Clock, Random: cfg.Random, Logger: cfg.Logger,
		})
	}
	return w.look(ctx)
}

// look reads what is new in the directory, unless that was done a moment ago. While the table is away, what is known goes on.
func (w *Worker) look(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	// The wall clock alone goes on while the process is frozen; it may be set back.
	first, began := w.polled.IsZero(), w.cfg.Clock().Round(0)
	if age := began.Sub(w.polled); !first && age >= 0 && age < directoryAge {
		return nil
	}
	if err := w.region.directory.Follower.Poll(ctx); err != nil {
		if first && w.region.directory.Loaded.Records == 0 {
			return fmt.Errorf("reading the directory: %w", err)
		}
		w.cfg.Logger.WarnContext(ctx, "the directory could not be read; what was known of it goes on", slog.Any("error", err))
	}
	w.polled = began
	return nil
}

// openSync puts together what tells and applies.
func (w *Worker) openSync() error {
	cfg, r, s := w.cfg, w.region, w.sync
	var err error
	if cfg.Part == RelayPart || cfg.Part == SweepPart {
		s.relay, err = replication.NewRelay(replication.RelayConfig{
			Region: r.id, Topology: cfg.Topology, Table: r.res.Regional, Sender: r.res.Sender, Tenants: s,
			Maker: &replication.Maker{Table: r.res.Regional, Sealer: r.keys, Catalog: s.catalog},
			Clock: cfg.Clock, Jitter: rand.Float64, Rand: cfg.Random,
		})
		if err != nil {
			return fmt.Errorf("making the relay: %w", err)
		}
	}
	if cfg.Part == RelayPart {
		return nil
	}
	applier := replication.ApplierConfig{
		Region: r.id, Topology: cfg.Topology, Replica: r.res.Replica, Regional: r.res.Regional, Shared: true, Directory: s, Classes: s.catalog.Classes(),
		Revision: r.revision, Sender: r.res.Sender, Clock: cfg.Clock, Observer: violationLog{cfg.Logger},
		Background: func(do func()) { do() }, // What went on in the background would be frozen with the process.
	}
	if r.res.Settings != nil {
		if applier.Settings, err = w.takeSettings(); err != nil {
			return err
		}
	}
	if s.applier, err = replication.NewApplier(applier); err != nil {
		return fmt.Errorf("making apply: %w", err)
	}
	return nil
}

// takeSettings is what applies the settings of other regions. It repairs nothing, which the services do.
func (w *Worker) takeSettings() (replication.Settings, error) {
	cfg, r := w.cfg, w.region
	c := &configuration{region: r}
	var err error
	c.kept, err = settings.New(settings.Config{
		Store: r.res.Settings, Region: r.id, Jurisdiction: cfg.Topology.Jurisdiction(r.index),
		Others: func(ident.TenantID) []ident.RegionID { return c.others(Config{Topology: cfg.Topology}) },
		Clock:  cfg.Clock, Rand: cfg.Random,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the settings: %w", err)
	}
	c.mender, err = settings.NewMender(settings.MenderConfig{
		Settings: c.kept, Origins: c.others(Config{Topology: cfg.Topology}), Tenants: c, Jitter: rand.Float64,
		Known: func() []ident.TenantID { return nil },
		Reach: func(ident.RegionID) settings.Origin { return nil },
	})
	if err != nil {
		return nil, fmt.Errorf("making what takes settings: %w", err)
	}
	return c.mender, nil
}

// Relay tells other regions of a batch of the regional table's changes. An error asks for the batch again; what could not be sent is none.
func (w *Worker) Relay(ctx context.Context, changes []store.Change) error {
	if err := w.look(ctx); err != nil {
		return err
	}
	return w.sync.relay.Handle(ctx, changes)
}

// Apply applies messages of one of the region's queues, in their order, and returns the indexes of those that are to be delivered again. What is
// not authentic is done with, and the log says so.
func (w *Worker) Apply(ctx context.Context, name string, messages []queue.Message) (again []int, err error) {
	if err := w.look(ctx); err != nil {
		return nil, err
	}
	box := peer.NewLetterbox(peer.LetterboxConfig{
		Region: w.region.id, Name: name, Keys: w.region.peerKeys(), From: senderOf, Logger: w.cfg.Logger,
	})
	opened := box.OpenAll(ctx, messages)
	verdicts := make([]replication.Verdict, len(messages))
	good := make([]queue.Message, 0, len(messages))
	at := make([]int, 0, len(messages))
	for i, o := range opened {
		switch {
		case o.Forged:
			verdicts[i].Outcome = replication.Done
		case o.Wait:
			verdicts[i].Outcome = replication.Again
		default:
			good, at = append(good, o.Message), append(at, i)
		}
	}
	for i, v := range w.sync.applier.Apply(ctx, good) {
		verdicts[at[i]] = v
	}
	return replication.Unfinished(messages, verdicts), nil
}

// Sweep does what the other parts left: it sends what was not sent, tells where lanes stand, prunes, tries again what was put aside, looks after
// the region's log in the directory, and keeps the copy of the directory. What fails keeps nothing else from being done.
func (w *Worker) Sweep(ctx context.Context) error {
	if err := w.look(ctx); err != nil {
		return err
	}
	_, parked := w.sync.applier.RetryParked(ctx)
	failed := errors.Join(w.sync.relay.Sweep(ctx), parked)
	if _, err := w.writer.Sweep(ctx, directory.DefaultPublishEvery); err != nil {
		failed = errors.Join(failed, fmt.Errorf("sweeping the directory's log: %w", err))
	}
	if err := w.region.directory.SaveCopy(ctx); err != nil && !errors.Is(err, directory.ErrNotNewer) {
		failed = errors.Join(failed, fmt.Errorf("keeping the copy of the directory: %w", err))
	}
	return failed
}

// Close gives back what the worker has open.
func (w *Worker) Close() error { return w.region.res.Close() }
