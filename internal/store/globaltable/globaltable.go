// Package globaltable is the embedded model of a DynamoDB global table: a replica of one table in each region, that takes
// writes and tells the others afterwards.
//
// What it promises, which is what DynamoDB promises and no more:
//
//   - A replica is a store.Store whose commits have one operation, since items replicate one by one. Its reads and conditions are
//     about itself alone.
//   - An item that was written is told to every other replica in the end, also after crashes and partitions. There is no order
//     between items, and of an item that changes often, states may be left out.
//   - Of two writes of one item the later wins everywhere: by the writers' clocks, and if those are equal by the region's id.
//     A replica's own write is always later than what it overwrites. A delete is remembered for TombstoneTTL.
//
// An item is stored as it was given. Beside it stands a record with the write's time and region, and for each peer a mark
// that it has yet to be told; they are committed together, so a crash loses nothing, and several writes of one item are told
// as one. A Receiver is the other end: the replica itself within a process, or whatever carries items to it.
package globaltable

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// TombstoneTTL is how long a delete, or an item that expired, is remembered. A replica that was away for longer may bring an
// older state of it back.
const TombstoneTTL = 30 * 24 * time.Hour

// The bookkeeping has partitions of the local table that begin so. Items may not.
const (
	reserved         = "\x00globaltable/"
	stampPartition   = reserved + "stamps"
	peerPartition    = reserved + "peers"
	tokenPartition   = reserved + "tokens"
	markedPartitions = reserved + "tell/"
)

// Config is what a replica is made of.
type Config struct {
	// Region is the replica's own.
	Region ident.RegionID
	// Peers are the regions that have the other replicas, whether they are connected or not: what they were not told yet is kept.
	// One that was not there at the last Open is told everything.
	Peers []ident.RegionID
	// Local is the table that holds this replica and its bookkeeping. Nobody else may write to it.
	Local store.Store
	// Clock orders writes of different regions; time.Now in production.
	Clock func() time.Time
	// Logger gets failures to deliver, once when they begin.
	Logger *slog.Logger
}

// Table is one region's replica. All methods are safe for concurrent use.
type Table struct {
	cfg Config

	mu    sync.Mutex
	links map[ident.RegionID]*Link
}

var (
	_ store.Store = (*Table)(nil)
	_ Receiver    = (*Table)(nil)
)

// Open returns a region's replica, with what it has not told yet. If there is a new peer, it marks every item for it.
func Open(ctx context.Context, cfg Config) (*Table, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Table{cfg: cfg, links: make(map[ident.RegionID]*Link)}
	if err := t.reconcilePeers(ctx); err != nil {
		return nil, fmt.Errorf("preparing what peers have to be told: %w", err)
	}
	return t, nil
}

var errReserved = fmt.Errorf("%w: the partition's name is reserved", store.ErrInvalid)

func checkPartition(name string) error {
	if strings.HasPrefix(name, reserved) {
		return errReserved
	}
	return nil
}

// Get returns an item of this replica, or store.ErrNotFound.
func (t *Table) Get(ctx context.Context, key store.Key) (store.Item, error) {
	if err := checkPartition(key.Partition); err != nil {
		return store.Item{}, err
	}
	return t.cfg.Local.Get(ctx, key)
}

// Query returns a page of a partition of this replica.
func (t *Table) Query(ctx context.Context, q store.Query) (store.Page, error) {
	if err := checkPartition(q.Partition); err != nil {
		return store.Page{}, err
	}
	return t.cfg.Local.Query(ctx, q)
}

// Changes is the doorbell of this replica: it rings for its own writes and for those that came from others.
func (t *Table) Changes(ctx context.Context, fn func([]store.Change) error) error {
	return t.cfg.Local.Changes(ctx, func(batch []store.Change) error {
		items := make([]store.Change, 0, len(batch))
		for _, c := range batch {
			if checkPartition(c.Key.Partition) == nil {
				items = append(items, c)
			}
		}
		if len(items) == 0 && len(batch) > 0 {
			return nil // Bookkeeping alone. An empty batch says something and is passed on.
		}
		return fn(items)
	})
}

// condition returns err as a refusal, or nil.
func condition(err error) *store.ConditionError {
	if refused, ok := errors.AsType[*store.ConditionError](err); ok {
		return refused
	}
	return nil
}
