package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/store"
)

func walkTable(t *testing.T, db *DB, name string) *table {
	t.Helper()
	tab, ok := db.Table(name).(*table)
	if !ok {
		t.Fatal("not a table")
	}
	return tab
}

// A walk holds a few MB at a time, however large the items are, and still visits each of them once.
func TestWalkHoldsLittle(t *testing.T) {
	t.Parallel()
	db := openForTest(t, Config{Clock: time.Now})
	tab := walkTable(t, db, "a")
	const large = 300 << 10
	for i := range 40 {
		op := put(store.Key{Partition: strconv.Itoa(i), Sort: "s"}, time.Time{})
		op.Item.Value = make([]byte, large)
		if err := tab.Commit(t.Context(), store.Commit{Ops: []store.Op{op}}); err != nil {
			t.Fatal(err)
		}
	}
	items, next, err := tab.walkPage([]byte(tab.items))
	if held := len(items) * large; err != nil || next == nil || held > walkBytes+large {
		t.Errorf("the first page holds %d bytes, %v", held, err)
	}
	seen := map[store.Key]int{}
	err = tab.Walk(t.Context(), func(it store.Item) error {
		seen[it.Key]++
		return nil
	})
	if err != nil || len(seen) != 40 {
		t.Errorf("%d of 40 items, %v", len(seen), err)
	}
}

// Tables share an engine: one whose name begins like another's, or is the next, is not walked with it.
func TestWalkStaysInItsTable(t *testing.T) {
	t.Parallel()
	db := openForTest(t, Config{Clock: time.Now})
	for _, name := range []string{"a", "aa", "b", "regional", "regionam"} {
		op := put(store.Key{Partition: name, Sort: "\xff\xff"}, time.Time{})
		if err := db.Table(name).Commit(t.Context(), store.Commit{Ops: []store.Op{op}, Token: "token"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "aa", "b", "regional", "none"} {
		err := walkTable(t, db, name).Walk(t.Context(), func(it store.Item) error {
			if it.Key.Partition != name {
				t.Errorf("%s shows an item of %s", name, it.Key.Partition)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// Items that come and go while a walk is on its way neither stop it nor hide the others.
func TestWalkWhileItemsChange(t *testing.T) {
	t.Parallel()
	db := openForTest(t, Config{Clock: time.Now})
	tab := walkTable(t, db, "a")
	commit := func(ops ...store.Op) {
		t.Helper()
		if err := tab.Commit(t.Context(), store.Commit{Ops: ops}); err != nil {
			t.Fatal(err)
		}
	}
	const lasting = 2100 // more than two pages
	for i := 0; i < lasting; i += 100 {
		ops := make([]store.Op, 100)
		for j := range ops {
			ops[j] = put(store.Key{Partition: "p", Sort: fmt.Sprintf("%05d", i+j)}, time.Time{})
		}
		commit(ops...)
	}
	seen := map[string]int{}
	err := tab.Walk(t.Context(), func(it store.Item) error {
		seen[it.Key.Sort]++
		if n := len(seen); n%500 == 1 { // Where the next page begins is gone when it is read.
			commit(put(store.Key{Partition: "p", Sort: it.Key.Sort + "+"}, time.Time{}))
			next := store.Key{Partition: "p", Sort: fmt.Sprintf("%05d", (n/1000+1)*1000)}
			commit(store.Op{Kind: store.Delete, Item: store.Item{Key: next}})
		}
		return nil
	})
	missing := 0
	for i := range lasting {
		n := seen[fmt.Sprintf("%05d", i)]
		if n > 1 {
			t.Errorf("%d was visited %d times", i, n)
		}
		if n == 0 && (i == 0 || i%1000 != 0) {
			missing++
		}
	}
	if err != nil || missing > 0 {
		t.Errorf("%d items were not visited, %v", missing, err)
	}
}

// What is not on disk yet is not shown: a walk waits for it, as long as its context lets it.
func TestWalkWaitsForTheDisk(t *testing.T) {
	t.Parallel()
	db := openForTest(t, Config{Clock: time.Now})
	tab := walkTable(t, db, "a")
	if err := tab.Commit(t.Context(), store.Commit{Ops: []store.Op{put(store.Key{Partition: "p"}, time.Time{})}}); err != nil {
		t.Fatal(err)
	}
	const group = 1 << 40 // Of a committer that is stuck between the memtable and the disk.
	db.unsynced.begin(group)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err := tab.Walk(ctx, func(store.Item) error { return errors.New("visited") })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a walk before the disk: %v", err)
	}
	visits := 0
	go db.unsynced.end(group)
	if err := tab.Walk(t.Context(), func(store.Item) error { visits++; return nil }); err != nil || visits != 1 {
		t.Errorf("a walk after it: %d visits, %v", visits, err)
	}
}

func TestWalkEnds(t *testing.T) {
	t.Parallel()
	db, err := OpenMemory(Config{Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	tab := walkTable(t, db, "a")
	none := func(store.Item) error { return errors.New("visited") }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tab.Walk(ctx, none); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tab.Walk(t.Context(), none); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after the store: %v", err)
	}
}
