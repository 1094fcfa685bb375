package entity_test

import (
	"testing"

	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// openMemory opens a region's tables in memory, for the test's life.
func openMemory(tb testing.TB) func(name string) store.Store {
	tb.Helper()
	db, err := pebblestore.OpenMemory(pebblestore.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("closing the store: %v", err)
		}
	})
	return db.Table
}
