// Package globaltable is the embedded model of a DynamoDB global table: a replica of one table in each region, that takes
// writes and tells the others afterwards.
//
// What it promises, which is what DynamoDB promises and no more:
//
//   - A replica's own reads and conditional writes are consistent; a commit has one operation, since items replicate one by one.
//   - An item that was written is told to every other replica in the end, also after crashes and partitions. There is no order between items,
//     and of an item that changes often, states may be left out.
//   - Of two writes of one item the later wins everywhere: by the writers' clocks, and if those are equal by the region's id.
//     A replica's own write is always later than what it overwrites. Deletes leave tombstones for TombstoneTTL.
//
// The outbound record of a write is committed with it; each destination has a durable cursor. A Receiver is the other end: the
// replica itself within a process, or whatever carries items to it.
package globaltable

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// TombstoneTTL is how long a delete is remembered. A replica that was away for longer may bring a deleted item back.
const TombstoneTTL = 30 * 24 * time.Hour

// tokenTTL is how long a commit's token is remembered.
const tokenTTL = 10 * time.Minute

// lockStripes is how many keys can be written at once, at the most.
const lockStripes = 64

// The partitions of the local table: the users' items under their own names, and three kinds of bookkeeping.
const (
	itemPrefix        = "i/"
	tombstonePrefix   = "t/"
	outboundPartition = "o"
	cursorPartition   = "c"
	tokenPartition    = "k"
)

// Config is what a replica is made of.
type Config struct {
	// Region is the replica's own.
	Region ident.RegionID
	// Peers are the regions that have the other replicas, whether they are connected or not: what they were not told yet is kept.
	Peers []ident.RegionID
	// Local is the table that holds this replica and its bookkeeping. Nobody else may write to it.
	Local store.Store
	// Clock orders writes of different regions; time.Now in production.
	Clock func() time.Time
	// Logger gets failures to deliver, once when they begin.
	Logger *slog.Logger
}

// Table is one region's replica. All methods are safe for concurrent use.
type Table struct {
	cfg   Config
	seed  maphash.Seed
	locks [lockStripes]sync.Mutex

	out *outbound

	mu    sync.Mutex
	links map[ident.RegionID]*Link
}

// Open returns a region's replica, with what it has not told yet.
func Open(ctx context.Context, cfg Config) (*Table, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Table{cfg: cfg, seed: maphash.MakeSeed(), links: make(map[ident.RegionID]*Link)}
	var err error
	if t.out, err = openOutbound(ctx, cfg.Local); err != nil {
		return nil, err
	}
	return t, nil
}

// lock holds a key against other writes of it in this replica.
func (t *Table) lock(key store.Key) (unlock func()) {
	m := &t.locks[maphash.Comparable(t.seed, key)%lockStripes]
	m.Lock()
	return m.Unlock
}

func itemKey(k store.Key) store.Key {
	return store.Key{Partition: itemPrefix + k.Partition, Sort: k.Sort}
}
func tombstoneKey(k store.Key) store.Key {
	return store.Key{Partition: tombstonePrefix + k.Partition, Sort: k.Sort}
}

// Get returns an item of this replica, or store.ErrNotFound.
func (t *Table) Get(ctx context.Context, key store.Key) (store.Item, error) {
	if err := key.Validate(); err != nil {
		return store.Item{}, err
	}
	item, err := t.cfg.Local.Get(ctx, itemKey(key))
	if err != nil {
		return store.Item{}, err
	}
	return public(item)
}

// Query returns a page of a partition of this replica.
func (t *Table) Query(ctx context.Context, q store.Query) (store.Page, error) {
	if _, err := q.Validate(); err != nil {
		return store.Page{}, err
	}
	q.Partition = itemPrefix + q.Partition
	page, err := t.cfg.Local.Query(ctx, q)
	if err != nil {
		return store.Page{}, err
	}
	for i := range page.Items {
		if page.Items[i], err = public(page.Items[i]); err != nil {
			return store.Page{}, err
		}
	}
	return page, nil
}

// Commit writes one item to this replica; the others are told afterwards. More than one operation is refused with
// store.ErrInvalid.
func (t *Table) Commit(ctx context.Context, c store.Commit) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if len(c.Ops) != 1 {
		return fmt.Errorf("%w: a global table commits one item at a time", store.ErrInvalid)
	}
	op := c.Ops[0]
	defer t.lock(op.Item.Key)()
	if op.Kind == store.Check {
		op.Item.Key = itemKey(op.Item.Key)
		return t.cfg.Local.Commit(ctx, store.Commit{Ops: []store.Op{op}, Token: c.Token})
	}
	if done, err := t.repeated(ctx, c); done || err != nil {
		return err
	}
	before, err := t.stampOf(ctx, op.Item.Key)
	if err != nil {
		return err
	}
	return t.write(ctx, c, t.next(before))
}

// next is a stamp for a write of this region that is later than what it overwrites.
func (t *Table) next(before stamp) stamp {
	return stamp{time: max(t.cfg.Clock().UnixNano(), before.time+1), region: t.cfg.Region}
}

// write commits an operation with its outbound record and the token's.
func (t *Table) write(ctx context.Context, c store.Commit, s stamp) error {
	op := c.Ops[0]
	n := t.out.begin()
	defer t.out.end(n)
	ops := append(t.operations(op, s), store.Op{Kind: store.Put, If: store.Absent(), Item: store.Item{
		Key: outboundKey(n), Tag: orGlobal(op.Item.Tag), Value: encodeOutbound(op.Item.Key, s),
	}})
	if c.Token != "" {
		digest := c.Digest()
		ops = append(ops, store.Op{Kind: store.Put, If: store.Absent(), Item: store.Item{
			Key: tokenKey(c.Token), Tag: orGlobal(op.Item.Tag), Value: digest[:], Expires: t.cfg.Clock().Add(tokenTTL),
		}})
	}
	err := t.cfg.Local.Commit(ctx, store.Commit{Ops: ops})
	var condition *store.ConditionError
	if errors.As(err, &condition) {
		// The caller's commit had one operation.
		return &store.ConditionError{Failed: condition.Failed[:1], Stored: condition.Stored[:1]}
	}
	return err
}

// repeated tells whether a commit took effect already under its token. A token is looked up under the lock of the key that its commit
// writes, so the same commit sent twice at once takes effect once. The engine's own tokens do not serve: the stamp of a second
// sending is another.
func (t *Table) repeated(ctx context.Context, c store.Commit) (bool, error) {
	if c.Token == "" {
		return false, nil
	}
	item, err := t.cfg.Local.Get(ctx, tokenKey(c.Token))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if digest := c.Digest(); string(item.Value) != string(digest[:]) {
		return false, fmt.Errorf("%w: the token names another commit", store.ErrInvalid)
	}
	return true, nil
}

func tokenKey(token string) store.Key { return store.Key{Partition: tokenPartition, Sort: token} }

// operations are what a write does to this replica: the item and its tombstone exclude each other.
func (t *Table) operations(op store.Op, s stamp) []store.Op {
	item, tombstone := op.Item, store.Item{Key: tombstoneKey(op.Item.Key)}
	item.Key = itemKey(op.Item.Key)
	if op.Kind == store.Delete {
		tombstone.Tag = orGlobal(op.Item.Tag)
		tombstone.Value, tombstone.Expires = s.encode(nil), t.cfg.Clock().Add(TombstoneTTL)
		return []store.Op{{Kind: store.Delete, Item: item, If: op.If}, {Kind: store.Put, Item: tombstone}}
	}
	item.Value = s.encode(op.Item.Value)
	return []store.Op{{Kind: store.Put, Item: item, If: op.If}, {Kind: store.Delete, Item: tombstone}}
}

// stampOf is when a key was last written, as far as this replica knows. The caller holds the key.
func (t *Table) stampOf(ctx context.Context, key store.Key) (stamp, error) {
	var last stamp
	for _, k := range []store.Key{itemKey(key), tombstoneKey(key)} {
		item, err := t.cfg.Local.Get(ctx, k)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return stamp{}, err
		}
		s, _, err := decodeStamp(item.Value)
		if err != nil {
			return stamp{}, err
		}
		if last.before(s) {
			last = s
		}
	}
	return last, nil
}

// Changes is the doorbell of this replica: it rings for its own writes and for those that came from others.
func (t *Table) Changes(ctx context.Context, fn func([]store.Change) error) error {
	return t.cfg.Local.Changes(ctx, func(batch []store.Change) error {
		mine := batch[:0:0]
		for _, c := range batch {
			if name, ok := strings.CutPrefix(c.Key.Partition, itemPrefix); ok {
				mine = append(mine, store.Change{Key: store.Key{Partition: name, Sort: c.Key.Sort}, Deleted: c.Deleted})
			}
		}
		if len(mine) == 0 {
			return nil
		}
		return fn(mine)
	})
}

// orGlobal is the tag of bookkeeping for an item: its own, or for a delete, which has none, GLOBAL, as all of a global table is.
func orGlobal(t store.Tag) store.Tag {
	if t.Class == 0 {
		t.Class = store.ClassGlobal
	}
	return t
}
