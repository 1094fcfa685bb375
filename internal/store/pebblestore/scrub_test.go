package pebblestore_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// Deleted bytes are in the files until a scrub, and then in none; what was not deleted is there afterwards.
func TestScrub(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := pebblestore.Open(pebblestore.Config{Dir: dir, BallastBytes: -1, MinFreeBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	table := db.Table("regional")
	commit := func(kind store.OpKind, sort, value string) {
		t.Helper()
		item := store.Item{Key: store.Key{Partition: "p", Sort: sort}, Tag: store.Tag{Class: store.ClassPII}, Value: []byte(value)}
		if err := table.Commit(t.Context(), store.Commit{Ops: []store.Op{{Kind: kind, Item: item}}}); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 3 { // Later rounds begin with files that earlier ones left.
		commit(store.Put, "a", "erasedcanary")
		commit(store.Put, "b", "keptcanary")
		commit(store.Delete, "a", "")
		if !holds(t, dir, "erasedcanary") {
			t.Fatalf("round %d: the canary is nowhere before the scrub: is it looked for in the right place?", round)
		}
		if err := db.Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		if holds(t, dir, "erasedcanary") {
			t.Fatalf("round %d: what was deleted is still in a file", round)
		}
		if _, err := table.Get(t.Context(), store.Key{Partition: "p", Sort: "b"}); err != nil {
			t.Fatalf("round %d: what was not deleted: %v", round, err)
		}
	}
}

func holds(t *testing.T, dir, text string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		found = found || bytes.Contains(data, []byte(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
