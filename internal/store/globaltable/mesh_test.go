package globaltable_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/globaltable"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// failer is the part of a test that the mesh needs; a *rapid.T has it as well.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// mesh is a global table of several regions, each with a disk of its own, in a bubble of testing/synctest.
type mesh struct {
	t       failer
	regions map[ident.RegionID]*region
	peers   []ident.RegionID
}

type region struct {
	id    ident.RegionID
	disk  *vfs.MemFS
	db    *pebblestore.DB
	table *globaltable.Table
	stop  func()
	// skew is how far the region's clock is ahead, in nanoseconds.
	skew atomic.Int64
	// up is the table while the region answers others; nil from the moment on at which it goes down.
	up atomic.Pointer[globaltable.Table]
}

// receiver hands to whatever table the region has at the moment. From a region that is down no answer comes.
type receiver struct{ r *region }

var errDown = errors.New("this region is down")

func (v receiver) Apply(ctx context.Context, r globaltable.Replicated) error {
	table := v.r.up.Load()
	if table == nil {
		return errDown
	}
	err := table.Apply(ctx, r)
	if v.r.up.Load() != table {
		return errDown
	}
	return err
}

func newMesh(t failer, ids ...ident.RegionID) *mesh {
	m := &mesh{t: t, regions: map[ident.RegionID]*region{}, peers: ids}
	for _, id := range ids {
		m.regions[id] = &region{id: id, disk: vfs.NewCrashableMem()}
	}
	for _, id := range ids {
		m.start(id)
	}
	return m
}

// start opens a region's replica and runs its links.
func (m *mesh) start(id ident.RegionID) {
	m.t.Helper()
	r := m.regions[id]
	clock := func() time.Time { return time.Now().Add(time.Duration(r.skew.Load())) }
	db, err := pebblestore.Open(pebblestore.Config{Dir: "/data", FS: r.disk, Clock: clock, SweepInterval: -1})
	if err != nil {
		m.t.Fatalf("open: %v", err)
	}
	var peers []ident.RegionID
	for _, p := range m.peers {
		if p != id {
			peers = append(peers, p)
		}
	}
	table, err := globaltable.Open(context.Background(), globaltable.Config{Region: id, Peers: peers, Local: db.Table("global"), Clock: clock})
	if err != nil {
		m.t.Fatalf("open: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, p := range peers {
		link := table.Connect(p, receiver{m.regions[p]})
		wg.Go(func() { _ = link.Run(ctx) })
	}
	r.db, r.table = db, table
	r.up.Store(table)
	r.stop = func() {
		r.up.Store(nil)
		cancel()
		wg.Wait()
		r.table = nil
		synctest.Wait() // Nobody is inside any more.
		if err := db.Close(); err != nil {
			m.t.Fatalf("close: %v", err)
		}
	}
}

func (m *mesh) stopAll() {
	for _, r := range m.regions {
		if r.table != nil {
			r.stop()
		}
	}
}

// crash takes a region down and gives it the disk that a crash at this moment would leave.
func (m *mesh) crash(id ident.RegionID, seed uint64) {
	r := m.regions[id]
	r.up.Store(nil)
	left := r.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(seed, seed))})
	r.stop()
	r.disk = left
}

// settle returns when nothing more happens by itself.
func (m *mesh) settle() { synctest.Wait() }

func key(name string) store.Key { return store.Key{Partition: "p", Sort: name} }

func item(name, value string) store.Item {
	return store.Item{
		Key: key(name), Version: ident.Version{Epoch: 1, Seq: 2}, Value: []byte(value),
		Tag: store.Tag{Tenant: "acme-eu", Class: store.ClassGlobal, Jurisdiction: "EU"},
	}
}

func (m *mesh) commit(id ident.RegionID, op store.Op) {
	m.t.Helper()
	if err := m.regions[id].table.Commit(context.Background(), store.Commit{Ops: []store.Op{op}}); err != nil {
		m.t.Fatalf("commit in %s: %v", id, err)
	}
}

func (m *mesh) put(id ident.RegionID, it store.Item) {
	m.t.Helper()
	m.commit(id, store.Op{Kind: store.Put, Item: it})
}

func (m *mesh) remove(id ident.RegionID, name string) {
	m.t.Helper()
	m.commit(id, store.Op{Kind: store.Delete, Item: store.Item{Key: key(name)}})
}

// read is what a region shows of an item; nil: nothing.
func (m *mesh) read(id ident.RegionID, name string) *store.Item {
	m.t.Helper()
	it, err := m.regions[id].table.Get(context.Background(), key(name))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		m.t.Fatalf("get in %s: %v", id, err)
	}
	return &it
}

// shows checks a region's item; "" is none.
func (m *mesh) shows(id ident.RegionID, name, want string) {
	m.t.Helper()
	got := ""
	if it := m.read(id, name); it != nil {
		got = string(it.Value)
	}
	if got != want {
		m.t.Fatalf("%s shows %q under %q; want %q", id, got, name, want)
	}
}

// all is everything that a region shows in the partition.
func (m *mesh) all(id ident.RegionID) []store.Item {
	m.t.Helper()
	page, err := m.regions[id].table.Query(context.Background(), store.Query{Partition: "p"})
	if err != nil {
		m.t.Fatalf("query in %s: %v", id, err)
	}
	return page.Items
}

// same checks that all regions show the same.
func (m *mesh) same() {
	m.t.Helper()
	first := m.peers[0]
	for _, id := range m.peers[1:] {
		if diff := cmp.Diff(m.all(first), m.all(id)); diff != "" {
			m.t.Fatalf("%s and %s differ (-%s +%s):\n%s", first, id, first, id, diff)
		}
	}
}

// inBubble runs a test with fake time.
func inBubble(t *testing.T, ids []ident.RegionID, test func(m *mesh)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, ids...)
		defer m.stopAll()
		test(m)
	})
}

var three = []ident.RegionID{"a", "b", "c"}

func numbered(n int) string { return fmt.Sprintf("x%03d", n) }
