package globaltable

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// mark says that a peer has to be told of an item. Its version is the stamp's, so that a later write is not taken for told.
type mark struct {
	key     store.Key
	sort    string
	version ident.Version
	// written is when the item was written or marked, by this replica's clock; the lag counts from it.
	written time.Time
}

func markPartition(peer ident.RegionID) string { return markedPartitions + string(peer) }

func markOp(peer ident.RegionID, key store.Key, s stamp, now time.Time) store.Op {
	value := binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano()))
	return store.Op{Kind: store.Put, Item: store.Item{
		Key: store.Key{Partition: markPartition(peer), Sort: sortOf(key)}, Version: s.version(), Tag: bookkeeping(),
		Value: appendKey(value, key),
	}}
}

// marks reads a page of what a peer has to be told, from a sort key on.
func (t *Table) marks(ctx context.Context, peer ident.RegionID, from string) (marks []mark, more bool, err error) {
	page, err := t.cfg.Local.Query(ctx, store.Query{Partition: markPartition(peer), From: from, Limit: store.MaxOps})
	if err != nil {
		return nil, false, fmt.Errorf("reading what %s has to be told: %w", peer, err)
	}
	marks = make([]mark, 0, len(page.Items))
	for _, it := range page.Items {
		if len(it.Value) < 8 {
			return nil, false, fmt.Errorf("%w of %d bytes", errBookkeeping, len(it.Value))
		}
		key, _, err := parseKey(it.Value[8:])
		if err != nil {
			return nil, false, err
		}
		written := time.Unix(0, int64(binary.BigEndian.Uint64(it.Value))) //nolint:gosec // See markOp.
		marks = append(marks, mark{key: key, sort: it.Key.Sort, version: it.Version, written: written})
	}
	return marks, page.More, nil
}

// told removes marks, but for those of items that were written again meanwhile.
func (t *Table) told(ctx context.Context, peer ident.RegionID, marks []mark) error {
	for len(marks) > 0 {
		ops := make([]store.Op, len(marks))
		for i, m := range marks {
			ops[i] = store.Op{Kind: store.Delete, If: store.VersionIs(m.version), Item: store.Item{
				Key: store.Key{Partition: markPartition(peer), Sort: m.sort},
			}}
		}
		err := t.cfg.Local.Commit(ctx, store.Commit{Ops: ops})
		refused := condition(err)
		if err == nil {
			return nil
		}
		if refused == nil {
			return fmt.Errorf("keeping what %s was told: %w", peer, err)
		}
		marks = slices.DeleteFunc(slices.Clone(marks), func(m mark) bool {
			return refused.Failed[slices.IndexFunc(marks, func(o mark) bool { return o.sort == m.sort })]
		})
	}
	return nil
}

// reconcilePeers compares the peers with those of the last time. A new one has to be told everything; what was kept for one
// that is gone is dropped, and should it come back, it is new.
func (t *Table) reconcilePeers(ctx context.Context) error {
	page, err := t.cfg.Local.Query(ctx, store.Query{Partition: peerPartition})
	if err != nil {
		return err
	}
	known := make(map[ident.RegionID]bool)
	for _, it := range page.Items {
		peer := ident.RegionID(it.Key.Sort)
		known[peer] = true
		if slices.Contains(t.cfg.Peers, peer) {
			continue
		}
		forget := store.Op{Kind: store.Delete, Item: store.Item{Key: it.Key}}
		if err := t.cfg.Local.Commit(ctx, store.Commit{Ops: []store.Op{forget}}); err != nil {
			return err
		}
		if err := t.dropMarks(ctx, peer); err != nil {
			return err
		}
	}
	for _, peer := range t.cfg.Peers {
		if known[peer] {
			continue
		}
		if err := t.dropMarks(ctx, peer); err != nil {
			return err
		}
		if err := t.markAll(ctx, peer); err != nil {
			return err
		}
		know := store.Op{Kind: store.Put, Item: store.Item{Key: store.Key{Partition: peerPartition, Sort: string(peer)}, Tag: bookkeeping()}}
		if err := t.cfg.Local.Commit(ctx, store.Commit{Ops: []store.Op{know}}); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) dropMarks(ctx context.Context, peer ident.RegionID) error {
	for {
		marks, more, err := t.marks(ctx, peer, "")
		if err != nil {
			return err
		}
		if err := t.told(ctx, peer, marks); err != nil || !more {
			return err
		}
	}
}

// markAll marks every item that this region wrote, and every tombstone, for a peer. The others' are told by those who wrote them: a
// region's word about another's writes would have to be trusted.
func (t *Table) markAll(ctx context.Context, peer ident.RegionID) error {
	for from, more := "", true; more; {
		page, err := t.cfg.Local.Query(ctx, store.Query{Partition: stampPartition, From: from, Limit: store.MaxOps})
		if err != nil || len(page.Items) == 0 {
			return err
		}
		ops := make([]store.Op, 0, len(page.Items))
		for _, it := range page.Items {
			key, s, err := parseStamp(it)
			if err != nil {
				return err
			}
			if s.region == t.cfg.Region {
				ops = append(ops, markOp(peer, key, s, t.cfg.Clock()))
			}
		}
		if len(ops) > 0 {
			if err := t.cfg.Local.Commit(ctx, store.Commit{Ops: ops}); err != nil {
				return err
			}
		}
		from, more = page.Items[len(page.Items)-1].Key.Sort+"\x00", page.More
	}
	return nil
}
