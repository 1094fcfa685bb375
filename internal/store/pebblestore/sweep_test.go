package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/store"
)

func put(key store.Key, expires time.Time) store.Op {
	return store.Op{Kind: store.Put, Item: store.Item{Key: key, Expires: expires, Tag: store.Tag{Class: store.ClassGlobal}}}
}

func openForTest(t *testing.T, cfg Config) *DB {
	t.Helper()
	db, err := OpenMemory(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// entries counts what the engine holds.
func entries(t *testing.T, db *DB) (n int) {
	t.Helper()
	it, err := db.engine.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSweep(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	var now atomic.Int64
	now.Store(start.Unix())
	db := openForTest(t, Config{SweepInterval: -1, Clock: func() time.Time { return time.Unix(now.Load(), 0) }})
	a, b := db.Table("a"), db.Table("b")
	commit := func(table store.Store, token string, ops ...store.Op) {
		t.Helper()
		if err := table.Commit(t.Context(), store.Commit{Ops: ops, Token: token}); err != nil {
			t.Fatal(err)
		}
	}
	const mortals = 250
	for i := range mortals {
		table := []store.Store{a, b}[i%2]
		commit(table, fmt.Sprintf("token-%d", i), put(store.Key{Partition: "p", Sort: strconv.Itoa(i)}, start.Add(time.Hour)))
	}
	stays, revived := store.Key{Partition: "p", Sort: "stays"}, store.Key{Partition: "p", Sort: "0"}
	commit(a, "", put(stays, start.Add(3*time.Hour)))
	if next, removed, err := db.sweep(t.Context(), nil, 1000); err != nil || next != nil || removed != 0 {
		t.Errorf("sweep before anything expired: %d removed, %v", removed, err)
	}
	now.Add(int64(2 * time.Hour / time.Second))
	commit(a, "", put(revived, time.Time{}))
	// In steps: each looks at so many entries only.
	var from []byte
	total, steps := 0, 0
	for {
		next, removed, err := db.sweep(t.Context(), from, 60)
		if err != nil || removed > 60 {
			t.Fatalf("sweep: %d removed, %v", removed, err)
		}
		total, steps = total+removed, steps+1
		if from = next; next == nil {
			break
		}
	}
	if want := mortals - 1 + mortals; total != want || steps != (2*mortals+1)/60+1 {
		t.Errorf("%d entries removed in %d steps; want %d", total, steps, want)
	}
	if n := entries(t, db); n != 2 {
		t.Errorf("%d entries are left; want 2", n)
	}
	for _, k := range []store.Key{stays, revived} {
		if _, err := a.Get(t.Context(), k); err != nil {
			t.Errorf("get %v: %v", k, err)
		}
	}
}

// TestSweepIsConditional hands the committer the removal of an item that was put again meanwhile.
func TestSweepIsConditional(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	var now atomic.Int64
	now.Store(start.Unix())
	db := openForTest(t, Config{SweepInterval: -1, Clock: func() time.Time { return time.Unix(now.Load(), 0) }})
	table := db.Table("a")
	key := store.Key{Partition: "p", Sort: "s"}
	if err := table.Commit(t.Context(), store.Commit{Ops: []store.Op{put(key, start.Add(time.Minute))}}); err != nil {
		t.Fatal(err)
	}
	now.Add(120)
	found, _, err := db.findExpired(nil, 10)
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	if err := table.Commit(t.Context(), store.Commit{Ops: []store.Op{put(key, time.Time{})}}); err != nil {
		t.Fatal(err)
	}
	for tb, ops := range found {
		r := &request{table: tb, ops: ops, sweep: true, done: make(chan struct{}, 1)}
		if err := errors.Join(db.committer.submit(r), r.wait(t.Context(), db.fuse)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := table.Get(t.Context(), key); err != nil {
		t.Errorf("the item that was put again: %v", err)
	}
}

// TestSweepLoop has the background do it, and the feed tell of it.
func TestSweepLoop(t *testing.T) {
	t.Parallel()
	db := openForTest(t, Config{SweepInterval: time.Millisecond, SweepItems: 2})
	table := db.Table("a")
	ctx, cancel := context.WithCancel(t.Context())
	told := map[store.Key]bool{}
	want := map[store.Key]bool{}
	for i := range 10 {
		want[store.Key{Partition: "p", Sort: strconv.Itoa(i)}] = true
	}
	err := table.Changes(ctx, func(changes []store.Change) error {
		if len(changes) == 0 {
			for k := range want {
				if err := table.Commit(ctx, store.Commit{Ops: []store.Op{put(k, time.Unix(1, 0))}, Token: k.Sort}); err != nil {
					t.Error(err)
				}
			}
		}
		for _, c := range changes {
			if c.Deleted {
				told[c.Key] = true
			}
		}
		if len(told) == len(want) {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("changes: %v", err)
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}
