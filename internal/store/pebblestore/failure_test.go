package pebblestore_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// TestEngineFailure breaks the log, or the manifest: everything is answered with an error, nothing hangs, the process lives.
func TestEngineFailure(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{"log": ".log", "manifest": "MANIFEST"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := newQuotaFS(1 << 40)
			db, err := pebblestore.Open(fullConfig(fs))
			if err != nil {
				t.Fatal(err)
			}
			table := db.Table("regional")
			if err := putOne(t, table, big(0)); err != nil {
				t.Fatal(err)
			}
			fed := make(chan error, 1)
			go func() { fed <- table.Changes(t.Context(), func([]store.Change) error { return nil }) }()
			fs.set(func() { fs.broken = file })
			for n := 1; ; n++ { // The manifest is written when a memtable is full.
				if err := putOne(t, table, big(n)); errors.Is(err, pebblestore.ErrEngine) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			_, getErr := table.Get(t.Context(), big(0).Key)
			_, queryErr := table.Query(t.Context(), store.Query{Partition: "p"})
			for what, err := range map[string]error{
				"get": getErr, "query": queryErr, "commit": putOne(t, table, big(0)), "close": db.Close(),
			} {
				if !errors.Is(err, pebblestore.ErrEngine) {
					t.Errorf("%s: %v; want ErrEngine", what, err)
				}
			}
			if err := <-fed; !errors.Is(err, store.ErrClosed) {
				t.Errorf("changes: %v; want ErrClosed", err)
			}
			// The engine may still be at work: its directory stays locked.
			if _, err := pebblestore.Open(fullConfig(fs)); !errors.As(err, new(*pebblestore.LockedError)) {
				t.Errorf("open: %v; want a LockedError", err)
			}
		})
	}
}

// TestCorruption turns a bit in each block of each table on disk: a read fails, or is right.
func TestCorruption(t *testing.T) {
	t.Parallel()
	const items = 80
	fs := vfs.NewMem()
	cfg := pebblestore.Config{FS: fs, Dir: "/data", MemTableBytes: 256 << 10}
	db, err := pebblestore.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for n := range items {
		if err := putOne(t, db.Table("regional"), big(n)); err != nil {
			t.Fatal(err)
		}
	}
	closeDB(t, db)
	damage(t, fs)
	db, err = pebblestore.Open(cfg)
	if err != nil {
		return // Also an answer.
	}
	defer closeDB(t, db)
	failed := 0
	for n := range items {
		got, err := db.Table("regional").Get(context.Background(), big(n).Key)
		switch {
		case err != nil && !errors.Is(err, store.ErrNotFound):
			failed++
		case err != nil, string(got.Value) != string(big(n).Value):
			t.Fatalf("item %d was read wrong: %v", n, err)
		}
	}
	if failed == 0 {
		t.Error("no read failed: nothing was damaged")
	}
	t.Logf("%d of %d reads failed", failed, items)
}

func damage(t *testing.T, fs *vfs.MemFS) {
	t.Helper()
	names, err := fs.List("/data")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		data, err := fs.UnsafeGetFileDataBuffer("/data/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for at := 1000; at < len(data)*9/10; at += 8 << 10 {
			data[at] ^= 0x10
		}
	}
}
