package replication

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// txn is a transaction in the making: what some events change in one stream's table, with its watermark. Every item that a decision
// was made on is pinned: the commit fails if it has changed since.
type txn struct {
	stream streamID
	table  store.Store
	// jurisdiction and tenant are what items are tagged with.
	jurisdiction ident.Jurisdiction

	mark    *mark
	markKey store.Key
	// before is the mark as stored; nil when there is none.
	before   []byte
	beforeAt ident.Version
	// guard says what else than its version has changed of the mark, where other processes change it too.
	guard guard
	// graves says that there may be tombstones.
	graves bool
	slots  map[store.Key]*slot
	order  []store.Key
	bytes  int
}

// slot is an item in a transaction.
type slot struct {
	// stored is the item as read, if it is pinned; nil when there was none.
	stored *store.Item
	pinned bool
	// now is the item as it will be; nil when there will be none.
	now     *store.Item
	changed bool
}

func newTxn(ctx context.Context, table store.Store, s streamID, jurisdiction ident.Jurisdiction) (*txn, error) {
	t := &txn{
		stream: s, table: table, jurisdiction: jurisdiction,
		markKey: keyspace.Watermark(s.tenant, s.lane, s.feed, s.origin), slots: make(map[store.Key]*slot),
	}
	var err error
	if t.mark, err = readMark(ctx, table, t.markKey); err != nil {
		return nil, err
	}
	t.graves = len(t.mark.GetAhead()) > 0 || len(t.mark.GetPartial()) > 0
	if t.mark.exists {
		t.beforeAt = t.mark.version
		if t.before, err = t.mark.encode(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// get returns an item as it will be, nil when there will be none, and pins it.
func (t *txn) get(ctx context.Context, key store.Key) (*store.Item, error) {
	if s, ok := t.slots[key]; ok {
		return s.now, nil
	}
	item, err := t.table.Get(ctx, key)
	s := &slot{pinned: true}
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("reading what an event is about: %w", err)
	default:
		s.stored, s.now = &item, &item
	}
	t.slots[key] = s
	t.order = append(t.order, key)
	return s.now, nil
}

// put writes an item, and del removes one.
func (t *txn) put(item store.Item) {
	s := t.slot(item.Key)
	s.now, s.changed = &item, true
	t.bytes += len(item.Value)
}

func (t *txn) del(key store.Key) {
	s := t.slot(key)
	s.now, s.changed = nil, true
}

func (t *txn) slot(key store.Key) *slot {
	s, ok := t.slots[key]
	if !ok {
		s = &slot{}
		t.slots[key] = s
		t.order = append(t.order, key)
	}
	return s
}

// commit writes what has changed; nothing when nothing has.
func (t *txn) commit(ctx context.Context) error {
	ops := make([]store.Op, 0, len(t.order)+1)
	changed := false
	for _, key := range t.order {
		op, ok := t.slots[key].op(key)
		if ok {
			ops = append(ops, op)
			changed = changed || op.Kind != store.Check
		}
	}
	op, moved, err := t.markOp()
	if err != nil {
		return err
	}
	if !changed && !moved {
		return nil
	}
	ops = append(ops, op)
	if moved && t.guard.on {
		ops = append(ops, t.guard.op(t))
	}
	if err := t.table.Commit(ctx, store.Commit{Ops: ops}); err != nil {
		return fmt.Errorf("applying: %w", err)
	}
	return nil
}

// op returns the operation of a slot; false when there is none.
func (s *slot) op(key store.Key) (store.Op, bool) {
	condition := store.Always()
	if s.pinned {
		condition = store.Absent()
		if s.stored != nil {
			condition = store.VersionIs(s.stored.Version)
		}
	}
	switch {
	case s.changed && s.now != nil:
		return store.Op{Kind: store.Put, If: condition, Item: *s.now}, true
	case s.changed && (s.stored != nil || !s.pinned):
		return store.Op{Kind: store.Delete, If: condition, Item: store.Item{Key: key}}, true
	case s.pinned:
		return store.Op{Kind: store.Check, If: condition, Item: store.Item{Key: key}}, true
	default:
		return store.Op{}, false
	}
}

// markOp returns the operation on the watermark, and whether it changes it.
func (t *txn) markOp() (store.Op, bool, error) {
	condition := store.Absent()
	if t.before != nil {
		condition = store.VersionIs(t.beforeAt)
	}
	check := store.Op{Kind: store.Check, If: condition, Item: store.Item{Key: t.markKey}}
	if !t.mark.exists {
		return check, false, nil
	}
	value, err := t.mark.encode()
	if err != nil {
		return store.Op{}, false, err
	}
	if t.before != nil && t.beforeAt == t.mark.version && string(value) == string(t.before) {
		return check, false, nil
	}
	return store.Op{Kind: store.Put, If: condition, Item: store.Item{
		Key: t.markKey, Version: t.mark.version, Value: value, Tag: t.tag(store.ClassGlobal),
	}}, true, nil
}

func (t *txn) tag(class store.Class) store.Tag {
	return store.Tag{Tenant: t.stream.tenant, Class: class, Jurisdiction: t.jurisdiction}
}

// full tells whether the transaction should be committed before it takes more.
func (t *txn) full() bool { return len(t.order) > store.MaxOps/2 || t.bytes > store.MaxCommitBytes/4 }

// encode returns the stored form of a watermark.
func (m *mark) encode() ([]byte, error) {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(&m.Watermark)
	if err != nil {
		return nil, fmt.Errorf("encoding a watermark: %w", err)
	}
	if value == nil {
		value = []byte{}
	}
	return value, nil
}
