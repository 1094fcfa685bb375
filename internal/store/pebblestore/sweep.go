package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/domicile-api/domicile/internal/store"
)

// sweepLoop removes expired items and tokens. It goes round the whole store at a bounded pace: an index of expiries would be
// written with each commit, and nobody waits for the removal, because what is expired counts as absent.
func (db *DB) sweepLoop() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-db.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	ticker := time.NewTicker(db.cfg.SweepInterval)
	defer ticker.Stop()
	rest := time.NewTimer(restRounds * db.cfg.SweepInterval)
	defer rest.Stop()
	var from []byte
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		next, _, err := db.sweep(ctx, from, db.cfg.SweepItems)
		if err != nil {
			if !quiet(err) {
				db.cfg.Logger.Warn("cannot remove expired items", slog.Any("error", err))
			}
			continue
		}
		from = next
		if next != nil {
			continue
		}
		// A round is done. What was deleted and is not compacted yet is walked over all the same, without counting as looked at, so a
		// small store with much coming and going would be walked as a whole with each tick.
		rest.Reset(restRounds * db.cfg.SweepInterval)
		select {
		case <-rest.C:
		case <-ctx.Done():
			return
		}
	}
}

// restRounds is how many intervals the sweep rests after it has gone round.
const restRounds = 30

// quiet are the errors that are said elsewhere.
func quiet(err error) bool {
	return errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrFull) || errors.Is(err, ErrEngine) ||
		errors.Is(err, context.Canceled)
}

// sweep looks at up to limit entries from the engine key from on and removes the expired ones. It returns where to go on; nil
// is the beginning.
func (db *DB) sweep(ctx context.Context, from []byte, limit int) (next []byte, removed int, err error) {
	expired, next, err := db.findExpired(from, limit)
	if err != nil {
		return from, 0, err
	}
	for t, ops := range expired {
		for len(ops) > 0 {
			n := min(len(ops), store.MaxOps)
			r := &request{table: t, ops: ops[:n:n], sweep: true, done: make(chan struct{}, 1)}
			for i := range r.ops {
				r.bytes += len(r.ops[i].key)
			}
			ops = ops[n:]
			if err := db.committer.submit(r); err != nil {
				return from, removed, err
			}
			if err := r.wait(ctx, db.fuse); err != nil {
				return from, removed, err
			}
			removed += len(r.ops)
		}
	}
	return next, removed, nil
}

// findExpired returns deletions of expired entries by table, in the order of their keys.
func (db *DB) findExpired(from []byte, limit int) (found map[*table][]encodedOp, next []byte, err error) {
	if err := db.enter(); err != nil {
		return nil, nil, err
	}
	defer db.closing.RUnlock()
	found = make(map[*table][]encodedOp)
	now := unixNow(db.cfg.Clock())
	err = readEngine(func() error {
		it, err := db.engine.NewIter(&pebble.IterOptions{LowerBound: from})
		if err != nil {
			return fmt.Errorf("engine: %w", err)
		}
		for ok := it.First(); ok; ok = it.Next() {
			if limit--; limit < 0 {
				next = append([]byte(nil), it.Key()...)
				break
			}
			if err := db.noteExpired(it, now, found); err != nil {
				return errors.Join(err, it.Close())
			}
		}
		return errors.Join(it.Error(), it.Close())
	})
	return found, next, err
}

func (db *DB) noteExpired(it *pebble.Iterator, now uint64, found map[*table][]encodedOp) error {
	rec, err := it.ValueAndErr()
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	key := it.Key()
	name, _, err := splitTable(key)
	if err != nil {
		return err
	}
	op := encodedOp{kind: store.Delete, key: string(key)}
	switch key[0] {
	case spaceItem:
		h, _, err := parseHeader(rec)
		if err != nil || !h.expired(now) {
			return err
		}
		if _, op.item, err = parseKey(key); err != nil {
			return err
		}
		op.partition = len(key) - len(op.item.Sort)
	case spaceToken:
		_, expires, err := parseTokenRecord(rec)
		if err != nil || now < expires {
			return err
		}
	default:
		return nil
	}
	t, ok := db.Table(name).(*table)
	if ok {
		found[t] = append(found[t], op)
	}
	return nil
}
