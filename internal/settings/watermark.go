package settings

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// watermark is how far another region's stream is applied: all up to reached, and what mark holds ahead of it.
type watermark struct {
	row

	// guard is the item that changes with every change of the watermark: its version alone does not show one that is ahead.
	guard   row
	origin  ident.RegionID
	reached ident.Seq
	mark    *storagev1.Watermark
}

func (s *Settings) watermark(ctx context.Context, tenant ident.TenantID, origin ident.RegionID) (*watermark, error) {
	w := &watermark{origin: origin, mark: &storagev1.Watermark{}}
	var err error
	if w.row, err = s.read(ctx, keyspace.SettingsWatermark(tenant, origin), w.mark); err != nil {
		return nil, err
	}
	if w.guard, err = s.read(ctx, keyspace.SettingsGuard(tenant, origin), &storagev1.Watermark{}); err != nil {
		return nil, err
	}
	w.reached = w.version.Seq
	return w, nil
}

// has tells whether a position is applied.
func (w *watermark) has(seq ident.Seq) bool {
	return seq <= w.reached || slices.ContainsFunc(w.mark.GetAhead(), func(i *storagev1.Interval) bool {
		return i.GetFirst() <= uint64(seq) && uint64(seq) <= i.GetLast()
	})
}

// add takes note that positions from first to last are applied.
func (w *watermark) add(first, last ident.Seq) {
	w.mark = proto.CloneOf(w.mark)
	all := append(w.mark.GetAhead(), &storagev1.Interval{First: uint64(first), Last: uint64(last)})
	slices.SortFunc(all, func(a, b *storagev1.Interval) int { return cmp.Compare(a.GetFirst(), b.GetFirst()) })
	merged := all[:1]
	for _, i := range all[1:] {
		if end := merged[len(merged)-1]; i.GetFirst() <= end.GetLast()+1 {
			end.Last = max(end.GetLast(), i.GetLast())
			continue
		}
		merged = append(merged, i)
	}
	for len(merged) > 0 && merged[0].GetFirst() <= uint64(w.reached)+1 {
		w.reached = max(w.reached, ident.Seq(merged[0].GetLast()))
		merged = merged[1:]
	}
	w.mark.Ahead = merged
	w.mark.Highest = max(w.mark.GetHighest(), uint64(w.reached), uint64(last))
	if w.mark.GetBehind() && uint64(w.reached) >= w.mark.GetBehindSeq() {
		w.mark.Behind, w.mark.BehindEpoch, w.mark.BehindSeq = false, 0, 0
	}
}

// ops are the operations that store the watermark.
func (w *watermark) ops(s *Settings, tenant ident.TenantID) ([]store.Op, error) {
	mark, err := s.put(tenant, keyspace.SettingsWatermark(tenant, w.origin), w.row, ident.Version{Epoch: Epoch, Seq: w.reached}, w.mark)
	if err != nil {
		return nil, err
	}
	guard, err := s.put(tenant, keyspace.SettingsGuard(tenant, w.origin), w.guard, w.guard.next(), &storagev1.Watermark{})
	if err != nil {
		return nil, err
	}
	return []store.Op{mark, guard}, nil
}

// Reached returns how far the streams of a tenant's settings are applied here without a gap, by the region that wrote them: the region's
// own to its end. Everything up to there shows in what this region answers.
func (s *Settings) Reached(ctx context.Context, tenant ident.TenantID) (map[ident.RegionID]ident.Seq, error) {
	reached := map[ident.RegionID]ident.Seq{}
	own, err := s.end(ctx, tenant, nil)
	if err != nil {
		return nil, err
	}
	if own.there {
		reached[s.cfg.Region] = own.version.Seq
	}
	err = s.scan(ctx, tenant, keyspace.Watermarks, func(item store.Item) error {
		if feed, origin, ok := keyspace.ParseWatermark(item.Key.Sort); ok && feed == replicationv1.Feed_FEED_SETTINGS {
			reached[origin] = item.Version.Seq
		}
		return nil
	})
	return reached, err
}

// scan calls fn with the items of a range of sort keys. There are few: one for each region, or what waits.
func (s *Settings) scan(ctx context.Context, tenant ident.TenantID, bounds func() (first, end string), fn func(store.Item) error) error {
	first, end := bounds()
	for {
		page, err := s.cfg.Store.Query(ctx, store.Query{Partition: keyspace.Settings(tenant), From: first, To: end, Limit: queryPage})
		if err != nil {
			return fmt.Errorf("reading settings: %w", err)
		}
		for _, item := range page.Items {
			if err := fn(item); err != nil {
				return err
			}
			first = item.Key.Sort + "\x00"
		}
		if !page.More {
			return nil
		}
	}
}

// Watermark returns what is known of another region's stream beyond its gapless prefix, for who repairs it; empty when nothing of it has
// come.
func (s *Settings) Watermark(ctx context.Context, tenant ident.TenantID, origin ident.RegionID) (*storagev1.Watermark, error) {
	w, err := s.watermark(ctx, tenant, origin)
	if err != nil {
		return nil, err
	}
	return w.mark, nil
}
