package globaltable_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store/globaltable"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

var errRefused = errors.New("refused")

// far is a peer to which a call takes a second, and that refuses what has one key, with all that comes with it.
type far struct {
	refuses string

	mu    sync.Mutex
	has   map[string]bool
	sizes []int
}

func (f *far) Apply(ctx context.Context, r globaltable.Replicated) error {
	return f.ApplyAll(ctx, []globaltable.Replicated{r})
}

func (f *far) ApplyAll(_ context.Context, rs []globaltable.Replicated) error {
	time.Sleep(time.Second) // of the bubble's time
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sizes = append(f.sizes, len(rs))
	for _, r := range rs {
		if r.Item.Key.Sort == f.refuses {
			return errRefused
		}
	}
	for _, r := range rs {
		f.has[r.Item.Key.Sort] = true
	}
	return nil
}

// TestBatches: what is far away is told many items a call, and an item that it refuses holds up no other.
func TestBatches(t *testing.T) {
	t.Parallel()
	for _, refuses := range []string{"", numbered(7)} {
		synctest.Test(t, func(t *testing.T) {
			db, err := pebblestore.Open(pebblestore.Config{Dir: "/data", FS: vfs.NewMem(), Clock: time.Now, SweepInterval: -1})
			if err != nil {
				t.Fatal(err)
			}
			table, err := globaltable.Open(t.Context(), globaltable.Config{
				Region: "a", Peers: []ident.RegionID{"b"}, Local: db.Table("global"), Clock: time.Now,
			})
			if err != nil {
				t.Fatal(err)
			}
			m := &mesh{t: t, regions: map[ident.RegionID]*region{"a": {id: "a", db: db, table: table}}}
			const items = 500
			for i := range items {
				m.put("a", item(numbered(i), "v"))
			}
			peer := &far{refuses: refuses, has: make(map[string]bool)}
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { _ = table.Connect("b", peer).Run(ctx) })
			begin := time.Now()
			time.Sleep(time.Minute)
			cancel()
			wg.Wait()
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			want := items
			if refuses != "" {
				want--
			}
			if len(peer.has) != want || peer.has[refuses] {
				t.Errorf("%d items told; want %d", len(peer.has), want)
			}
			if refuses == "" && len(peer.sizes) > 10 {
				t.Errorf("%d calls in %s: %v", len(peer.sizes), time.Since(begin), peer.sizes)
			}
		})
	}
}
