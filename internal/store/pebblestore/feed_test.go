package pebblestore

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/store"
)

// TestFeedLimit has a consumer so slow that its changes are given up: it is told that it missed some.
func TestFeedLimit(t *testing.T) {
	t.Parallel()
	db := openForTest(t, Config{FeedLimit: 10})
	table := db.Table("a")
	ctx, cancel := context.WithCancel(t.Context())
	batches := 0
	err := table.Changes(ctx, func(changes []store.Change) error {
		batches++
		switch {
		case batches == 1: // Open. The feed can keep 10 changes; it gets 25.
			for i := range 25 {
				if err := table.Commit(ctx, store.Commit{Ops: []store.Op{put(store.Key{Partition: "p", Sort: strconv.Itoa(i)}, time.Time{})}}); err != nil {
					t.Error(err)
				}
			}
		case batches == 2 && len(changes) != 0:
			t.Errorf("a batch of %d; want an empty one, for changes were lost", len(changes))
			cancel()
		case batches == 2: // What comes after that is told again.
			if err := table.Commit(ctx, store.Commit{Ops: []store.Op{put(store.Key{Partition: "q"}, time.Time{})}}); err != nil {
				t.Error(err)
			}
		default:
			if changes[len(changes)-1].Key.Partition == "q" {
				cancel()
			}
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("changes: %v", err)
	}
}
