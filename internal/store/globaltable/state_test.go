package globaltable_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/globaltable"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// meddler calls a function before a read of an item.
type meddler struct {
	store.Store

	before atomic.Pointer[func()]
}

func (m *meddler) Get(ctx context.Context, key store.Key) (store.Item, error) {
	if key.Partition == "p" {
		if before := m.before.Swap(nil); before != nil {
			(*before)()
		}
	}
	return m.Store.Get(ctx, key)
}

// collector is a receiver that hands on what it gets.
type collector chan globaltable.Replicated

func (c collector) Apply(ctx context.Context, r globaltable.Replicated) error {
	select {
	case c <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestItemAndStampBelongTogether writes an item between the two reads that its state is made of: the new value may not be told
// under the old time, by which it would lose.
func TestItemAndStampBelongTogether(t *testing.T) {
	t.Parallel()
	db, err := pebblestore.OpenMemory(pebblestore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	local := &meddler{Store: db.Table("global")}
	var now atomic.Int64
	now.Store(100)
	table, err := globaltable.Open(t.Context(), globaltable.Config{
		Region: "a", Peers: []ident.RegionID{"b"}, Local: local, Clock: func() time.Time { return time.Unix(0, now.Load()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	put := func(value string) {
		if err := table.Commit(t.Context(), store.Commit{Ops: []store.Op{{Kind: store.Put, Item: item("x", value)}}}); err != nil {
			t.Error(err)
		}
	}
	put("old")
	again := func() {
		now.Store(200)
		put("new")
	}
	local.before.Store(&again)
	got := make(collector)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = table.Connect("b", got).Run(ctx) })
	if r := <-got; string(r.Item.Value) != "new" || r.Time != 200 {
		t.Errorf("told %q of time %d; want the new value of time 200", r.Item.Value, r.Time)
	}
	cancel()
	wg.Wait()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// BenchmarkReplication measures from the start of a commit in one region until the other one's feed tells of it, on disks, at
// zero lag.
func BenchmarkReplication(b *testing.B) {
	ids := []ident.RegionID{"a", "b"}
	tables := map[ident.RegionID]*globaltable.Table{}
	for i, id := range ids {
		db, err := pebblestore.Open(pebblestore.Config{Dir: b.TempDir(), MinFreeBytes: -1, BallastBytes: -1})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := db.Close(); err != nil {
				b.Error(err)
			}
		})
		tables[id], err = globaltable.Open(b.Context(), globaltable.Config{
			Region: id, Peers: []ident.RegionID{ids[1-i]}, Local: db.Table("global"), Clock: time.Now,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	link := tables["a"].Connect("b", tables["b"])
	wg.Go(func() { _ = link.Run(ctx) })
	open, arrived := make(chan struct{}), make(chan struct{}, 1<<16)
	wg.Go(func() {
		_ = tables["b"].Changes(ctx, func(changes []store.Change) error {
			if len(changes) == 0 {
				close(open)
			}
			for range changes {
				arrived <- struct{}{}
			}
			return nil
		})
	})
	<-open
	for b.Loop() {
		if err := tables["a"].Commit(b.Context(), store.Commit{Ops: []store.Op{{Kind: store.Put, Item: item("x", "v")}}}); err != nil {
			b.Fatal(err)
		}
		<-arrived
	}
}
