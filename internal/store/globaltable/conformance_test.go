package globaltable_test

import (
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/globaltable"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/store/storetest"
)

type closer struct {
	store.Store

	db *pebblestore.DB
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, clock func() time.Time) store.Store {
		t.Helper()
		db, err := pebblestore.OpenMemory(pebblestore.Config{Clock: clock, ShuffleChanges: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		table, err := globaltable.Open(t.Context(), globaltable.Config{
			Region: "a", Peers: []ident.RegionID{"b", "c"}, Local: db.Table("global"), Clock: clock,
		})
		if err != nil {
			t.Fatal(err)
		}
		return closer{table, db}
	}, storetest.Options{SingleOp: true, Close: func(s store.Store) error { return s.(closer).db.Close() }})
}
