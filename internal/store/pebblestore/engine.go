package pebblestore

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// openEngine opens Pebble. The sizes are for several regions in one process; every block read from disk has its checksum
// verified, which is Pebble's way and cannot be turned off.
func openEngine(cfg *Config, lock *pebble.Lock, space *space, fuse *fuse) (*pebble.DB, error) {
	logger := &engineLogger{log: cfg.Logger, fuse: fuse}
	opts := &pebble.Options{
		FS:                          markerFS{vfs.OnDiskFull(cfg.FS, space.release)},
		Lock:                        lock,
		FormatMajorVersion:          pebble.FormatNewest,
		Cleaner:                     cleaner{},
		MemTableSize:                uint64(cfg.MemTableBytes), //nolint:gosec // Never negative.
		MemTableStopWritesThreshold: 3,
		CacheSize:                   max(cfg.MemoryBytes, 1),
		MaxOpenFiles:                256,
		MaxManifestFileSize:         4 << 20,
		// Small files in L0 are cheap to read here: rather some more of them than writes that stop.
		L0StopWritesThreshold:      64,
		CompactionConcurrencyRange: func() (lower, upper int) { return 1, 2 },
		Logger:                     logger,
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				cfg.Logger.Warn("engine: work in the background failed and is tried again", slog.Any("error", err))
			},
			// What is corrupt fails its reads; the rest of the store goes on.
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				cfg.Logger.Error("engine: corrupt data", slog.String("path", info.Path), slog.Any("error", info.Details))
			},
		},
	}
	opts.Experimental.FileCacheShards = 1
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // Most conditions ask for an item that is not there.
		opts.Levels[i].IndexBlockSize = 64 << 10             // One level of index: half the block reads of a condition.
	}
	engine, err := pebble.Open(cfg.Dir, opts)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	return engine, nil
}

// makeDirectory makes dir and its missing ancestors, readable by this user alone, so that a crash does not lose them again.
func makeDirectory(fs vfs.FS, dir string) error {
	var parents []string
	for d := dir; ; {
		if _, err := fs.Stat(d); err == nil {
			break
		} else if !oserror.IsNotExist(err) {
			return fmt.Errorf("looking at %s: %w", d, err)
		}
		parent := fs.PathDir(d)
		parents = append(parents, parent)
		if parent == d {
			break
		}
		d = parent
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	for _, p := range parents {
		if err := syncDirectory(fs, p); err != nil {
			return err
		}
	}
	return nil
}

func syncDirectory(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("opening %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}
