package seal_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/seal/local"
	"github.com/domicile-api/domicile/internal/seal/sealtest"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// newFixture keeps all tables in one engine in memory; wrappers are key files.
func newFixture(t testing.TB) sealtest.Fixture {
	t.Helper()
	db, err := pebblestore.OpenMemory(pebblestore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	var tables atomic.Uint64
	return sealtest.Fixture{
		NewWrapper: newWrapper,
		NewKeys: func(testing.TB) store.Store {
			return db.Table(fmt.Sprintf("keys-%d", tables.Add(1)))
		},
	}
}

func newWrapper(t testing.TB, region ident.RegionID) seal.Wrapper {
	t.Helper()
	w, err := local.Open(t.TempDir(), region)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestKeyring(t *testing.T) {
	t.Parallel()
	sealtest.RunKeyring(t, newFixture(t))
}
