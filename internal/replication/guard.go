package replication

import (
	"context"
	"errors"
	"fmt"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// guard is an item beside a watermark in tables that several processes share. A condition sees a watermark's version, the end of the gapless prefix;
// of a change of what else it says it sees nothing, and the next who writes would take that back: a position that was shown, or a
// repair that is owed. So who changes a watermark and not its version puts the guard anew, who moves the version deletes it, and either fails
// if the guard is not as it was read before the watermark. As a rule there is none, and that is taken for granted without a look.
type guard struct {
	on bool
	// stored is the guard as read, if there was one; next is the version of the one that is put.
	stored *ident.Version
	next   ident.Version
}

// read looks whether there is a guard. It comes before the reading of the watermark.
func (g *guard) read(ctx context.Context, table store.Store, id streamID) error {
	item, err := table.Get(ctx, keyspace.Guard(id.tenant, id.lane, id.feed, id.origin))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the guard of a watermark: %w", err)
	}
	g.stored = &item.Version
	return nil
}

// op is the operation on the guard of a transaction that changes its watermark.
func (g *guard) op(t *txn) store.Op {
	key := keyspace.Guard(t.stream.tenant, t.stream.lane, t.stream.feed, t.stream.origin)
	condition := store.Absent()
	if g.stored != nil {
		condition = store.VersionIs(*g.stored)
	}
	switch moved := t.before == nil || t.beforeAt != t.mark.version; {
	case !moved:
		return store.Op{Kind: store.Put, If: condition, Item: store.Item{Key: key, Version: g.next, Tag: t.tag(store.ClassGlobal)}}
	case g.stored != nil:
		return store.Op{Kind: store.Delete, If: condition, Item: store.Item{Key: key}}
	default:
		return store.Op{Kind: store.Check, If: condition, Item: store.Item{Key: key}}
	}
}
