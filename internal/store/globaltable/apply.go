package globaltable

import (
	"context"
	"errors"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// Replicated is the state of one item as its writer has it.
type Replicated struct {
	// Item is the item; only its Key counts if it was deleted.
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

// BatchReceiver is a Receiver that takes several states at once, because each call to it takes long.
type BatchReceiver interface {
	Receiver
	// ApplyAll returns when all states are durable at the receiver, or were older than what it has. When it fails, some may be.
	ApplyAll(ctx context.Context, rs []Replicated) error
}

// Apply takes the state of an item from another replica. It is not told on: its writer tells everybody itself.
func (t *Table) Apply(ctx context.Context, r Replicated) error {
	if err := errors.Join(r.Item.Key.Validate(), checkPartition(r.Item.Key.Partition)); err != nil {
		return err
	}
	op := store.Op{Kind: store.Put, Item: r.Item}
	if r.Deleted {
		op.Kind = store.Delete
	}
	s := stamp{time: r.Time, region: r.Writer}
	for {
		have, err := t.stampOf(ctx, r.Item.Key)
		if err != nil {
			return err
		}
		if !have.before(s) {
			return nil
		}
		err = t.cfg.Local.Commit(ctx, store.Commit{Ops: []store.Op{op, t.stampOp(op, have, s)}})
		if condition(err) == nil {
			return err
		}
		// The item was written in between: compare again.
	}
}

// state reads an item as it is told to others; false if it is forgotten. Item and stamp are two reads: they belong together if
// the stamp is the same before and after.
func (t *Table) state(ctx context.Context, key store.Key) (Replicated, bool, error) {
	for {
		s, err := t.stampOf(ctx, key)
		if err != nil || s == (stamp{}) {
			return Replicated{}, false, err
		}
		it, err := t.cfg.Local.Get(ctx, key)
		deleted := errors.Is(err, store.ErrNotFound)
		if err != nil && !deleted {
			return Replicated{}, false, err
		}
		again, err := t.stampOf(ctx, key)
		if err != nil {
			return Replicated{}, false, err
		}
		if again != s {
			continue
		}
		it.Key = key
		return Replicated{Item: it, Deleted: deleted, Time: s.time, Writer: s.region}, true, nil
	}
}
