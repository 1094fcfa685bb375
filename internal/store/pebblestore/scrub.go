package pebblestore

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Scrub removes from the store's files what was deleted from its tables before: it writes what is in memory to tables on disk, so that the
// log of it goes, and rewrites the tables without what was deleted. It returns when the old files are gone. It costs a rewrite
// of the whole store, so it is for erasures, which are rare. What the disk's blocks held is the disk's matter.
func (db *DB) Scrub(ctx context.Context) error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.closing.RUnlock()
	if err := db.engine.Flush(); err != nil {
		return fmt.Errorf("writing what is in memory to disk: %w", err)
	}
	if err := db.engine.Compact(ctx, []byte{}, []byte{0xff, 0xff, 0xff, 0xff}, true); err != nil {
		return fmt.Errorf("rewriting the tables: %w", err)
	}
	db.engine.TestOnlyWaitForCleaning() // The engine's one way to know that obsolete files are gone.
	return nil
}

// cleaner deletes obsolete files and, unlike the engine's own, has no log file used again: a log that is used again still
// holds, behind what was written since, what it held before.
type cleaner struct {
	pebble.DeleteCleaner
	reusesNone
}

// reusesNone marks a cleaner as one that wants each file for itself. Its Clean is hidden by that of the DeleteCleaner.
type reusesNone struct{ pebble.ArchiveCleaner }
