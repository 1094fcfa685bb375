package storequeue

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/store"
)

// Receive implements queue.Queue.
func (q *Queue) Receive(ctx context.Context, r queue.Receive) ([]queue.Message, error) {
	switch {
	case r.Max < 1 || r.Max > queue.MaxBatch:
		return nil, fmt.Errorf("%w: 1 to %d messages can be received", queue.ErrInvalid, queue.MaxBatch)
	case r.Visibility <= 0 || r.Visibility > queue.MaxVisibility:
		return nil, fmt.Errorf("%w: a visibility time-out is above zero and at most %v", queue.ErrInvalid, queue.MaxVisibility)
	case r.Wait < 0 || r.Wait > queue.MaxWait:
		return nil, fmt.Errorf("%w: a wait is at most %v", queue.ErrInvalid, queue.MaxWait)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	var over <-chan time.Time
	if r.Wait > 0 {
		timer := time.NewTimer(r.Wait)
		defer timer.Stop()
		over = timer.C
	}
	for {
		got, again, err := q.reception(ctx, r)
		if err != nil || len(got) > 0 {
			return got, err
		}
		if again {
			continue
		}
		if more, err := q.await(ctx, over); !more || err != nil {
			return nil, err
		}
	}
}

// reception takes messages, reads them and commits that they were received, or are dead letters now. again says that there was something
// to do, and nothing to return came of it.
func (q *Queue) reception(ctx context.Context, r queue.Receive) (got []queue.Message, again bool, err error) {
	all, now, err := q.take(r.Max)
	if err != nil || len(all) == 0 {
		return nil, false, err
	}
	rec := reception{received: now, deadline: now + int64(r.Visibility)}
	all, err = q.readAll(ctx, all)
	if len(all) == 0 {
		return nil, false, err
	}
	if err := q.draw(&rec.nonce); err != nil {
		q.settleReception(all, rec, err)
		return nil, false, err
	}
	letters, err := q.deadLetters(all, now)
	if err != nil {
		q.settleReception(all, rec, err)
		return nil, false, err
	}
	fences, ops := q.receptionOps(all, letters, rec)
	if len(ops) == fences {
		q.settleReception(all, rec, nil)
		return nil, true, nil
	}
	err = q.transact(ctx, fences, ops, func(err error, _ bool) {
		q.settleReception(all, rec, err)
		if len(letters) > 0 {
			q.cfg.DeadLetters.settleSend(letters, err)
		}
	})
	if err != nil {
		return nil, false, portError(err)
	}
	q.tell(letters)
	return messagesOf(all, rec), true, nil
}

// take takes up to limit messages, for which their groups wait until settleReception.
func (q *Queue) take(limit int) (all []taken, now int64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil {
		return nil, 0, q.closed
	}
	now = q.now()
	q.index.pass(now)
	all = q.index.take(limit, now)
	q.wake() // There may be more for others.
	return all, now, nil
}

// readAll reads what was taken and returns it, without the groups that have a message which cannot be read: damage in one must not keep
// the others. Those are let go; err says why, and counts when nothing is left.
func (q *Queue) readAll(ctx context.Context, all []taken) (good []taken, err error) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].group == all[0].group {
			n++
		}
		group := all[:n]
		all = all[n:]
		if failed := q.readGroup(ctx, group); failed != nil {
			err = failed
			q.settleReception(group, reception{}, failed)
			if ctx.Err() == nil {
				q.cfg.Logger.Error("messages cannot be read", slog.String("group", group[0].group.id), slog.Any("error", failed))
			}
			continue
		}
		good = append(good, group...)
	}
	return good, err
}

// readGroup reads what was taken of a group. A message that is not there has expired by the store's clock.
func (q *Queue) readGroup(ctx context.Context, group []taken) error {
	for i := range group {
		t := &group[i]
		item, err := q.cfg.Store.Get(ctx, messageKey(q.cfg.Name, t.group.id, t.number))
		if errors.Is(err, store.ErrNotFound) {
			t.missing = true
			continue
		}
		if err != nil {
			return fmt.Errorf("reading a message: %w", portError(err))
		}
		if t.message, err = parseMessage(item.Value); err != nil {
			return fmt.Errorf("reading a message: %w", err)
		}
		t.item = item
	}
	return nil
}

func (q *Queue) draw(nonce *uint64) error {
	var b [8]byte
	err := q.read(b[:])
	*nonce = binary.BigEndian.Uint64(b[:])
	return err
}

// deadLetters reserves places in the dead-letter queue for those of what was taken that go there.
func (q *Queue) deadLetters(all []taken, now int64) ([]*draft, error) {
	var letters []*draft
	for i := range all {
		if t := &all[i]; t.dead && !t.missing {
			m := t.message
			m.since = now
			letters = append(letters, &draft{message: m, tag: t.item.Tag})
		}
	}
	if len(letters) == 0 {
		return nil, nil
	}
	return letters, q.cfg.DeadLetters.reserve(letters)
}

// receptionOps are the operations of one commit: at most 2 fences, 10 receptions and 4 for each of 10 dead letters.
func (q *Queue) receptionOps(all []taken, letters []*draft, rec reception) (fences int, ops []store.Op) {
	ops = append(ops, q.fence)
	if len(letters) > 0 {
		ops = append(ops, q.cfg.DeadLetters.fence)
	}
	fences = len(ops)
	for i := range all {
		t := &all[i]
		switch {
		case t.missing:
		case t.dead:
			ops = append(ops, remove(t.item.Key), remove(receptionKey(t.item.Key)), q.putDead(t.number, rec.received))
		default:
			rec.receives = t.receives + 1
			ops = append(ops, putReception(t.item.Key, rec, q.expiry(t.message.since)))
		}
	}
	for _, d := range letters {
		ops = append(ops, q.cfg.DeadLetters.putMessage(d))
	}
	return fences, ops
}

func remove(key store.Key) store.Op { return store.Op{Kind: store.Delete, Item: store.Item{Key: key}} }

// putDead tells a late Delete that it deletes nothing.
func (q *Queue) putDead(number uint64, now int64) store.Op {
	return store.Op{Kind: store.Put, Item: store.Item{
		Key: deadKey(q.cfg.Name, number), Version: versionOf(number), Tag: store.Tag{Class: store.ClassGlobal},
		Expires: timeOf(now).Add(queue.MaxVisibility),
	}}
}

func putReception(message store.Key, r reception, expires time.Time) store.Op {
	return store.Op{Kind: store.Put, Item: store.Item{
		Key: receptionKey(message), Version: ident.Version{Epoch: ident.Epoch(r.receives)}, Tag: store.Tag{Class: store.ClassGlobal},
		Expires: expires, Value: appendReception(make([]byte, 0, receptionRecordSize), r),
	}}
}

// settleReception notes what became of what was taken, and lets its groups go on.
func (q *Queue) settleReception(all []taken, rec reception, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	for i := range all {
		t := &all[i]
		switch {
		case err == nil && (t.missing || t.dead):
			q.index.remove(t.group, t.number)
		case err == nil:
			rec.receives = t.receives + 1
			q.index.receive(t.group, t.number, rec)
		}
		t.group.taking = i+1 < len(all) && all[i+1].group == t.group
		q.index.place(t.group, now)
	}
	q.wake()
}

// tell says which messages became dead letters.
func (q *Queue) tell(letters []*draft) {
	for _, d := range letters {
		q.cfg.Logger.Warn("a message was received too often and is a dead letter now",
			slog.String("id", hex.EncodeToString(d.id[:])), slog.String("group", d.group))
	}
}

func messagesOf(all []taken, rec reception) []queue.Message {
	var got []queue.Message
	for i := range all {
		t := &all[i]
		if t.missing || t.dead {
			continue
		}
		got = append(got, queue.Message{
			ID: hex.EncodeToString(t.message.id[:]), Group: t.message.group, Body: t.message.body,
			Receipt: receiptOf(t.number, rec.nonce), Receives: int(t.receives) + 1, Sent: timeOf(t.message.sent),
		})
	}
	return got
}
