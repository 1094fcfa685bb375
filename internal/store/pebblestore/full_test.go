package pebblestore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

func fullConfig(fs *quotaFS) pebblestore.Config {
	return pebblestore.Config{Dir: "/data", FS: fs, MinFreeBytes: 2 << 20, BallastBytes: 1 << 20, MemTableBytes: 256 << 10}
}

// big is an item of 8 KiB that does not compress.
func big(n int) store.Item {
	value := make([]byte, 8<<10)
	rng := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)})
	_, _ = rng.Read(value)
	return store.Item{
		Key:     store.Key{Partition: "p", Sort: fmt.Sprintf("%06d", n)},
		Version: ident.Version{Epoch: 1, Seq: ident.Seq(n + 1)}, Tag: store.Tag{Class: store.ClassPII}, Value: value,
	}
}

func putOne(t *testing.T, table store.Store, it store.Item) error {
	t.Helper()
	return table.Commit(t.Context(), store.Commit{Ops: []store.Op{{Kind: store.Put, Item: it, If: store.Absent()}}})
}

// fill puts items until the store refuses, and returns how many it took.
func fill(t *testing.T, table store.Store, from int) int {
	t.Helper()
	for n := from; ; n++ {
		if err := putOne(t, table, big(n)); errors.Is(err, store.ErrFull) {
			return n
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func readAll(t *testing.T, table store.Store, count int) {
	t.Helper()
	for n := range count {
		want := big(n)
		if got, err := table.Get(t.Context(), want.Key); err != nil || string(got.Value) != string(want.Value) {
			t.Fatalf("item %d of %d: %v", n, count, err)
		}
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	fs := newQuotaFS(7 << 20)
	db, err := pebblestore.Open(fullConfig(fs))
	if err != nil {
		t.Fatal(err)
	}
	table := db.Table("regional")
	count := fill(t, table, 0)
	if count < 100 {
		t.Fatalf("the disk was full after %d items", count)
	}
	readAll(t, table, count)
	// What changes nothing goes on; what fails for its own reason.
	check := store.Op{Kind: store.Check, Item: big(0), If: store.VersionIs(big(0).Version)}
	if err := table.Commit(t.Context(), store.Commit{Ops: []store.Op{check}}); err != nil {
		t.Errorf("a check on a full disk: %v", err)
	}
	if err := putOne(t, table, big(0)); !errors.As(err, new(*store.ConditionError)) {
		t.Errorf("a put that is refused anyway: %v; want a ConditionError", err)
	}
	if _, err := table.Get(t.Context(), big(count).Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the refused item: %v; want ErrNotFound", err)
	}
	// Space comes back, and so do writes, by themselves.
	fs.set(func() { fs.size = 12 << 20 })
	more := fill(t, table, count)
	if more < count+100 {
		t.Errorf("after 5 MiB more the store took %d items", more-count)
	}
	readAll(t, table, more)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// A store on a full disk opens, reads, and refuses.
	db, err = pebblestore.Open(fullConfig(fs))
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, db)
	readAll(t, db.Table("regional"), more)
	fs.set(func() { fs.size -= 2 << 20 })
	if err := putOne(t, db.Table("regional"), big(more)); !errors.Is(err, store.ErrFull) {
		t.Errorf("put: %v; want ErrFull", err)
	}
}

// TestBallast fills the disk behind the watermark's back: the engine meets ENOSPC, the ballast gives way, nothing is lost.
func TestBallast(t *testing.T) {
	t.Parallel()
	const ballast = "/data/BALLAST"
	fs := newQuotaFS(12 << 20)
	db, err := pebblestore.Open(fullConfig(fs))
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, db)
	table := db.Table("regional")
	if !fs.has(ballast) {
		t.Fatal("there is no ballast")
	}
	count := 0
	put := func() error {
		err := putOne(t, table, big(count))
		if err == nil {
			count++
		}
		return err
	}
	for range 20 {
		if err := put(); err != nil {
			t.Fatal(err)
		}
	}
	fs.set(func() { fs.lie, fs.size = true, fs.used() })
	for fs.has(ballast) {
		if err := put(); err != nil {
			t.Fatalf("put on a disk that somebody filled: %v", err)
		}
	}
	fs.set(func() { fs.lie = false })
	if err := put(); !errors.Is(err, store.ErrFull) {
		t.Errorf("put: %v; want ErrFull", err)
	}
	readAll(t, table, count)
	// The ballast comes back before writes do.
	fs.set(func() { fs.size = 12 << 20 })
	if err := put(); err != nil {
		t.Errorf("put after there is space again: %v", err)
	}
	if !fs.has(ballast) {
		t.Error("there is no ballast again")
	}
	readAll(t, table, count)
}

func closeDB(t *testing.T, db *pebblestore.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
