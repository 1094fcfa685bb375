package storequeue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/store"
)

// claim is a message in flight with a commit under way on it.
type claim struct {
	flight *flight
	key    store.Key
	since  int64
}

// Delete implements queue.Queue.
func (q *Queue) Delete(ctx context.Context, receipts []string) (failed []error, err error) {
	claims, failed, err := q.claim(ctx, receipts, func(*flight, int64) error { return nil })
	if err != nil {
		return nil, err
	}
	if err := q.refuseDead(ctx, receipts, failed); err != nil {
		q.settleClaims(claims, func(*flight) {})
		return nil, err
	}
	ops := []store.Op{q.fence}
	for _, c := range claims {
		ops = append(ops, remove(c.key), remove(receptionKey(c.key)))
	}
	return failed, q.commitClaims(ctx, claims, ops, func(f *flight) { q.index.remove(f.group, f.number) })
}

// Extend implements queue.Queue. As with SQS, a reception lasts MaxVisibility at the most, however often it is extended.
func (q *Queue) Extend(ctx context.Context, receipts []string, visibility time.Duration) (failed []error, err error) {
	if visibility < 0 || visibility > queue.MaxVisibility {
		return nil, fmt.Errorf("%w: a visibility time-out is at most %v", queue.ErrInvalid, queue.MaxVisibility)
	}
	var deadline int64
	claims, failed, err := q.claim(ctx, receipts, func(f *flight, now int64) error {
		deadline = 0
		if visibility > 0 {
			deadline = now + int64(visibility)
		}
		if deadline-f.received > int64(queue.MaxVisibility) {
			return fmt.Errorf("%w: a message is in flight for %v at the most", queue.ErrInvalid, queue.MaxVisibility)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, f := range failed {
		if errors.Is(f, errGone) {
			failed[i] = queue.ErrStale
		}
	}
	ops := []store.Op{q.fence}
	for _, c := range claims {
		r := c.flight.reception // Nobody changes it while it is claimed.
		r.deadline = deadline
		ops = append(ops, putReception(c.key, r, q.expiry(c.since)))
	}
	return failed, q.commitClaims(ctx, claims, ops, func(f *flight) { f.deadline = deadline })
}

// errGone says that there is no message of the receipt's number any more.
var errGone = errors.New("storequeue: the message is gone")

// claim finds the messages of good receipts and marks them, so that nothing else happens to them until settleClaims. It waits for
// those that are marked, and holds none meanwhile. It returns an error for each other receipt.
func (q *Queue) claim(ctx context.Context, receipts []string, check func(*flight, int64) error) ([]claim, []error, error) {
	if len(receipts) == 0 || len(receipts) > queue.MaxBatch {
		return nil, nil, fmt.Errorf("%w: a batch has 1 to %d receipts", queue.ErrInvalid, queue.MaxBatch)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		claims, failed, wait, err := q.tryClaim(receipts, check)
		if wait == nil || err != nil {
			return claims, failed, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-q.ctx.Done():
		}
	}
}

func (q *Queue) tryClaim(receipts []string, check func(*flight, int64) error) (claims []claim, failed []error, wait chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil {
		return nil, nil, nil, q.closed
	}
	now := q.now()
	failed = make([]error, len(receipts))
	flights := make([]*flight, 0, len(receipts))
	for i, receipt := range receipts {
		f, err := q.index.flightOf(receipt, now)
		if err == nil && f.claimed != nil {
			return nil, nil, f.claimed, nil
		}
		if err == nil {
			err = check(f, now)
		}
		if failed[i] = err; err == nil {
			flights = append(flights, f)
		}
	}
	done := make(chan struct{})
	for _, f := range flights {
		if f.claimed != nil {
			continue // The same receipt twice.
		}
		f.claimed = done
		f.group.claims++
		q.index.place(f.group, now)
		claims = append(claims, claim{
			flight: f, key: messageKey(q.cfg.Name, f.group.id, f.number), since: f.group.entries[f.group.find(f.number)].since,
		})
	}
	return claims, failed, nil, nil
}

// flightOf returns the reception that a receipt names, if it is in flight.
func (x *index) flightOf(receipt string, now int64) (*flight, error) {
	number, nonce, ok := parseReceipt(receipt)
	if !ok || number > x.last || number>>openingShift == 0 { // Not from here.
		return nil, queue.ErrStale
	}
	f := x.received[number]
	switch {
	case f == nil:
		return nil, errGone
	case f.nonce != nonce, f.deadline <= now, f.group.taking:
		return nil, queue.ErrStale
	default:
		return f, nil
	}
}

// refuseDead decides about receipts of messages that are gone: deleted is what was asked for; a dead letter is not deleted.
func (q *Queue) refuseDead(ctx context.Context, receipts []string, failed []error) error {
	for i := range failed {
		if !errors.Is(failed[i], errGone) {
			continue
		}
		failed[i] = nil
		number, _, _ := parseReceipt(receipts[i])
		_, err := q.cfg.Store.Get(ctx, deadKey(q.cfg.Name, number))
		switch {
		case err == nil:
			failed[i] = queue.ErrStale
		case !errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("looking for a dead letter: %w", portError(err))
		}
	}
	return nil
}

// commitClaims commits what is to become of the claimed messages, and does it to the index when it took effect.
func (q *Queue) commitClaims(ctx context.Context, claims []claim, ops []store.Op, apply func(*flight)) error {
	if len(claims) == 0 {
		return nil
	}
	return portError(q.transact(ctx, 1, ops, func(err error, _ bool) {
		if err != nil {
			apply = func(*flight) {}
		}
		q.settleClaims(claims, apply)
	}))
}

func (q *Queue) settleClaims(claims []claim, apply func(*flight)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	for i, c := range claims {
		f := c.flight
		apply(f)
		f.group.claims--
		q.index.place(f.group, now)
		if i == 0 {
			close(f.claimed)
		}
		f.claimed = nil
	}
	q.wake()
}
