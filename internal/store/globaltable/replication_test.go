package globaltable_test

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/globaltable"
)

func TestReplicates(t *testing.T) {
	t.Parallel()
	inBubble(t, three, func(m *mesh) {
		want := item("x", "1")
		want.Expires = time.Now().Add(time.Hour).UTC()
		m.put("a", want)
		m.settle()
		for _, id := range three {
			if diff := cmp.Diff(&want, m.read(id, "x")); diff != "" {
				m.t.Fatalf("the item in %s (-want +got):\n%s", id, diff)
			}
		}
		m.put("b", item("x", "2"))
		m.settle()
		m.shows("a", "x", "2")
		m.remove("c", "x")
		m.settle()
		for _, id := range three {
			m.shows(id, "x", "")
		}
		m.put("a", item("x", "3"))
		m.settle()
		m.shows("c", "x", "3")
	})
}

// TestNoTimePasses has fake time stand still unless somebody waits for it: at zero lag nobody may.
func TestNoTimePasses(t *testing.T) {
	t.Parallel()
	inBubble(t, three, func(m *mesh) {
		start := time.Now()
		for i := range 300 {
			m.put(three[i%3], item(numbered(i), "v"))
		}
		m.settle()
		if passed := time.Since(start); passed != 0 {
			m.t.Fatalf("%v passed until everything was told", passed)
		}
		m.same()
		if n := len(m.all("b")); n != 300 {
			m.t.Fatalf("%d items; want 300", n)
		}
	})
}

func TestPause(t *testing.T) {
	t.Parallel()
	inBubble(t, three, func(m *mesh) {
		m.regions["a"].table.Link("b").Pause()
		m.put("a", item("x", "1"))
		m.put("a", item("y", "1"))
		m.remove("a", "y")
		time.Sleep(time.Hour) // In the bubble this takes no time.
		m.shows("b", "x", "")
		m.shows("c", "x", "1")
		m.put("b", item("z", "1")) // The other direction is open.
		m.settle()
		m.shows("a", "z", "1")
		m.regions["a"].table.Link("b").Resume()
		m.settle()
		m.shows("b", "x", "1")
		m.same()
	})
}

func TestLag(t *testing.T) {
	t.Parallel()
	inBubble(t, three, func(m *mesh) {
		link := m.regions["a"].table.Link("b")
		link.SetLag(10 * time.Second)
		m.put("a", item("x", "1"))
		time.Sleep(4 * time.Second)
		m.put("a", item("y", "1"))
		time.Sleep(6*time.Second - time.Nanosecond)
		m.settle()
		m.shows("b", "x", "")
		m.shows("c", "x", "1")
		time.Sleep(time.Millisecond)
		m.settle()
		m.shows("b", "x", "1")
		m.shows("b", "y", "")
		time.Sleep(4 * time.Second)
		m.settle()
		m.shows("b", "y", "1")
		// A shorter lag holds at once.
		m.put("a", item("z", "1"))
		m.settle()
		m.shows("b", "z", "")
		link.SetLag(0)
		m.settle()
		m.shows("b", "z", "1")
	})
}

func TestLastWriterWins(t *testing.T) {
	t.Parallel()
	inBubble(t, three, func(m *mesh) {
		// Both write while they cannot hear each other; the clock of a is ahead, so its write is the later one.
		m.regions["a"].table.Link("b").Pause()
		m.regions["b"].table.Link("a").Pause()
		m.regions["a"].skew.Store(int64(time.Minute))
		m.put("a", item("x", "from a"))
		time.Sleep(time.Second)
		m.put("b", item("x", "from b"))
		m.settle()
		m.shows("a", "x", "from a")
		m.shows("b", "x", "from b")
		m.regions["a"].table.Link("b").Resume()
		m.regions["b"].table.Link("a").Resume()
		m.settle()
		for _, id := range three {
			m.shows(id, "x", "from a")
		}
		// A region's own write is later than what it overwrites, though its clock is behind.
		m.put("b", item("x", "b again"))
		m.settle()
		for _, id := range three {
			m.shows(id, "x", "b again")
		}
	})
}

// TestTieBreak brings two writes of the same time in either order.
func TestTieBreak(t *testing.T) {
	t.Parallel()
	inBubble(t, three, func(m *mesh) {
		low := globaltable.Replicated{Item: item("x", "low"), Time: 1000, Writer: "eu-central-1"}
		high := globaltable.Replicated{Item: item("x", "high"), Time: 1000, Writer: "eu-central-2"}
		m.apply("a", low, high)
		m.apply("b", high, low)
		m.apply("c", high, low, low, high)
		for _, id := range three {
			m.shows(id, "x", "high")
		}
	})
}

func (m *mesh) apply(id ident.RegionID, states ...globaltable.Replicated) {
	m.t.Helper()
	for _, s := range states {
		if err := m.regions[id].table.Apply(context.Background(), s); err != nil {
			m.t.Fatalf("apply in %s: %v", id, err)
		}
	}
}

// TestOldStatesStayDead has older states come after a delete, and after an expiry.
func TestOldStatesStayDead(t *testing.T) {
	t.Parallel()
	inBubble(t, three, func(m *mesh) {
		now := time.Now().UnixNano()
		old := globaltable.Replicated{Item: item("x", "old"), Time: now - 100, Writer: "b"}
		m.apply("a", globaltable.Replicated{Item: store.Item{Key: key("x")}, Deleted: true, Time: now, Writer: "c"}, old)
		m.shows("a", "x", "")
		mortal := item("y", "mortal")
		mortal.Expires = time.Now().Add(time.Minute)
		m.put("a", mortal)
		time.Sleep(time.Hour)
		m.settle()
		old.Item.Key = key("y")
		m.apply("a", old)
		m.shows("a", "y", "")
		m.same()
		// Something newer may come to life.
		old.Time = time.Now().UnixNano()
		m.apply("a", old)
		m.shows("a", "y", "old")
	})
}

// TestApplyRefuses what is no item.
func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	inBubble(t, three, func(m *mesh) {
		for _, partition := range []string{"", "\x00globaltable/stamps", "\x00globaltable/tell/b"} {
			r := globaltable.Replicated{Item: item("x", "v"), Time: 1, Writer: "b"}
			r.Item.Key.Partition = partition
			if err := m.regions["a"].table.Apply(context.Background(), r); err == nil {
				m.t.Fatalf("an item of partition %q was applied", partition)
			}
			if err := m.regions["a"].table.Commit(context.Background(), store.Commit{Ops: []store.Op{{Kind: store.Put, Item: r.Item}}}); err == nil {
				m.t.Fatalf("an item of partition %q was committed", partition)
			}
		}
	})
}

// TestRestart has what was not told when a process ended be told by the next one.
func TestRestart(t *testing.T) {
	t.Parallel()
	inBubble(t, three, func(m *mesh) {
		m.regions["a"].table.Link("b").Pause()
		for i := range 250 {
			m.put("a", item(numbered(i), "v"))
		}
		m.settle()
		m.crash("a", 1)
		m.start("a")
		m.settle()
		m.same()
		if n := len(m.all("b")); n != 250 {
			m.t.Fatalf("%d items; want 250", n)
		}
		// A receiver that is down is told when it is back.
		m.crash("b", 2)
		m.put("a", item("later", "v"))
		time.Sleep(time.Minute)
		m.start("b")
		time.Sleep(time.Minute)
		m.settle()
		m.shows("b", "later", "v")
	})
}

// TestNewPeer adds a region, which is told everything, and takes it away and back, when it is told what it has missed.
func TestNewPeer(t *testing.T) {
	t.Parallel()
	inBubble(t, three[:2], func(m *mesh) {
		for i := range 230 {
			m.put("a", item(numbered(i), "v"))
		}
		m.put("b", item("gone", "v"))
		m.settle()
		m.remove("b", "gone")
		m.settle()
		m.regions["c"] = &region{id: "c", disk: vfs.NewCrashableMem()}
		m.rejoin("a", "b", "c")
		m.same()
		if n := len(m.all("c")); n != 230 {
			m.t.Fatalf("the new region has %d items; want 230", n)
		}
		m.regions["c"].stop()
		m.rejoin("a", "b")
		m.remove("a", "x000")
		m.put("b", item("new", "v"))
		m.settle()
		m.rejoin("a", "b", "c")
		m.same()
		m.shows("c", "x000", "")
		m.shows("c", "new", "v")
	})
}

// rejoin restarts the regions that run, as a table of these.
func (m *mesh) rejoin(ids ...ident.RegionID) {
	m.stopAll()
	m.peers = ids
	for _, id := range ids {
		m.start(id)
	}
	time.Sleep(time.Minute) // Whoever met a region that was not up yet tries again.
	m.settle()
}

// TestCancelledWrites are told if they took effect.
func TestCancelledWrites(t *testing.T) {
	t.Parallel()
	inBubble(t, three, func(m *mesh) {
		for i := range 200 {
			ctx, cancel := context.WithCancel(context.Background())
			go cancel()
			_ = m.regions["a"].table.Commit(ctx, store.Commit{Ops: []store.Op{{Kind: store.Put, Item: item(numbered(i), "v")}}})
			cancel()
		}
		m.settle()
		m.same()
	})
}
