package globaltable

import (
	"context"
	"errors"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// Replicated is the state of one item as its writer has it.
type Replicated struct {
	// Item is the item; only its Key and Tag count if it was deleted.
	Item store.Item
	// Deleted says that there is none.
	Deleted bool
	// Time is when it was written, in nanoseconds since 1970 by the clock of Writer.
	Time   int64
	Writer ident.RegionID
}

// Receiver takes states of items. It may get them any number of times and in any order.
type Receiver interface {
	// Apply returns when the state is durable at the receiver, or was older than what it has.
	Apply(ctx context.Context, r Replicated) error
}

// Apply takes the state of an item from another replica.
func (t *Table) Apply(ctx context.Context, r Replicated) error {
	defer t.lock(r.Item.Key)()
	have, err := t.stampOf(ctx, r.Item.Key)
	if err != nil {
		return err
	}
	s := stamp{time: r.Time, region: r.Writer}
	if !have.before(s) {
		return nil
	}
	op := store.Op{Kind: store.Put, Item: r.Item}
	if r.Deleted {
		op.Kind = store.Delete
	}
	return t.cfg.Local.Commit(ctx, store.Commit{Ops: t.operations(op, s)})
}

// state reads an item as it is told to others; false if neither it nor a tombstone is there any more.
func (t *Table) state(ctx context.Context, key store.Key) (Replicated, bool, error) {
	item, err := t.cfg.Local.Get(ctx, itemKey(key))
	deleted := errors.Is(err, store.ErrNotFound)
	if deleted {
		item, err = t.cfg.Local.Get(ctx, tombstoneKey(key))
	}
	if errors.Is(err, store.ErrNotFound) {
		return Replicated{}, false, nil
	}
	if err != nil {
		return Replicated{}, false, err
	}
	s, value, err := decodeStamp(item.Value)
	if err != nil {
		return Replicated{}, false, err
	}
	item.Key, item.Value = key, value
	return Replicated{Item: item, Deleted: deleted, Time: s.time, Writer: s.region}, true, nil
}
