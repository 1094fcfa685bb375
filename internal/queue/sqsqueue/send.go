package sqsqueue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/domicile-api/domicile/internal/queue"
)

// Send implements queue.Queue with one SendMessageBatch. SQS puts the messages of a batch into the queue in their order and answers for each by
// itself; it does not say that it stops a group at one that failed. What could be wrong with a message is therefore refused here, before it is
// sent, so that only a failure of SQS itself can come in between: then the later messages of the group are reported as failed although
// SQS has them, so that the whole is sent again, and its deduplication ids keep it from being delivered twice. The one that failed then comes
// behind the others, and the log says so. To send a message at a time would keep the order and cost a round trip each.
func (q *Queue) Send(ctx context.Context, messages []queue.Outgoing) (failed []error, err error) {
	checked, err := queue.CheckSend(messages)
	if err = errors.Join(ctx.Err(), err); err != nil {
		return nil, err
	}
	messages = slices.Clone(messages) // The call may go on when its caller has gone.
	return run(ctx, q, func(ctx context.Context) ([]error, error) {
		failed, good := checked, make([]int, 0, len(messages))
		for i := range failed {
			if failed[i] == nil {
				good = append(good, i)
			}
		}
		if len(good) == 0 {
			return failed, nil
		}
		leave, err := q.enter(ctx, messages, good)
		if err != nil {
			return nil, err
		}
		defer leave()
		if err := q.send(ctx, messages, good, failed); err != nil {
			return nil, err
		}
		q.follow(messages, failed)
		return failed, nil
	}, nil)
}

// send sends the messages with these indices and notes which failed.
func (q *Queue) send(ctx context.Context, messages []queue.Outgoing, indices []int, failed []error) error {
	url, err := q.address(ctx)
	if err != nil {
		return err
	}
	in := &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: make([]types.SendMessageBatchRequestEntry, 0, len(indices))}
	for _, i := range indices {
		m := &messages[i]
		in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(bodyText), MessageAttributes: attributesOf(m.Body),
			MessageGroupId: &m.Group, MessageDeduplicationId: &m.Deduplication,
		})
	}
	out, err := q.cfg.Client.SendMessageBatch(ctx, in, q.options(attemptTimeout))
	if err != nil {
		return q.failure("sending messages", err)
	}
	for _, i := range indices {
		failed[i] = errUnanswered
	}
	for _, e := range out.Successful {
		note(failed, e.Id, nil)
	}
	for _, e := range out.Failed {
		note(failed, e.Id, entryError(kindOf(aws.ToString(e.Code)), e))
	}
	return nil
}

// errUnanswered says that SQS answered for other entries of a batch only.
var errUnanswered = fmt.Errorf("%w: no answer for one of a batch", queue.ErrUnavailable)

// note notes what became of the entry with this id.
func note(failed []error, id *string, err error) {
	if i, parsing := strconv.Atoi(aws.ToString(id)); parsing == nil && i >= 0 && i < len(failed) {
		failed[i] = err
	}
}

// follow makes the messages fail that are behind one of their group that did.
func (q *Queue) follow(messages []queue.Outgoing, failed []error) {
	first := make(map[string]error)
	taken := 0
	for i := range messages {
		group := messages[i].Group
		switch before := first[group]; {
		case before != nil && failed[i] == nil:
			taken++
			failed[i] = fmt.Errorf("an earlier message of its group was not accepted: %w", before)
		case before == nil && failed[i] != nil:
			first[group] = failed[i]
		}
	}
	if taken > 0 {
		q.cfg.Logger.Warn("the queue took messages behind one of their group that it did not take: that will come behind them",
			slog.Int("messages", taken))
	}
}

// enter waits until the earlier sends to the messages' groups have ended, also those whose callers have gone. leave ends this one.
func (q *Queue) enter(ctx context.Context, messages []queue.Outgoing, indices []int) (leave func(), err error) {
	mine := make(chan struct{})
	before := make(map[chan struct{}]struct{})
	q.mu.Lock()
	for _, i := range indices {
		if other, ok := q.sending[messages[i].Group]; ok && other != mine {
			before[other] = struct{}{}
		}
		q.sending[messages[i].Group] = mine
	}
	q.mu.Unlock()
	leave = func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		for _, i := range indices {
			if q.sending[messages[i].Group] == mine {
				delete(q.sending, messages[i].Group)
			}
		}
		close(mine)
	}
	for other := range before {
		select {
		case <-other:
		case <-ctx.Done():
			err = ctx.Err()
			<-other // It ends in the time of an attempt, and who waits for this one waits for that.
		}
	}
	if err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}
