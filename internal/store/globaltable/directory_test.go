package globaltable_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/directory/tabletest"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store/globaltable"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// TestDirectoryTable holds a region on its own, and a mesh of three, to what the directory relies on.
func TestDirectoryTable(t *testing.T) {
	t.Parallel()
	for name, regions := range map[string][]ident.RegionID{"one region": {"a"}, "a mesh": three} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tabletest.Run(t, func(t *testing.T, clock func() time.Time) []directory.Table {
				t.Helper()
				return replicas(t, clock, regions)
			})
		})
	}
}

// replicas opens a replica in each region, all linked to each other.
func replicas(t *testing.T, clock func() time.Time, regions []ident.RegionID) []directory.Table {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	tables := make([]*globaltable.Table, len(regions))
	for i, id := range regions {
		db, err := pebblestore.OpenMemory(pebblestore.Config{Clock: clock, ShuffleChanges: 1, SweepInterval: -1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		var peers []ident.RegionID
		for _, peer := range regions {
			if peer != id {
				peers = append(peers, peer)
			}
		}
		tables[i], err = globaltable.Open(ctx, globaltable.Config{Region: id, Peers: peers, Local: db.Table("global"), Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
	}
	all := make([]directory.Table, 0, len(tables))
	for i, from := range tables {
		for j, to := range tables {
			if i != j {
				link := from.Connect(regions[j], to)
				running.Go(func() { _ = link.Run(ctx) })
			}
		}
		all = append(all, from)
	}
	t.Cleanup(func() { // Before the databases are closed.
		stop()
		running.Wait()
	})
	return all
}
