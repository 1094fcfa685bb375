package replication

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// cursor is how far a pair was sent to a destination.
type cursor struct {
	key     store.Key
	exists  bool
	version ident.Version
	lost    bool
}

// readCursor reads the cursor of a pair.
func (r *Relay) readCursor(ctx context.Context, p pair, to ident.RegionID) (cursor, error) {
	c := cursor{key: keyspace.Cursor(p.tenant, p.lane, p.feed, to)}
	item, err := r.cfg.Table.Get(ctx, c.key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return c, nil
	case err != nil:
		return c, fmt.Errorf("reading a cursor: %w", err)
	}
	return cursorOf(item)
}

func cursorOf(item store.Item) (cursor, error) {
	var value storagev1.Cursor
	if err := proto.Unmarshal(item.Value, &value); err != nil {
		return cursor{}, fmt.Errorf("decoding a cursor: %w", err)
	}
	return cursor{key: item.Key, exists: true, version: item.Version, lost: value.GetLost()}, nil
}

// advance raises a cursor on the condition that it is still as read, so that of two relays that send the same lane none takes
// the other's cursor back.
func (r *Relay) advance(ctx context.Context, tenant ident.TenantID, c *cursor, to ident.Version, lost bool) error {
	op, err := r.cursorOp(tenant, *c, to, lost)
	if err != nil {
		return err
	}
	if err := r.cfg.Table.Commit(ctx, store.Commit{Ops: []store.Op{op}}); err != nil {
		return fmt.Errorf("moving a cursor: %w", err)
	}
	c.exists, c.version, c.lost = true, to, lost
	return nil
}

// cursorOp is the operation of advance.
func (r *Relay) cursorOp(tenant ident.TenantID, c cursor, to ident.Version, lost bool) (store.Op, error) {
	value, err := proto.Marshal(&storagev1.Cursor{Lost: lost})
	if err != nil {
		return store.Op{}, fmt.Errorf("encoding a cursor: %w", err)
	}
	condition := store.Absent()
	if c.exists {
		condition = store.VersionIs(c.version)
	}
	return store.Op{Kind: store.Put, If: condition, Item: store.Item{
		Key: c.key, Version: to, Value: value,
		Tag: store.Tag{Tenant: tenant, Class: store.ClassGlobal, Jurisdiction: r.jurisdiction},
	}}, nil
}

// revoke deletes the cursor of a destination that is granted the feed no more.
func (r *Relay) revoke(ctx context.Context, c cursor) error {
	if !c.exists {
		return nil
	}
	err := r.cfg.Table.Commit(ctx, store.Commit{Ops: []store.Op{{Kind: store.Delete, Item: store.Item{Key: c.key}}}})
	if err != nil {
		return fmt.Errorf("deleting a cursor: %w", err)
	}
	r.incarnations.Add(1)
	return nil
}

// counter returns the version of a lane's last write; the zero version when there was none.
func (r *Relay) counter(ctx context.Context, tenant ident.TenantID, lane ident.Lane) (ident.Version, error) {
	item, err := r.cfg.Table.Get(ctx, keyspace.Counter(tenant, lane))
	if errors.Is(err, store.ErrNotFound) {
		return ident.Version{}, nil
	}
	if err != nil {
		return ident.Version{}, fmt.Errorf("reading a lane's counter: %w", err)
	}
	return item.Version, nil
}
