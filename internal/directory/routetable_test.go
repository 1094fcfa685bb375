package directory

import (
	"fmt"
	"iter"
	"maps"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// TestPackedRoute packs anything that an entry may say and unpacks it.
func TestPackedRoute(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := tenantEntry{
			home:     regionCode(rapid.Byte().Draw(t, "home")),
			standby:  regionCode(rapid.Byte().Draw(t, "standby")),
			policies: rapid.Byte().Draw(t, "policies") & policiesMask,
			epoch:    ident.Epoch(rapid.Uint64().Draw(t, "epoch") >> rapid.UintRange(0, 63).Draw(t, "shift")),
		}
		packed := e.pack()
		if uint64(packed)&^routeMask != 0 {
			t.Fatalf("%+v takes more than its bits: %x", e, packed)
		}
		h := routeHash{second: rapid.Uint64().Draw(t, "hash")}
		got, whole := packedRoute(h.second&^routeMask | uint64(packed)).unpack()
		want := e.routing()
		if fits := e.epoch < packedLongEpoch; whole != fits {
			t.Fatalf("epoch %d: whole %v, want %v", e.epoch, whole, fits)
		} else if !fits {
			got.Epoch = want.Epoch
		}
		if got != want {
			t.Fatalf("%+v, want %+v", got, want)
		}
	})
}

// TestRouteTable adds and changes tenants in batches of all sizes and compares with a map, absent ids included.
func TestRouteTable(t *testing.T) {
	t.Parallel()
	table, model := newRouteTable(), make(map[string]packedRoute)
	all := func() iter.Seq2[string, packedRoute] { return maps.All(model) }
	for size := 1; len(model) < 20_000; size *= 3 {
		batch := make(map[string]packedRoute)
		for i := range size {
			batch[fmt.Sprintf("tenant-%d", size/2+i)] = packedRoute(size+i) & routeMask
		}
		maps.Copy(model, batch)
		table.reserve(len(model)-table.count, all())
		for id, route := range batch {
			table.put(id, route)
		}
		if got, want := table.now.Load().room(), len(model); got < want || got > want+want/growth+groupSlots {
			t.Fatalf("room for %d tenants, there are %d", got, want)
		}
		for id, want := range model {
			got, ok := table.get(table.hash(id))
			gotBytes, okBytes := table.get(table.hashBytes([]byte(id)))
			if !ok || !okBytes || got&routeMask != want || gotBytes&routeMask != want {
				t.Fatalf("%s is %x %v, %x %v; want %x", id, got, ok, gotBytes, okBytes, want)
			}
		}
	}
	if table.count != len(model) {
		t.Fatalf("%d tenants, want %d", table.count, len(model))
	}
	for i := range 20_000 {
		if _, ok := table.get(table.hash(fmt.Sprintf("other-%d", i))); ok {
			t.Fatalf("other-%d was never put", i)
		}
	}
}

// TestRouteTableTellsApart puts ids that share the hash of the first word.
func TestRouteTableTellsApart(t *testing.T) {
	t.Parallel()
	slots := &routeSlots{groups: 1, words: make([]atomic.Uint64, groupWords)}
	hashes := []routeHash{{first: 1}, {first: 1, second: 1 << 63}, {first: 1, second: routeMask + 1}}
	for i, h := range hashes {
		if slots.put(h, packedRoute(i)) != 1 {
			t.Fatalf("hash %d was there already", i)
		}
	}
	for i, h := range hashes {
		at, free := slots.find(h)
		if free || packedRoute(slots.words[at+1].Load())&routeMask != packedRoute(i) {
			t.Fatalf("hash %d is at %d, free %v", i, at, free)
		}
	}
}

// TestRegionCode gives more regions than a topology has, and than a byte has room for.
func TestRegionCode(t *testing.T) {
	t.Parallel()
	x := NewIndex(IndexConfig{Topology: topologyfile.Default()})
	for i := range 400 {
		name := fmt.Sprintf("mars-%d", i)
		code := x.code(name)
		if code.index() != topology.NoRegion {
			t.Fatalf("%s has index %d", name, code.index())
		}
		if got := x.region(code); code != noRegion && got != name || code == noRegion && i < 200 {
			t.Fatalf("%s has code %d, which is %q", name, code, got)
		}
	}
}
