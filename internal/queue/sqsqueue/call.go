package sqsqueue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/domicile-api/domicile/internal/queue"
)

const (
	// maxAttempts bounds how often a request is sent; the caller's context bounds it too.
	maxAttempts = 10
	// firstBackoff and maxBackoff bound the pause before the first repetition and before any: it is a random part of that.
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 3 * time.Second
	// attemptTimeout is how long SQS has for an answer, besides the wait that it was asked for.
	attemptTimeout = 10 * time.Second
)

// run makes a call that goes on when its caller goes: then late, unless it is nil, gets what came of it.
func run[T any](ctx context.Context, q *Queue, call func(context.Context) (T, error), late func(T)) (T, error) {
	var none T
	if err := q.begin(ctx); err != nil {
		return none, err
	}
	type outcome struct {
		value T
		err   error
	}
	done, gone := make(chan outcome), make(chan struct{})
	go func() {
		defer q.calls.Done()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(q.ctx, cancel)() //nolint:contextcheck // the queue's life, which ends the call as well
		value, err := call(ctx)
		select {
		case done <- outcome{value, err}:
		case <-gone:
			if err == nil && late != nil {
				late(value)
			}
		}
	}()
	defer close(gone)
	select {
	case o := <-done:
		if o.err != nil && q.ctx.Err() != nil {
			o.err = queue.ErrClosed
		}
		return o.value, o.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-q.ctx.Done():
		return none, queue.ErrClosed
	}
}

// begin counts a call, which q.calls.Done ends.
func (q *Queue) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return queue.ErrClosed
	}
	q.calls.Add(1)
	return nil
}

// options are those of a call to SQS each of whose attempts may take so long.
func (q *Queue) options(timeout time.Duration) func(*sqs.Options) {
	return func(o *sqs.Options) {
		o.Retryer = q.retryer
		if o.Credentials != nil {
			o.Credentials = credentials{o.Credentials}
		}
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Finalize.Insert(whole{timeout}, (&retry.Attempt{}).ID(), middleware.After)
		})
	}
}

// newRetryer returns what decides about repetitions. It is shared by all calls of a queue, so that its quota keeps them from
// flooding an SQS that fails.
func newRetryer() aws.RetryerV2 {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			most := min(firstBackoff<<min(max(attempt-1, 0), 10), maxBackoff) // The SDK counts from 1, and in its newer mode from 0.
			return rand.N(most), nil                                          //nolint:gosec // jitter
		})
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(repeatable)}, o.Retryables...)
	})
}

// repeatable knows the failures that pass which the SDK does not know.
func repeatable(err error) aws.Ternary {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errNoAnswer) {
		return aws.TrueTernary
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok && kindOf(api.ErrorCode()) == throttled {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// errNoAnswer says that SQS did not answer an attempt in its time.
var errNoAnswer = errors.New("sqsqueue: no answer in time")

// whole makes each attempt of a request run to its end, whether its caller is still there or not, but no longer than timeout.
type whole struct{ timeout time.Duration }

func (w whole) ID() string { return "DomicileWholeAttempts" }

func (w whole) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	middleware.FinalizeOutput, middleware.Metadata, error,
) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.timeout)
	defer cancel()
	out, metadata, err := next.HandleFinalize(ctx, in)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %v", errNoAnswer, err) //nolint:errorlint // what is cancelled is not repeated, and this is to be
	}
	return out, metadata, err
}
