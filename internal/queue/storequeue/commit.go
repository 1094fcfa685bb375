package storequeue

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/store"
)

const (
	// callerAttempts is how often a commit is sent while its caller waits.
	callerAttempts = 4
	// firstRetryPause and maxRetryPause bound the pauses between attempts at a commit of unknown outcome.
	firstRetryPause = 5 * time.Millisecond
	maxRetryPause   = time.Second
)

// errTakenOver says that the queue was opened again.
var errTakenOver = fmt.Errorf("%w: it was opened again elsewhere", queue.ErrClosed)

// transact commits the operations, the first of which are fences, and calls settle once with the outcome when it is known: nil, or
// what the store refused it with. The caller learns at once when the outcome is not known; settle is then called late, or never if the queue
// or its store is closed before.
func (q *Queue) transact(ctx context.Context, fences int, ops []store.Op, settle func(err error, late bool)) error {
	token, err := q.token()
	if err != nil {
		settle(err, false)
		return err
	}
	c := store.Commit{Ops: ops, Token: token}
	err = q.attempt(ctx, c, callerAttempts)
	if outcomeKnown(err) {
		err = q.judge(err, fences, ops)
		settle(err, false)
		return err
	}
	if errors.Is(err, store.ErrClosed) {
		q.end(queue.ErrClosed)
		return queue.ErrClosed
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil {
		return q.closed
	}
	q.settling.Go(func() {
		err := q.attempt(q.ctx, c, 0)
		if outcomeKnown(err) {
			settle(q.judge(err, fences, ops), true)
		} else if errors.Is(err, store.ErrClosed) {
			q.end(queue.ErrClosed)
		}
	})
	return fmt.Errorf("the store did not say whether it took effect: %w", errors.Join(ctx.Err(), portError(err)))
}

// attempt sends the commit, the same with the same token, until the store says what became of it or the attempts are used up; zero:
// until ctx ends.
func (q *Queue) attempt(ctx context.Context, c store.Commit, attempts int) error {
	pause := firstRetryPause
	for n := 1; ; n++ {
		err := q.cfg.Store.Commit(ctx, c)
		if outcomeKnown(err) || errors.Is(err, store.ErrClosed) || ctx.Err() != nil || n == attempts {
			return err
		}
		if n == callerAttempts {
			q.cfg.Logger.Warn("the store does not say what became of a commit; it is sent again", slog.Any("error", err))
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			pause = min(2*pause, maxRetryPause)
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// outcomeKnown tells whether a commit's error, or its absence, says what became of it.
func outcomeKnown(err error) bool {
	_, refused := errors.AsType[*store.ConditionError](err)
	return err == nil || refused || errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrInvalid)
}

// judge says what a known outcome means. A new message's number is nobody else's: where it is not absent, an earlier attempt at this
// very commit took effect, and its token has been forgotten since.
func (q *Queue) judge(err error, fences int, ops []store.Op) error {
	refused, ok := errors.AsType[*store.ConditionError](err)
	if !ok {
		return err
	}
	for i, failed := range refused.Failed {
		switch {
		case failed && i < fences:
			q.cfg.Logger.Error("the queue was opened again elsewhere and ends here")
			q.end(errTakenOver)
			if i > 0 {
				q.cfg.DeadLetters.end(errTakenOver)
			}
			return errTakenOver
		case failed && ops[i].If == store.Absent():
			return nil
		}
	}
	return err
}

// token names a commit to the store, so that it takes effect once however often it is sent.
func (q *Queue) token() (string, error) {
	var b [16]byte
	if err := q.read(b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}
