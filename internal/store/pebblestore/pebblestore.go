// Package pebblestore keeps the port internal/store on Pebble: durable on a disk, in memory for tests.
//
// One DB holds a region's tables. They share one engine and one committer, which gathers waiting commits into groups, so that
// a disk's sync is paid once a group. A commit is acknowledged when it is on disk, and no read shows what is not. A full disk
// refuses writes with store.ErrFull while reads go on, until there is space again. DESIGN.md has the guarantees, the failure
// modes and what was rejected.
package pebblestore

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/domicile-api/domicile/internal/store"
)

// Config is what a DB is opened with. Only Dir is required; a zero value elsewhere means the default, and a negative number
// means none.
type Config struct {
	// Dir is the data directory. It is made if it does not exist, and locked.
	Dir string
	// FS is the file system; default: the operating system's.
	FS vfs.FS
	// Clock tells when items and tokens expire; default: time.Now.
	Clock func() time.Time
	// Logger gets the engine's messages; default: none.
	Logger *slog.Logger

	// MemTableBytes is the size at which the newest writes go from memory to a table on disk; default: 8 MiB.
	MemTableBytes int64
	// MemoryBytes bounds the memory for writes not yet in tables (up to three times MemTableBytes) and cached blocks of tables
	// together; default: 32 MiB. It is taken as it is needed. Much less starves the cache, and conditions read the disk.
	MemoryBytes int64
	// MinFreeBytes is the free disk space below which writes are refused; default: 64 MiB.
	MinFreeBytes int64
	// BallastBytes is the size of the file that is given up when the disk is full in spite of MinFreeBytes; default: 16 MiB.
	BallastBytes int64

	// SweepInterval is how often some items are looked at for expiry; default: 1 s.
	SweepInterval time.Duration
	// SweepItems is how many are looked at each time; default: 1000.
	SweepItems int
	// FeedLimit is how many changes are kept for a consumer that does not take them; default: 65,536.
	FeedLimit int
	// ShuffleChanges, a seed, makes change feeds tell items in a random order and some changes twice, so that a test shows
	// who relies on more than the port says. Zero: no.
	ShuffleChanges uint64
}

func (c Config) withDefaults() Config {
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.MemTableBytes = orDefault(c.MemTableBytes, 8<<20)
	c.MemoryBytes = orDefault(c.MemoryBytes, 32<<20)
	c.MinFreeBytes = orDefault(c.MinFreeBytes, 64<<20)
	c.BallastBytes = orDefault(c.BallastBytes, 16<<20)
	c.SweepInterval = orDefault(c.SweepInterval, time.Second)
	c.SweepItems = orDefault(c.SweepItems, 1000)
	c.FeedLimit = orDefault(c.FeedLimit, 1<<16)
	return c
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return 0
	default:
		return v
	}
}

// DB is a region's store: an engine and its tables.
type DB struct {
	cfg       Config
	engine    *pebble.DB
	lock      *pebble.Lock
	fuse      *fuse
	unsynced  *unsynced
	committer *committer
	shuffle   *shuffler

	stop     chan struct{}
	sweeping sync.WaitGroup

	// closing is held to read by everyone who is inside the engine.
	closing   sync.RWMutex
	closed    bool
	closeOnce sync.Once
	closeErr  error

	mu     sync.Mutex
	tables map[string]*table
}

// Open opens or makes the store in cfg.Dir. It fails with a *LockedError when another process, or this one, has it open.
func Open(cfg Config) (*DB, error) {
	cfg = cfg.withDefaults()
	if cfg.Dir == "" {
		return nil, errors.New("pebblestore: no data directory given")
	}
	if err := makeDirectory(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	lock, err := lockDirectory(cfg.FS, cfg.Dir)
	if err != nil {
		return nil, err
	}
	space := newSpace(&cfg)
	fuse := newFuse()
	engine, err := openEngine(&cfg, lock, space, fuse)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store in %s: %w", cfg.Dir, err), lock.Close())
	}
	db := &DB{
		cfg: cfg, engine: engine, lock: lock, fuse: fuse, unsynced: newUnsynced(), shuffle: newShuffler(cfg.ShuffleChanges),
		stop: make(chan struct{}), tables: make(map[string]*table),
	}
	db.committer = startCommitter(db, space)
	if cfg.SweepInterval > 0 && cfg.SweepItems > 0 {
		db.sweeping.Go(db.sweepLoop)
	}
	return db, nil
}

// OpenMemory opens a new, empty store in memory, for tests. cfg.Dir, if empty, and cfg.FS, if nil, are chosen.
func OpenMemory(cfg Config) (*DB, error) {
	if cfg.FS == nil {
		cfg.FS = vfs.NewMem()
	}
	if cfg.Dir == "" {
		cfg.Dir = "/store"
	}
	return Open(cfg)
}

// Table returns the table of that name, which begins to exist with its first item. A name has 1 to 32 lower-case letters,
// digits, dashes, underscores and dots; another one is a mistake in the program, and panics.
func (db *DB) Table(name string) store.Store {
	if !validTableName(name) {
		panic(fmt.Sprintf("pebblestore: invalid table name %q", name))
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	t, ok := db.tables[name]
	if !ok {
		t = newTable(db, name)
		db.tables[name] = t
	}
	return t
}

// Close waits for the commits under way, stops the feeds and releases the directory. Everything fails with store.ErrClosed
// afterwards. After a fatal error of the engine the directory stays locked until the process ends, for the engine may not be
// still; Close returns that error.
func (db *DB) Close() error {
	db.closeOnce.Do(func() { db.closeErr = db.close() })
	return db.closeErr
}

func (db *DB) close() error {
	db.committer.close()
	db.closing.Lock()
	db.closed = true
	db.closing.Unlock()
	close(db.stop)
	db.sweeping.Wait()
	if err := db.fuse.err(); err != nil {
		return err
	}
	err := db.engine.Close()
	return errors.Join(err, db.cfg.FS.Remove(db.cfg.FS.PathJoin(db.cfg.Dir, pidName)), db.lock.Close())
}

// enter lets a reader into the engine; leave with db.closing.RUnlock.
func (db *DB) enter() error {
	db.closing.RLock()
	if db.closed {
		db.closing.RUnlock()
		return store.ErrClosed
	}
	if err := db.fuse.err(); err != nil {
		db.closing.RUnlock()
		return err
	}
	return nil
}
