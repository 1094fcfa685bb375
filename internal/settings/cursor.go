package settings

import (
	"context"

	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// cursor is how far the region's own stream was sent to a destination.
type cursor struct {
	row

	to   ident.RegionID
	lost bool
}

func (c *cursor) seq() ident.Seq { return c.version.Seq }

func (s *Settings) cursor(ctx context.Context, tenant ident.TenantID, to ident.RegionID) (*cursor, error) {
	var value storagev1.Cursor
	r, err := s.read(ctx, keyspace.SettingsCursor(tenant, to), &value)
	return &cursor{row: r, to: to, lost: value.GetLost()}, err
}

// move stores a cursor on the condition that it is still as read, so that of two processes that send the same stream none takes the other's
// cursor back. It fails with errChanged.
func (s *Settings) move(ctx context.Context, tenant ident.TenantID, c *cursor, at ident.Seq, lost bool) error {
	unlock, err := s.lock(ctx, tenant)
	if err != nil {
		return err
	}
	defer unlock()
	v := ident.Version{Epoch: Epoch, Seq: at}
	op, err := s.put(tenant, keyspace.SettingsCursor(tenant, c.to), c.row, v, &storagev1.Cursor{Lost: lost})
	if err != nil {
		return err
	}
	if err := s.commit(ctx, []store.Op{op}); err != nil {
		return changed(err)
	}
	c.row, c.lost = row{there: true, version: v}, lost
	return nil
}
