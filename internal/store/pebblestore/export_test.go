package pebblestore

import (
	"log/slog"

	"github.com/cockroachdb/pebble/v2"

	"github.com/domicile-api/domicile/internal/store"
)

// EncodeForBenchmark returns the engine key and value of an item, so that raw Pebble writes the same bytes.
func EncodeForBenchmark(table string, it *store.Item) (key, value []byte) {
	return appendKey(nil, tablePrefix(spaceItem, table), it.Key), appendRecord(nil, it)
}

// DiscardLogger is a logger of the engine that says nothing.
func DiscardLogger() pebble.Logger {
	return &engineLogger{log: slog.New(slog.DiscardHandler), fuse: newFuse()}
}
