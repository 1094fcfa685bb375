package app

import (
	"context"
	"fmt"

	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store/globaltable"
)

// tables are the replicas of the directory's global table in the regions of this process, linked to each other.
type tables struct {
	replicas map[ident.RegionID]*globaltable.Table
	links    map[string]*globaltable.Link
}

// openTables opens a replica in each region's store. Regions of other processes are peers that are not connected: what they are to
// be told is kept for them.
func openTables(ctx context.Context, cfg Config, regions []*region) (*tables, error) {
	t := &tables{replicas: map[ident.RegionID]*globaltable.Table{}, links: map[string]*globaltable.Link{}}
	if cfg.EdgeOnly {
		return t, nil
	}
	for _, r := range regions {
		var peers []ident.RegionID
		for _, i := range cfg.Topology.Regions() {
			if i != r.index {
				peers = append(peers, cfg.Topology.ID(i))
			}
		}
		replica, err := globaltable.Open(ctx, globaltable.Config{
			Region: r.id, Peers: peers, Local: r.db.Table(directoryTable), Clock: cfg.Clock, Logger: r.logger,
		})
		if err != nil {
			return nil, fmt.Errorf("opening the directory's replica in %s: %w", r.id, err)
		}
		t.replicas[r.id] = replica
	}
	for from, replica := range t.replicas {
		for to, other := range t.replicas {
			if from != to {
				t.links[string(from)+" to "+string(to)] = replica.Connect(to, other)
			}
		}
	}
	return t, nil
}

// of is a region's replica; nil when the process runs edges alone.
func (t *tables) of(region ident.RegionID) directory.Table {
	if replica, ok := t.replicas[region]; ok {
		return replica
	}
	return nil
}

// run replicates until ctx ends.
func (t *tables) run(ctx context.Context, loop func(ctx context.Context, name string, run func(context.Context) error)) {
	for name, link := range t.links {
		loop(ctx, "replication from "+name, link.Run)
	}
}
