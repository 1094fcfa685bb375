package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// DefaultInterval is how long a follower rests when no doorbell rings.
const DefaultInterval = 500 * time.Millisecond

// Sink takes the records that a follower found. An Index is one. Records come at least once, in any order, and of each writer
// only those that it is entitled to; a sink keeps the one with the highest number of each writer and subject.
type Sink interface {
	Apply(records []*directoryv1.Record)
}

// FollowerConfig is what a Follower is made of.
type FollowerConfig struct {
	// Table is the replica of the follower's region.
	Table Table
	// Writers are the regions whose logs are followed: all of them.
	Writers []ident.RegionID
	// Control is the control region, the only one whose records of tenants and keys count.
	Control ident.RegionID
	// Sink gets the records.
	Sink Sink
	// Start is how far the sink's state goes already, from a Snapshot; empty: not at all.
	Start []*directoryv1.Position
	// Interval is how long to rest when no doorbell rings; DefaultInterval when zero. A poll is a query for each writer.
	Interval time.Duration
	// Logger gets failures to read, once when they begin, and records that cannot be used; nothing is logged without it.
	Logger *slog.Logger
}

// Follower reads the logs of all writers into a sink. Poll is one step of it, without goroutines or clock; Run is the loop.
// All methods are safe for concurrent use.
type Follower struct {
	cfg FollowerConfig
	// polling serializes polls.
	polling sync.Mutex

	mu      sync.Mutex
	cursors map[ident.RegionID]cursor
	// moved is closed, and replaced, when something was applied.
	moved chan struct{}
}

// NewFollower returns a follower that begins where Start says.
func NewFollower(cfg FollowerConfig) *Follower {
	if cfg.Interval <= 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Follower{cfg: cfg, cursors: make(map[ident.RegionID]cursor, len(cfg.Writers)), moved: make(chan struct{})}
	for _, writer := range cfg.Writers {
		f.cursors[writer] = cursor{}
	}
	for _, p := range cfg.Start {
		writer := ident.RegionID(p.GetWriter())
		if c, ok := f.cursors[writer]; ok {
			f.cursors[writer] = c.completeTo(ident.Seq(p.GetWseq()))
		}
	}
	return f
}

// Position returns the number up to which every record of a writer has been applied.
func (f *Follower) Position(writer ident.RegionID) ident.Seq {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cursors[writer].position
}

// Positions returns Position for all writers that anything is known of, in the order of the configuration. A state read from
// the sink afterwards is complete to them.
func (f *Follower) Positions() []*directoryv1.Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	var positions []*directoryv1.Position
	for _, writer := range f.cfg.Writers {
		if n := f.cursors[writer].position; n > 0 {
			positions = append(positions, &directoryv1.Position{Writer: string(writer), Wseq: uint64(n)})
		}
	}
	return positions
}

// Moved returns a channel that is closed when the next records have been applied.
func (f *Follower) Moved() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.moved
}

// WaitFor returns when every record of a writer up to n has been applied, or with the context's error.
func (f *Follower) WaitFor(ctx context.Context, writer ident.RegionID, n ident.Seq) error {
	for {
		moved := f.Moved()
		if f.Position(writer) >= n {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("waiting for directory record %d of %s: %w", n, writer, ctx.Err())
		}
	}
}

// Poll reads once what is new in each writer's log and applies it. A log that cannot be read does not keep the others back.
func (f *Follower) Poll(ctx context.Context) error {
	f.polling.Lock()
	defer f.polling.Unlock()
	var failed []error
	for _, writer := range f.cfg.Writers {
		if err := f.pollWriter(ctx, writer); err != nil {
			failed = append(failed, fmt.Errorf("following %s: %w", writer, err))
		}
	}
	return errors.Join(failed...)
}

func (f *Follower) pollWriter(ctx context.Context, writer ident.RegionID) error {
	f.mu.Lock()
	c := f.cursors[writer]
	f.mu.Unlock()
	for _, s := range c.missing() {
		q := store.Query{Partition: logPartition(writer), From: logSort(s.from)}
		if s.to > 0 {
			q.To = logSort(s.to + 1)
		}
		for more := true; more; {
			page, err := f.cfg.Table.Query(ctx, q)
			if err != nil {
				return fmt.Errorf("reading the directory: %w", err)
			}
			if len(page.Items) == 0 {
				break
			}
			c = f.takeLog(ctx, writer, c, page.Items)
			q.From, more = page.Items[len(page.Items)-1].Key.Sort+"\x00", page.More
		}
	}
	if !c.gap() {
		return nil
	}
	return f.loadPublished(ctx, writer, c)
}

// takeLog applies a page of a log. A record that cannot be read holds the position back, and no other record.
func (f *Follower) takeLog(ctx context.Context, writer ident.RegionID, c cursor, items []store.Item) cursor {
	records := make([]*directoryv1.Record, 0, len(items))
	numbers := make([]ident.Seq, 0, len(items))
	for _, item := range items {
		record, err := decodeLog(writer, item)
		if err != nil {
			f.cfg.Logger.ErrorContext(ctx, "a directory record cannot be read", slog.Any("error", err))
			continue
		}
		numbers = append(numbers, ident.Seq(record.GetWseq()))
		records = append(records, record)
	}
	f.apply(ctx, writer, records)
	c = c.with(numbers)
	f.moveTo(writer, c)
	return c
}

// loadPublished looks for a published snapshot beyond the position: what is missing may have been pruned below it.
func (f *Follower) loadPublished(ctx context.Context, writer ident.RegionID, c cursor) error {
	return newestSets(ctx, f.cfg.Table, writer, c.position, func(last pieceID) (bool, error) {
		whole, err := readSet(ctx, f.cfg.Table, writer, last, func(records []*directoryv1.Record) error {
			f.apply(ctx, writer, records)
			return nil
		})
		if err != nil || !whole {
			return true, err
		}
		f.moveTo(writer, c.completeTo(last.set.complete))
		return false, nil
	})
}

// apply gives the sink what the writer is entitled to say.
func (f *Follower) apply(ctx context.Context, writer ident.RegionID, records []*directoryv1.Record) {
	usable := records[:0]
	for _, record := range records {
		switch {
		case record.GetSubject() == nil:
			// A kind of record that a later release knows.
		case ident.RegionID(record.GetWriter()) != writer || !authorized(record, f.cfg.Control):
			f.cfg.Logger.ErrorContext(ctx, "a directory record speaks of what its writer has no say in",
				slog.String("writer", string(writer)), slog.Uint64("wseq", record.GetWseq()))
		default:
			usable = append(usable, record)
		}
	}
	if len(usable) > 0 {
		f.cfg.Sink.Apply(usable)
	}
}

// moveTo makes a cursor known. What it says is in the sink already.
func (f *Follower) moveTo(writer ident.RegionID, c cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cursors[writer] = c
	close(f.moved)
	f.moved = make(chan struct{})
}

// Run polls whenever the doorbell rings, and each interval, until ctx ends, whose error it returns.
func (f *Follower) Run(ctx context.Context) error {
	bell := make(chan struct{}, 1)
	var listening sync.WaitGroup
	listening.Go(func() { f.listen(ctx, bell) })
	defer listening.Wait()
	ticker := time.NewTicker(f.cfg.Interval)
	defer ticker.Stop()
	failing := false
	for {
		err := f.Poll(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("following the directory: %w", ctx.Err())
		}
		if err != nil && !failing {
			f.cfg.Logger.WarnContext(ctx, "the directory cannot be followed; going on with what is known", slog.Any("error", err))
		} else if err == nil && failing {
			f.cfg.Logger.InfoContext(ctx, "the directory is followed again")
		}
		failing = err != nil
		select {
		case <-bell:
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("following the directory: %w", ctx.Err())
		}
	}
}

// listen rings the bell when a log or a published snapshot changes. Without the feed the interval alone drives the follower.
func (f *Follower) listen(ctx context.Context, bell chan<- struct{}) {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-rest.C:
		case <-ctx.Done():
			return
		}
		open := false
		err := f.cfg.Table.Changes(ctx, func(changes []store.Change) error {
			// The first batch says that the feed has begun: what came between the last poll and this moment was not told.
			if !open || rings(changes) {
				open = true
				select {
				case bell <- struct{}{}:
				default: // It rings already.
				}
			}
			return nil
		})
		if ctx.Err() == nil {
			f.cfg.Logger.WarnContext(ctx, "the directory's change feed ended; polling goes on", slog.Any("error", err))
		}
		rest.Reset(f.cfg.Interval)
	}
}

func rings(changes []store.Change) bool {
	for _, change := range changes {
		if p := change.Key.Partition; len(p) > 2 && (p[:2] == logPartitions || p[:2] == publishedPartitions) {
			return true
		}
	}
	return false
}
