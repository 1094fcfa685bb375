package replication

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// standbyFeed is the feed of whole entities.
const standbyFeed = replicationv1.Feed_FEED_STANDBY

// dirtyAt is the version of the mark of a pair that reaches to a position. So a mark that is put says that this position, and with it
// all before, may not be sent; and one that is deleted at the version as read, after the lane was sent from its cursor to its end, takes no
// later word with it. Ownerships do not count: numbers go on from one to the next.
func dirtyAt(head ident.Seq) ident.Version { return ident.Version{Epoch: 1, Seq: head} }

// markDirty puts marks for a destination, so far as there are none of the same or a later position.
func (r *Relay) markDirty(ctx context.Context, to ident.RegionID, pairs map[pair]ident.Seq) error {
	ops := make([]store.Op, 0, len(pairs))
	for _, p := range sortedPairs(pairs) {
		at := dirtyAt(pairs[p])
		ops = append(ops, store.Op{Kind: store.Put, If: store.OlderThan(at), Item: store.Item{
			Key: keyspace.Dirty(to, p.tenant, p.lane, p.feed), Version: at,
			Tag: store.Tag{Tenant: p.tenant, Class: store.ClassGlobal, Jurisdiction: r.jurisdiction},
		}})
	}
	if err := commitEach(ctx, r.cfg.Table, ops); err != nil {
		return fmt.Errorf("marking what could not be sent: %w", err)
	}
	return nil
}

// clean deletes marks that are as they were read.
func (r *Relay) clean(ctx context.Context, marks []store.Item) error {
	ops := make([]store.Op, 0, len(marks))
	for _, m := range marks {
		ops = append(ops, store.Op{Kind: store.Delete, If: store.VersionIs(m.Version), Item: store.Item{Key: m.Key}})
	}
	if err := commitEach(ctx, r.cfg.Table, ops); err != nil {
		return fmt.Errorf("deleting marks of what was sent: %w", err)
	}
	return nil
}

// commitEach commits operations that have nothing to do with each other: those whose condition does not hold are left out.
func commitEach(ctx context.Context, table store.Store, ops []store.Op) error {
	for chunk := range slices.Chunk(ops, store.MaxOps/2) {
		for len(chunk) > 0 {
			err := table.Commit(ctx, store.Commit{Ops: chunk})
			if err == nil {
				break
			}
			conditions, ok := errors.AsType[*store.ConditionError](err)
			if !ok || len(conditions.Failed) != len(chunk) {
				return err
			}
			kept := make([]store.Op, 0, len(chunk))
			for i, op := range chunk {
				if !conditions.Failed[i] {
					kept = append(kept, op)
				}
			}
			if len(kept) == len(chunk) {
				return err
			}
			chunk = kept
		}
	}
	return nil
}

// sortedPairs returns the pairs in an order that does not change from run to run.
func sortedPairs(pairs map[pair]ident.Seq) []pair {
	all := make([]pair, 0, len(pairs))
	for p := range pairs {
		all = append(all, p)
	}
	slices.SortFunc(all, func(x, y pair) int {
		return cmp.Or(strings.Compare(string(x.tenant), string(y.tenant)), cmp.Compare(x.lane, y.lane), cmp.Compare(x.feed, y.feed))
	})
	return all
}
