package pebblestore_test

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/store/pebblestore/crashfs"
)

// TestNamesOutOfOrder crashes the opening of a store, when it makes a new manifest and names it by a marker, in many ways: of
// the names not yet synced any may be on disk. The store opens again with what it had.
func TestNamesOutOfOrder(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	db, err := pebblestore.Open(crashConfig(disk))
	if err != nil {
		t.Fatal(err)
	}
	if err := putOne(t, db.Table("regional"), big(0)); err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	fs, setHook := crashfs.New(disk)
	states := 0
	setHook(func(op string) {
		if op != "create" && op != "remove" && op != "sync" {
			return
		}
		for seed := range uint64(12) {
			states++
			left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(seed, uint64(states)))})
			db, err := pebblestore.Open(crashConfig(left))
			if err != nil {
				t.Errorf("before a %s: %v", op, err)
				continue
			}
			readAll(t, db.Table("regional"), 1)
			closeDB(t, db)
		}
	})
	db, err = pebblestore.Open(crashConfig(fs))
	if err != nil {
		t.Fatal(err)
	}
	setHook(nil)
	closeDB(t, db)
	t.Logf("%d states", states)
}
