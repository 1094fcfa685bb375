package globaltable

import (
	"context"
	"errors"
	"fmt"

	"github.com/domicile-api/domicile/internal/store"
)

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
	if err := checkPartition(op.Item.Key.Partition); err != nil {
		return err
	}
	if op.Kind == store.Check {
		return t.cfg.Local.Commit(ctx, c)
	}
	for {
		err := t.tryCommit(ctx, c)
		refused := condition(err)
		if refused == nil {
			return err
		}
		if done, err := t.madeBefore(ctx, c); done || err != nil {
			return err
		}
		if refused.Failed[0] {
			return &store.ConditionError{Failed: refused.Failed[:1], Stored: refused.Stored[:1]}
		}
		// The item was written in between, here or by a peer: a later stamp is needed.
	}
}

// tryCommit commits the operation with its stamp, its marks and its token's record, if the item was not written meanwhile. No
// lock is held, so an outcome that nobody waits for does no harm.
func (t *Table) tryCommit(ctx context.Context, c store.Commit) error {
	op := c.Ops[0]
	before, err := t.stampOf(ctx, op.Item.Key)
	if err != nil {
		return err
	}
	now := t.cfg.Clock()
	s := stamp{time: max(now.UnixNano(), before.time+1), region: t.cfg.Region}
	ops := append(make([]store.Op, 0, 3+len(t.cfg.Peers)), op, t.stampOp(op, before, s))
	for _, peer := range t.cfg.Peers {
		ops = append(ops, markOp(peer, op.Item.Key, s, now))
	}
	if c.Token != "" {
		digest := c.Digest()
		ops = append(ops, store.Op{Kind: store.Put, If: store.Absent(), Item: store.Item{
			Key: tokenKey(c.Token), Tag: bookkeeping(), Value: digest[:], Expires: now.Add(store.TokenLife),
		}})
	}
	return t.cfg.Local.Commit(ctx, store.Commit{Ops: ops})
}

// madeBefore tells whether a commit took effect already under its token. The local table's own tokens do not serve: a second
// sending has another stamp.
func (t *Table) madeBefore(ctx context.Context, c store.Commit) (bool, error) {
	if c.Token == "" {
		return false, nil
	}
	it, err := t.cfg.Local.Get(ctx, tokenKey(c.Token))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if digest := c.Digest(); string(it.Value) != string(digest[:]) {
		return false, fmt.Errorf("%w: the token names another commit", store.ErrInvalid)
	}
	return true, nil
}

func tokenKey(token string) store.Key { return store.Key{Partition: tokenPartition, Sort: token} }
