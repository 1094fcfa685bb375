package directory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

func newFollower(table directory.Table, sink directory.Sink, start ...*directoryv1.Position) *directory.Follower {
	return directory.NewFollower(directory.FollowerConfig{
		Table: table, Writers: regions(), Control: control, Sink: sink, Start: start,
	})
}

// prefix is how many of a log's records have come without a gap.
func prefix(came map[uint64]bool) ident.Seq {
	n := uint64(0)
	for came[n+1] {
		n++
	}
	return ident.Seq(n)
}

// TestFollowerAnyOrder brings the records of three logs to a table in any order, some again, with polls and restarts in between.
// At each poll the index is what the records that have come fold to, gaps or not, and the position is the end of those before
// the first gap.
func TestFollowerAnyOrder(t *testing.T) {
	t.Parallel()
	tables, run := openTables(t), 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		table := tables(fmt.Sprintf("directory-%d", run))
		logs := map[ident.RegionID][]*directoryv1.Record{
			control:   drawLog(rt, control, rapid.IntRange(1, 15).Draw(rt, "control")),
			frankfurt: drawLog(rt, frankfurt, rapid.IntRange(0, 5).Draw(rt, "frankfurt")),
			singapore: drawLog(rt, singapore, rapid.IntRange(0, 5).Draw(rt, "singapore")),
		}
		all := slices.Concat(logs[control], logs[frankfurt], logs[singapore])
		order := rapid.Permutation(append(slices.Clone(all), all[:len(all)/4]...)).Draw(rt, "order")
		x := newIndex()
		f := newFollower(table, x)
		came := map[string]map[uint64]bool{string(control): {}, string(frankfurt): {}, string(singapore): {}}
		for i, r := range order {
			putLog(t, table, r)
			came[r.GetWriter()][r.GetWseq()] = true
			if rapid.IntRange(0, 2).Draw(rt, "poll") > 0 && i < len(order)-1 {
				continue
			}
			if rapid.IntRange(0, 4).Draw(rt, "restart") == 0 {
				// A restart keeps the copy on disk: what the index has, and the positions.
				kept := newIndex()
				kept.Apply(slices.Collect(x.Records()))
				x, f = kept, newFollower(table, kept, f.Positions()...)
			}
			if err := f.Poll(t.Context()); err != nil {
				rt.Fatal(err)
			}
			fold(order[:i+1]).check(rt, x)
			for writer, numbers := range came {
				if got, want := f.Position(ident.RegionID(writer)), prefix(numbers); got != want {
					rt.Fatalf("position of %s is %d, want %d of %v", writer, got, want, numbers)
				}
			}
		}
	})
}

// TestFollowerReadsOnlyWhatIsNew checks that a poll does not read again what lies beyond a gap.
func TestFollowerReadsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	table := openTable(t)
	var got collector
	f := newFollower(table, &got)
	putLog(t, table, tenantRecord(1, tenant("t1")), tenantRecord(3, tenant("t3")), tenantRecord(4, tenant("t4")))
	for range 3 {
		if err := f.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	putLog(t, table, tenantRecord(2, tenant("t2")), tenantRecord(5, tenant("t5")))
	if err := f.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	ids := make([]string, 0, len(got.records))
	for _, r := range got.records {
		ids = append(ids, r.GetTenant().GetId())
	}
	if want := []string{"t1", "t3", "t4", "t2", "t5"}; !slices.Equal(ids, want) {
		t.Fatalf("applied %v, want %v", ids, want)
	}
}

// TestFollowerBehindPruning follows a log whose beginning is pruned, while the snapshot's pieces come one by one in the worst
// order: the position moves only once the snapshot is whole, and nothing is missing then.
func TestFollowerBehindPruning(t *testing.T) {
	t.Parallel()
	source := openTable(t)
	w := newWriter(source, control)
	var life []*directoryv1.Record
	write := func(r *directoryv1.Record) {
		t.Helper()
		r, err := w.Write(t.Context(), always(r))
		if err != nil {
			t.Fatal(err)
		}
		life = append(life, r)
	}
	for i := range 600 {
		big := tenant(fmt.Sprintf("tenant-%d", i))
		big.DisplayName = fmt.Sprintf("%01000d", i) // So that a snapshot has several pieces.
		write(tenantRecord(0, big))
	}
	write(tenantRecord(0, tenant("acme-eu", "acme.example")))
	for range 2 {
		if _, err := w.Sweep(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		for range 302 {
			write(tenantRecord(0, tenant("zoo", "zoo.example")))
		}
	}
	if _, err := w.Sweep(t.Context(), 1); err != nil {
		t.Fatal(err)
	}

	// The follower's replica: the log, without what was pruned, comes first, then the pieces, the last ones first.
	table := openTable(t)
	log := readLog(t, source, control)
	if log[0].GetWseq() == 1 {
		t.Fatal("nothing was pruned")
	}
	putLog(t, table, log...)
	pieces := readPartition(t, source, "n/"+string(control))
	if len(pieces) < 4 {
		t.Fatalf("%d pieces, want at least two sets of two", len(pieces))
	}
	slices.Reverse(pieces)
	x := newIndex()
	f := newFollower(table, x)
	for _, piece := range pieces {
		if err := f.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := f.Position(control); got != 0 && x.Len() != 602 {
			t.Fatalf("position %d with %d tenants", got, x.Len())
		}
		put(t, table, piece)
	}
	if err := f.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.Position(control); got != ident.Seq(len(life)) {
		t.Fatalf("position %d, want %d", got, len(life))
	}
	fold(life).check(t, x)
	if x.Len() != 602 {
		t.Fatalf("%d tenants, want 602", x.Len())
	}
}

func readPartition(t testing.TB, table directory.Table, partition string) []store.Item {
	t.Helper()
	var items []store.Item
	q := store.Query{Partition: partition}
	for {
		page, err := table.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, page.Items...)
		if !page.More {
			return items
		}
		q.From = page.Items[len(page.Items)-1].Key.Sort + "\x00"
	}
}

// TestFollowerOneLogBroken checks that a record that cannot be read holds back its own log's position and nothing else, and that
// a kind of record from a later release does not.
func TestFollowerOneLogBroken(t *testing.T) {
	t.Parallel()
	table := openTable(t)
	putLog(t, table,
		tenantRecord(1, tenant("t1")), tenantRecord(3, tenant("t3")), revocationRecord(frankfurt, 1, "t1", "k1"),
		&directoryv1.Record{Writer: string(frankfurt), Wseq: 2})
	items := readPartition(t, table, "w/"+string(control))
	broken := items[0]
	broken.Key.Sort = broken.Key.Sort[:7] + "\x02" // Record 1 under the key of record 2.
	put(t, table, broken)
	x := newIndex()
	f := newFollower(table, x)
	if err := f.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.Position(control) != 1 || f.Position(frankfurt) != 2 || x.Len() != 2 {
		t.Fatalf("positions %v with %d tenants; want 1 and 2 with 2", f.Positions(), x.Len())
	}
}

// TestFollowerTableAway checks that a table that fails is reported, and followed again when it is back.
func TestFollowerTableAway(t *testing.T) {
	t.Parallel()
	table := openTable(t)
	putLog(t, table, tenantRecord(1, tenant("t1")))
	x := newIndex()
	faulty := &faultyTable{Table: table, at: 1, what: crashBefore}
	f := newFollower(faulty, x)
	if err := f.Poll(t.Context()); !errors.Is(err, errInjected) {
		t.Fatalf("error %v, want the table's", err)
	}
	faulty.crashed = false
	if err := f.Poll(t.Context()); err != nil || f.Position(control) != 1 {
		t.Fatalf("position %d, %v; want 1", f.Position(control), err)
	}
}

// TestFollowerRun runs the loop: the doorbell rouses it long before the interval.
func TestFollowerRun(t *testing.T) {
	t.Parallel()
	table := openTable(t)
	x := newIndex()
	f := directory.NewFollower(directory.FollowerConfig{
		Table: table, Writers: regions(), Control: control, Sink: x, Interval: time.Hour,
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	w := newWriter(table, control)
	for i := range 3 {
		if _, err := w.Write(t.Context(), always(tenantRecord(0, tenant(fmt.Sprintf("t%d", i))))); err != nil {
			t.Fatal(err)
		}
	}
	r, err := w.Write(t.Context(), always(tenantRecord(0, tenant("last"))))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.WaitFor(t.Context(), control, ident.Seq(r.GetWseq())); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("ended with %v", err)
	}
	gone, cancelGone := context.WithCancel(t.Context())
	cancelGone()
	if err := f.WaitFor(gone, control, 99); !errors.Is(err, context.Canceled) {
		t.Fatalf("waiting with an ended context: %v", err)
	}
}

// lateFeed opens its feed only when it is told to.
type lateFeed struct {
	directory.Table

	open chan struct{}
}

func (l lateFeed) Changes(ctx context.Context, fn func([]store.Change) error) error {
	<-l.open
	return l.Table.Changes(ctx, fn)
}

// TestFollowerLateFeed writes after the first poll and before the feed is open, of which no bell tells. The beginning of the feed is one.
func TestFollowerLateFeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := lateFeed{Table: openTable(t), open: make(chan struct{})}
		f := directory.NewFollower(directory.FollowerConfig{
			Table: table, Writers: regions(), Control: control, Sink: newIndex(), Interval: time.Hour,
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		synctest.Wait()
		mustWrite(t, table, control, tenantRecord(0, tenant("acme-eu")))
		begin := time.Now()
		close(table.open)
		if err := f.WaitFor(ctx, control, 1); err != nil || time.Since(begin) > time.Second {
			t.Errorf("after %v: %v; want at once", time.Since(begin), err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}
