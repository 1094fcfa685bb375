package replication

import (
	"context"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// Lane is how far one lane of a tenant is applied in a region.
type Lane struct {
	// Watermark is the end of the gapless prefix.
	Watermark ident.Version
	// Highest is the newest position that a read can show anything of, under the watermark's epoch.
	Highest ident.Seq
	// Complete says that the lane is known here and no repair is owed, so that the region can answer for it as of the watermark.
	Complete bool
}

// ReadLane reads how far a lane is applied: one item of the table that the feed's items lie in.
func ReadLane(
	ctx context.Context, table store.Store, tenant ident.TenantID, feed replicationv1.Feed, origin ident.RegionID, lane ident.Lane,
) (Lane, error) {
	m, err := readMark(ctx, table, keyspace.Watermark(tenant, lane, feed, origin))
	if err != nil {
		return Lane{}, err
	}
	return Lane{
		Watermark: m.version, Highest: max(m.version.Seq, ident.Seq(m.GetHighest())), Complete: m.exists && !m.GetBehind(),
	}, nil
}

// Watermarks are how far all lanes of a tenant are applied in a region.
type Watermarks [ident.Lanes]Lane

// ReadWatermarks reads all lanes.
func ReadWatermarks(
	ctx context.Context, table store.Store, tenant ident.TenantID, feed replicationv1.Feed, origin ident.RegionID,
) (Watermarks, error) {
	var all Watermarks
	for lane := range ident.Lane(ident.Lanes) {
		var err error
		if all[lane], err = ReadLane(ctx, table, tenant, feed, origin, lane); err != nil {
			return Watermarks{}, err
		}
	}
	return all, nil
}

// Complete tells whether the region can answer for all lanes under an ownership.
func (w *Watermarks) Complete(epoch ident.Epoch) bool {
	for _, lane := range w {
		if !lane.Complete || lane.Watermark.Epoch != epoch {
			return false
		}
	}
	return true
}

// Seen returns the positions that cover everything that a read was shown which ended before the watermarks were read: the highest of
// each lane.
func (w *Watermarks) Seen() ident.Positions {
	var p ident.Positions
	for i, lane := range w {
		p.Raise(ident.Lane(i), ident.Version{Epoch: lane.Watermark.Epoch, Seq: lane.Highest})
	}
	return p
}
