package directory

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

const (
	// RepetitionTTL is how long an idempotency key stands for its first call.
	RepetitionTTL = 24 * time.Hour
	// finishTimeout bounds a commit and what follows it. They run to their end though the caller has gone, so that the
	// outcome is known.
	finishTimeout = 5 * time.Second
	// sends is how often a commit of unknown outcome is sent.
	sends = 3
)

// WriterConfig is what a Writer is made of.
type WriterConfig struct {
	// Table is the replica of the region that writes.
	Table Table
	// Region is the region that writes, and the name of its log.
	Region ident.RegionID
	// Control is the control region: the only writer of tenants and keys.
	Control ident.RegionID
	// Clock dates records and repetitions; time.Now in production.
	Clock func() time.Time
	// Random names commits; crypto/rand.Reader in production.
	Random io.Reader
	// Logger gets what could not be finished after a commit; nothing is logged without it.
	Logger *slog.Logger
	// Applied, if set, is called with each record that this Writer committed, before Write returns, so that the region that
	// wrote it need not wait for its own follower.
	Applied func(*directoryv1.Record)
}

// Writer appends to one region's log. Any number of Writers, also in different processes, may append to the same log through
// the same replica: taking a number is the commit, and exactly one of them takes it.
//
// Between Write calls the state items show every record but at most the last one; the next Write or Sweep mends that.
// All methods are safe for concurrent use.
type Writer struct {
	cfg WriterConfig
	// turn holds one token: writes of one process do not race each other, and a caller who waits can leave.
	turn chan struct{}
	// applied is the last record whose state items are known to be there. The holder of the turn owns it.
	applied ident.Seq
}

// NewWriter returns a writer.
func NewWriter(cfg WriterConfig) *Writer {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Writer{cfg: cfg, turn: make(chan struct{}, 1)}
}

// errLostRace says that another writer took the number.
var errLostRace = errors.New("another writer took the number")

// Write appends the record that decide returns, and returns it with its number. decide reads the state of all records before
// it from the View; it sets the subject, and the repetition if the call had an idempotency key, and nothing else. It may be
// called several times: whenever another writer was faster, what it returned is dropped, an error included, and it decides
// again on what is so by then. A decision that nothing is to be written (nil, nil) is returned as such.
//
// An error of decide is returned as it is. OUTCOME_UNKNOWN says that the record may have been written or not.
func (w *Writer) Write(
	ctx context.Context, decide func(context.Context, View) (*directoryv1.Record, error),
) (*directoryv1.Record, error) {
	release, err := w.take(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	for {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("writing to the directory: %w", err)
		}
		last, err := w.catchUp(ctx)
		if err != nil {
			return nil, err
		}
		record, err := w.attempt(ctx, last, decide)
		if errors.Is(err, errLostRace) {
			continue
		}
		return record, err
	}
}

// take waits for the turn to write.
func (w *Writer) take(ctx context.Context) (release func(), err error) {
	select {
	case w.turn <- struct{}{}:
		return func() { <-w.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to write to the directory: %w", ctx.Err())
	}
}

// catchUp reads the last record and brings the state items up to it. No writer appends before it has done this, so all
// records but the last are in the state items already.
func (w *Writer) catchUp(ctx context.Context) (ident.Seq, error) {
	last, err := readLast(ctx, w.cfg.Table, w.cfg.Region)
	if err != nil || last == nil {
		return 0, err
	}
	n := ident.Seq(last.GetWseq())
	if n == w.applied {
		return n, nil
	}
	if err := w.applyState(ctx, last); err != nil {
		return 0, err
	}
	w.applied = n
	return n, nil
}

// readLast returns the last record of a log, or nil.
func readLast(ctx context.Context, table Table, writer ident.RegionID) (*directoryv1.Record, error) {
	page, err := table.Query(ctx, store.Query{Partition: logPartition(writer), Descending: true, Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("reading the last directory record: %w", err)
	}
	if len(page.Items) == 0 {
		return nil, nil //nolint:nilnil // An empty log has no last record.
	}
	return decodeLog(writer, page.Items[0])
}

// attempt decides on the state as of record last and takes the number after it.
func (w *Writer) attempt(
	ctx context.Context, last ident.Seq, decide func(context.Context, View) (*directoryv1.Record, error),
) (*directoryv1.Record, error) {
	decided, err := decide(ctx, View{table: w.cfg.Table, writer: w.cfg.Region, last: last})
	if err != nil || decided == nil {
		// The reads behind a refusal are of one state only if no record came in between.
		moved, readErr := w.exists(ctx, last+1)
		switch {
		case readErr != nil:
			return nil, errors.Join(readErr, err)
		case moved:
			return nil, errLostRace
		}
		return nil, err
	}
	record := proto.CloneOf(decided)
	record.Writer = string(w.cfg.Region)
	record.Wseq = uint64(last + 1)
	record.WriteTime = timestamppb.New(w.cfg.Clock())
	if !authorized(record, w.cfg.Control) {
		return nil, fmt.Errorf("region %s may not write this kind of directory record", w.cfg.Region)
	}
	item, err := logItem(record)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	if err := w.append(ctx, item); err != nil {
		return nil, err
	}
	w.finish(ctx, record)
	return record, nil
}

func (w *Writer) exists(ctx context.Context, n ident.Seq) (bool, error) {
	_, err := w.cfg.Table.Get(ctx, logKey(w.cfg.Region, n))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reading a directory record: %w", err)
	default:
		return true, nil
	}
}

// append puts a record if its number is free. While the outcome is unknown it sends the same commit again: its token makes
// that safe.
func (w *Writer) append(ctx context.Context, item store.Item) error {
	var token [16]byte
	if _, err := io.ReadFull(w.cfg.Random, token[:]); err != nil {
		return fmt.Errorf("naming a directory commit: %w", err)
	}
	commit := store.Commit{
		Ops:   []store.Op{{Kind: store.Put, Item: item, If: store.Absent()}},
		Token: hex.EncodeToString(token[:]),
	}
	var err error
	for range sends {
		err = w.cfg.Table.Commit(ctx, commit)
		switch {
		case err == nil:
			return nil
		case isConditionError(err):
			return errLostRace
		case errors.Is(err, store.ErrFull):
			return fault.Wrap(errorsv1.Reason_REASON_STORAGE_FULL, err, "the directory has no space left")
		case errors.Is(err, store.ErrTooLarge), errors.Is(err, store.ErrInvalid):
			return fmt.Errorf("appending to the directory: %w", err)
		}
	}
	return fault.Wrap(errorsv1.Reason_REASON_OUTCOME_UNKNOWN, err,
		"it is not known whether the change was written; read it, or repeat the call with its idempotency key")
}

// finish does what follows a commit. What fails here is done by the next writer or the sweeper.
func (w *Writer) finish(ctx context.Context, record *directoryv1.Record) {
	if err := w.applyState(ctx, record); err != nil {
		w.cfg.Logger.WarnContext(ctx, "directory state is behind its log until the next write or sweep",
			slog.String("writer", string(w.cfg.Region)), slog.Uint64("wseq", record.GetWseq()), slog.Any("error", err))
	} else {
		w.applied = ident.Seq(record.GetWseq())
	}
	if w.cfg.Applied != nil {
		w.cfg.Applied(record)
	}
}

func isConditionError(err error) bool {
	var condition *store.ConditionError
	return errors.As(err, &condition)
}
