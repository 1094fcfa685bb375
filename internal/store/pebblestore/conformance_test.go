package pebblestore_test

import (
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/store/storetest"
)

// closer is a table whose store can be closed by the suite.
type closer struct {
	store.Store

	db *pebblestore.DB
}

func open(t *testing.T, cfg pebblestore.Config) *pebblestore.DB {
	t.Helper()
	db, err := pebblestore.OpenMemory(cfg)
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

func TestConformance(t *testing.T) {
	t.Parallel()
	options := storetest.Options{Close: func(s store.Store) error { return s.(closer).db.Close() }}
	t.Run("in memory", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T, clock func() time.Time) store.Store {
			t.Helper()
			db := open(t, pebblestore.Config{Clock: clock, ShuffleChanges: 1})
			return closer{db.Table("regional"), db}
		}, options)
	})
	// A memtable of a few commits, so that most of what is read and compared comes from tables on disk.
	t.Run("on a disk, through tables", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T, clock func() time.Time) store.Store {
			t.Helper()
			db, err := pebblestore.Open(pebblestore.Config{Dir: t.TempDir(), Clock: clock, MemTableBytes: 64 << 10, MinFreeBytes: -1, BallastBytes: -1})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			return closer{db.Table("regional"), db}
		}, options)
	})
}
