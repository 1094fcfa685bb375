package sqsqueue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/domicile-api/domicile/internal/queue"
)

const (
	// longestPoll is how long one request waits: a longer wait is several, so that one that nobody waits for any more ends soon.
	longestPoll = 5 * time.Second
	// attemptWindow is how long SQS remembers the id of an attempt to receive, with a margin.
	attemptWindow = 4 * time.Minute
	// maxAttemptsKept bounds the attempts that are remembered.
	maxAttemptsKept = 16
	// giveBackTime bounds how long messages that nobody waits for any more are tried to be given back.
	giveBackTime = 5 * time.Second
)

// attempt is a receive whose answer was lost: under its id, the next gets the messages that it would have had.
type attempt struct {
	id         string
	limit      int
	visibility time.Duration
	begin      time.Time
}

// Receive implements queue.Queue. Times are rounded up to whole seconds.
func (q *Queue) Receive(ctx context.Context, r queue.Receive) ([]queue.Message, error) {
	switch {
	case r.Max < 1 || r.Max > queue.MaxBatch:
		return nil, fmt.Errorf("%w: 1 to %d messages can be received", queue.ErrInvalid, queue.MaxBatch)
	case r.Visibility <= 0 || r.Visibility > queue.MaxVisibility:
		return nil, fmt.Errorf("%w: a visibility time-out is above zero and at most %v", queue.ErrInvalid, queue.MaxVisibility)
	case r.Wait < 0 || r.Wait > queue.MaxWait:
		return nil, fmt.Errorf("%w: a wait is at most %v", queue.ErrInvalid, queue.MaxWait)
	}
	r.Visibility, r.Wait = wholeSeconds(r.Visibility), wholeSeconds(r.Wait)
	return run(ctx, q, func(ctx context.Context) ([]queue.Message, error) {
		for {
			wait := min(r.Wait, longestPoll)
			got, again, err := q.poll(ctx, r, wait)
			if !again {
				r.Wait -= wait
			}
			if err != nil || len(got) > 0 || r.Wait <= 0 && !again {
				return got, err
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
	}, func(got []queue.Message) { q.giveBack(context.WithoutCancel(ctx), got) })
}

func wholeSeconds(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }

// poll receives once. again says that it asked for what an earlier attempt would have had, and there was nothing.
func (q *Queue) poll(ctx context.Context, r queue.Receive, wait time.Duration) (got []queue.Message, again bool, err error) {
	url, err := q.address(ctx)
	if err != nil {
		return nil, false, err
	}
	a, again := q.resume(r)
	out, err := q.cfg.Client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &url, MaxNumberOfMessages: int32(r.Max), ReceiveRequestAttemptId: &a.id, //nolint:gosec // at most 10
		VisibilityTimeout: int32(r.Visibility / time.Second), WaitTimeSeconds: int32(wait / time.Second), //nolint:gosec // at most 12 hours
		MessageAttributeNames: []string{BodyAttribute},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{
			types.MessageSystemAttributeNameMessageGroupId, types.MessageSystemAttributeNameApproximateReceiveCount,
			types.MessageSystemAttributeNameSentTimestamp,
		},
	}, q.options(wait+attemptTimeout))
	if err != nil {
		err = q.failure("receiving messages", err)
		if errors.Is(err, queue.ErrUnavailable) || ctx.Err() != nil {
			q.keep(a)
		}
		return nil, false, err
	}
	got = make([]queue.Message, 0, len(out.Messages))
	now := q.cfg.Clock()
	for i := range out.Messages {
		m, err := deliveryOf(&out.Messages[i]).Message()
		if err != nil {
			return nil, false, err
		}
		q.receptions.add(m.ID, m.Receipt, now, now.Add(r.Visibility))
		got = append(got, m)
	}
	return got, again && len(got) == 0, nil
}

// resume returns an attempt for a receive: one that was kept, if there is one like it whose messages nobody else can have yet, or a new one.
func (q *Queue) resume(r queue.Receive) (a attempt, again bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.cfg.Clock()
	q.attempts = slices.DeleteFunc(q.attempts, func(a attempt) bool {
		return now.Sub(a.begin) >= min(a.visibility, attemptWindow)
	})
	for i, a := range q.attempts {
		if a.limit == r.Max && a.visibility == r.Visibility {
			q.attempts = slices.Delete(q.attempts, i, i+1)
			return a, true
		}
	}
	return attempt{id: rand.Text(), limit: r.Max, visibility: r.Visibility, begin: now}, false
}

// keep keeps an attempt of which it is not known what came of it.
func (q *Queue) keep(a attempt) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.attempts = append(q.attempts, a)
	if len(q.attempts) > maxAttemptsKept {
		q.attempts = q.attempts[1:]
	}
}

// giveBack makes messages visible again whose receiver has gone.
func (q *Queue) giveBack(ctx context.Context, got []queue.Message) {
	if len(got) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, giveBackTime)
	defer cancel()
	receipts := make([]string, len(got))
	for i := range got {
		receipts[i] = got[i].Receipt
	}
	failed, err := q.extend(ctx, newBatch(receipts), 0)
	if err := errors.Join(append(failed, err)...); err != nil {
		q.cfg.Logger.Warn("messages that nobody waited for any more wait for their visibility time-out",
			slog.Int("messages", len(got)), slog.Any("error", err))
	}
}
