package sqsqueue

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/domicile-api/domicile/internal/queue"
)

// Delete implements queue.Queue.
func (q *Queue) Delete(ctx context.Context, receipts []string) (failed []error, err error) {
	if err := checkReceipts(receipts); err != nil {
		return nil, err
	}
	b := newBatch(receipts)
	return run(ctx, q, func(ctx context.Context) ([]error, error) {
		for i, receipt := range b.receipts {
			switch v := q.receptions.judge(receipt, q.cfg.Clock()); {
			case v.stale:
				b.failed[i] = queue.ErrStale
			case !v.deleted: // To delete what is deleted succeeds.
				b.ask(i)
			}
		}
		if err := q.delete(ctx, b); err != nil {
			return nil, err
		}
		return b.results(), nil
	}, nil)
}

func (q *Queue) delete(ctx context.Context, b *batch) error {
	if len(b.asked) == 0 {
		return nil
	}
	url, err := q.address(ctx)
	if err != nil {
		return err
	}
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &url}
	for _, i := range b.asked {
		in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &b.receipts[i]})
	}
	out, err := q.cfg.Client.DeleteMessageBatch(ctx, in, q.options(attemptTimeout))
	if err != nil {
		return q.failure("deleting messages", err)
	}
	for _, e := range out.Successful {
		note(b.failed, e.Id, nil)
	}
	for _, e := range out.Failed {
		note(b.failed, e.Id, receiptError(e))
	}
	for _, i := range b.asked {
		if b.failed[i] == nil {
			q.receptions.deleted(b.receipts[i])
		}
	}
	return nil
}

// Extend implements queue.Queue. Times are rounded up to whole seconds.
func (q *Queue) Extend(ctx context.Context, receipts []string, visibility time.Duration) (failed []error, err error) {
	if visibility < 0 || visibility > queue.MaxVisibility {
		return nil, fmt.Errorf("%w: a visibility time-out is at most %v", queue.ErrInvalid, queue.MaxVisibility)
	}
	if err := checkReceipts(receipts); err != nil {
		return nil, err
	}
	b := newBatch(receipts)
	return run(ctx, q, func(ctx context.Context) ([]error, error) { return q.extend(ctx, b, wholeSeconds(visibility)) }, nil)
}

func (q *Queue) extend(ctx context.Context, b *batch, visibility time.Duration) ([]error, error) {
	now := q.cfg.Clock()
	for i, receipt := range b.receipts {
		switch v := q.receptions.judge(receipt, now); {
		case v.stale, v.deleted:
			b.failed[i] = queue.ErrStale
		case v.beyond(now, visibility):
			b.failed[i] = errTooLong
		default:
			b.ask(i)
		}
	}
	if len(b.asked) == 0 {
		return b.results(), nil
	}
	out, err := q.change(ctx, b, visibility)
	if err != nil {
		for _, i := range b.asked {
			q.receptions.perhapsExtended(b.receipts[i], q.cfg.Clock(), visibility)
		}
		return nil, err
	}
	for _, e := range out.Successful {
		note(b.failed, e.Id, nil)
	}
	for _, e := range out.Failed {
		note(b.failed, e.Id, receiptError(e))
	}
	for _, i := range b.asked {
		if b.failed[i] == nil {
			q.receptions.extended(b.receipts[i], q.cfg.Clock(), visibility)
		}
	}
	return b.results(), nil
}

func (q *Queue) change(ctx context.Context, b *batch, visibility time.Duration) (*sqs.ChangeMessageVisibilityBatchOutput, error) {
	url, err := q.address(ctx)
	if err != nil {
		return nil, err
	}
	in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &url}
	for _, i := range b.asked {
		in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &b.receipts[i],
			VisibilityTimeout: int32(visibility / time.Second), //nolint:gosec // at most 12 hours
		})
	}
	out, err := q.cfg.Client.ChangeMessageVisibilityBatch(ctx, in, q.options(attemptTimeout))
	if err != nil {
		return nil, q.failure("changing the visibility of messages", err)
	}
	return out, nil
}

// errTooLong says that an extension would go beyond MaxVisibility.
var errTooLong = fmt.Errorf("%w: a message is in flight for %v at the most", queue.ErrInvalid, queue.MaxVisibility)

// receiptError makes the port's error of what SQS says of a receipt. It has one code for what is stale and for what is beyond the limit.
func receiptError(e types.BatchResultErrorEntry) error {
	switch k := kindOf(aws.ToString(e.Code)); {
	case k == invalid && strings.Contains(aws.ToString(e.Message), "VisibilityTimeout"):
		return entryError(invalid, e)
	case k == invalid:
		return entryError(stale, e)
	default:
		return entryError(k, e)
	}
}

func checkReceipts(receipts []string) error {
	if len(receipts) == 0 || len(receipts) > queue.MaxBatch {
		return fmt.Errorf("%w: a batch has 1 to %d receipts", queue.ErrInvalid, queue.MaxBatch)
	}
	return nil
}

// batch is a call about receipts.
type batch struct {
	receipts []string
	failed   []error
	// asked are the indices of those that SQS is asked about, each receipt once; same are those of its repetitions, with the index of the first.
	asked []int
	same  map[int]int
}

func newBatch(receipts []string) *batch {
	return &batch{receipts: slices.Clone(receipts), failed: make([]error, len(receipts)), same: make(map[int]int)}
}

// ask notes that SQS is asked about a receipt, and that it has not answered.
func (b *batch) ask(i int) {
	for _, first := range b.asked {
		if b.receipts[first] == b.receipts[i] {
			b.same[i] = first
			return
		}
	}
	b.asked = append(b.asked, i)
	b.failed[i] = errUnanswered
}

// results are the errors by receipt.
func (b *batch) results() []error {
	for i, first := range b.same {
		b.failed[i] = b.failed[first]
	}
	return b.failed
}
