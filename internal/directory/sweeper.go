package directory

import (
	"context"
	"fmt"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// DefaultPublishEvery is how many records a log grows by, at the least, between two published snapshots.
const DefaultPublishEvery = 10_000

// SweepReport says what a Sweep did.
type SweepReport struct {
	// Last is the number of the log's last record; the state items show it.
	Last ident.Seq
	// Published says that a snapshot complete to Last was published.
	Published bool
	// Pruned is how many records of the log, and pieces of old snapshots, were deleted.
	Pruned int
	// More says that there is more to delete now.
	More bool
}

// Sweep is one step of housekeeping on the writer's own log: it brings the state items up to the last record, publishes a
// snapshot when the log has grown by publishEvery records and by half of what the last snapshot held, and deletes a page of
// what lies below the snapshot before the newest. So followers that are less than one snapshot behind need the log alone.
//
// A loop calls it every minute or so, again at once while there is More. Any number may run at once.
func (w *Writer) Sweep(ctx context.Context, publishEvery uint64) (SweepReport, error) {
	last, err := w.mend(ctx)
	if err != nil {
		return SweepReport{}, err
	}
	report := SweepReport{Last: last}
	newest, before, err := w.publishedSets(ctx)
	if err != nil {
		return report, err
	}
	if last > 0 && uint64(last-newest.set.complete) >= max(publishEvery, newest.total/2, 1) {
		if err := publish(ctx, w.cfg.Table, w.cfg.Region, last, w.cfg.Random); err != nil {
			return report, err
		}
		report.Published = true
		before = newest
	}
	if before.set.complete == 0 {
		return report, nil
	}
	// Records up to the older snapshot, and what is left of sets before it. Both exclude what they stop at, and the last record is
	// beyond both, so that there always is one.
	for _, q := range []store.Query{
		{Partition: logPartition(w.cfg.Region), To: logSort(before.set.complete + 1), Limit: store.MaxPage},
		{Partition: publishedPartition(w.cfg.Region), To: logSort(before.set.complete), Limit: piecesPerPage},
	} {
		pruned, more, err := w.prune(ctx, q)
		report.Pruned += pruned
		report.More = report.More || more
		if err != nil {
			return report, err
		}
	}
	return report, nil
}

// mend brings the state items up to the log's last record.
func (w *Writer) mend(ctx context.Context) (ident.Seq, error) {
	release, err := w.take(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	return w.catchUp(ctx)
}

// publishedSets returns the last pieces of the newest finished set and of the newest one that is complete to less.
func (w *Writer) publishedSets(ctx context.Context) (newest, before pieceID, err error) {
	err = newestSets(ctx, w.cfg.Table, w.cfg.Region, 0, func(piece pieceID) (bool, error) {
		switch {
		case piece.total == 0:
			// Its publisher is at work, or died.
		case newest.total == 0:
			newest = piece
		case piece.set.complete < newest.set.complete:
			before = piece
			return false, nil
		}
		return true, nil
	})
	return newest, before, err
}

// prune deletes one page of items.
func (w *Writer) prune(ctx context.Context, q store.Query) (pruned int, more bool, err error) {
	page, err := w.cfg.Table.Query(ctx, q)
	if err != nil {
		return 0, false, fmt.Errorf("looking for directory items to prune: %w", err)
	}
	for _, item := range page.Items {
		err := w.cfg.Table.Commit(ctx, store.Commit{Ops: []store.Op{{Kind: store.Delete, Item: store.Item{Key: item.Key}}}})
		if err != nil {
			return pruned, false, fmt.Errorf("pruning the directory: %w", err)
		}
		pruned++
	}
	return pruned, page.More, nil
}
