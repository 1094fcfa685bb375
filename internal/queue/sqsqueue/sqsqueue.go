// Package sqsqueue keeps the port internal/queue with an Amazon SQS FIFO queue.
//
// A body travels as a binary message attribute, for SQS takes only text as a message's own body; see Delivery, with which
// functions that get their messages in an event read them too. What Delete and Extend make of a receipt is SQS's to say, but
// SQS may answer that it deleted a message under a receipt that a later reception made stale, and did not: therefore a Queue
// remembers the receptions of its process, and refuses what it knows to be stale itself.
//
// A request that was begun is never broken off: a message that SQS hands to a caller who has gone would keep its group
// waiting for its visibility time-out, and one that SQS puts into the queue after a later one would break the group's order.
// A caller whose context ends is told so at once; the request goes on, what it received is given back, and the next Send to its groups
// waits for it. Lost answers, throttling and failures of SQS are tried again with full jitter for as long as the caller waits: a repeated
// Send is harmless by its deduplication ids, a repeated Receive gets the same messages by its attempt id.
//
// The queue is made by the infrastructure; Open says what is wrong with one. Its redrive policy has the dead-letter queue and after
// how many receptions a message moves there.
package sqsqueue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/domicile-api/domicile/internal/queue"
)

// Client is what a Queue needs of SQS; *sqs.Client is one. Its region is the queue's region. What it retries and how long it waits for an
// answer is set by the Queue for each call.
type Client interface {
	Messages
	Metadata
}

// Messages are the calls that move messages.
type Messages interface {
	SendMessageBatch(ctx context.Context, in *sqs.SendMessageBatchInput, options ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error)
	ReceiveMessage(ctx context.Context, in *sqs.ReceiveMessageInput, options ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(ctx context.Context, in *sqs.DeleteMessageBatchInput, options ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error)
	ChangeMessageVisibilityBatch(
		ctx context.Context, in *sqs.ChangeMessageVisibilityBatchInput, options ...func(*sqs.Options),
	) (*sqs.ChangeMessageVisibilityBatchOutput, error)
}

// Metadata are the calls about a queue.
type Metadata interface {
	// GetQueueUrl is needed only where a queue is given by its name.
	GetQueueUrl(ctx context.Context, in *sqs.GetQueueUrlInput, options ...func(*sqs.Options)) (*sqs.GetQueueUrlOutput, error)
	// GetQueueAttributes is needed by Depth and Open.
	GetQueueAttributes(
		ctx context.Context, in *sqs.GetQueueAttributesInput, options ...func(*sqs.Options),
	) (*sqs.GetQueueAttributesOutput, error)
	// ListQueueTags is needed by Open alone.
	ListQueueTags(ctx context.Context, in *sqs.ListQueueTagsInput, options ...func(*sqs.Options)) (*sqs.ListQueueTagsOutput, error)
}

// Config is what a queue is opened with. Client is required, and one of URL and Name.
type Config struct {
	Client Client
	// URL is the queue's address. Name, with its end ".fifo", is looked up at the first use instead, in the client's account and region.
	URL, Name string
	// DeadLetters says that the queue is a dead-letter queue: Open asks a redrive policy of any other.
	DeadLetters bool
	// Clock says when receptions end; default: time.Now.
	Clock func() time.Time
	// Logger gets what an operator should know; default: none.
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Client == nil {
		return Config{}, errors.New("sqsqueue: no client given")
	}
	if (c.URL == "") == (c.Name == "") {
		return Config{}, errors.New("sqsqueue: a queue is given by its URL or by its name")
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = c.Logger.With(slog.String("queue", c.URL+c.Name))
	return c, nil
}

// Queue is one SQS FIFO queue.
type Queue struct {
	cfg     Config
	retryer aws.RetryerV2

	// ctx ends when the queue is closed; calls are those under way, also of callers who have gone.
	ctx    context.Context //nolint:containedctx // the life of what goes on without a caller
	cancel context.CancelFunc
	calls  sync.WaitGroup

	receptions receptions

	mu     sync.Mutex
	closed bool
	url    string
	// sending are, by group, the sends that are under way: each is closed when it has ended, and those before it.
	sending map[string]chan struct{}
	// attempts are the receives whose answer was lost.
	attempts []attempt
}

var _ queue.Queue = (*Queue)(nil)

// New returns a queue without looking at it: for one that the caller may only send to, whose attributes it may not read.
func New(cfg Config) (*Queue, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	q := &Queue{cfg: cfg, retryer: newRetryer(), url: cfg.URL, sending: make(map[string]chan struct{})}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return q, nil
}

// Open returns a queue that is as the port needs it; a *SchemaError says what is not and what to do.
func Open(ctx context.Context, cfg Config) (*Queue, error) {
	q, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := q.check(ctx); err != nil {
		return nil, errors.Join(err, q.Close())
	}
	return q, nil
}

// Close ends the queue: all that waits and all that is called afterwards fails with queue.ErrClosed. It waits for the requests that are under
// way, some seconds at the most while SQS answers, and gives back what they received.
func (q *Queue) Close() error {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.cancel()
	q.calls.Wait()
	return nil
}

// Depth implements queue.Queue. SQS does not say when the oldest message was sent; its metric in CloudWatch does.
func (q *Queue) Depth(ctx context.Context) (queue.Depth, error) {
	return run(ctx, q, func(ctx context.Context) (queue.Depth, error) {
		attributes, err := q.attributes(ctx, types.QueueAttributeNameApproximateNumberOfMessages,
			types.QueueAttributeNameApproximateNumberOfMessagesDelayed, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible)
		if err != nil {
			return queue.Depth{}, err
		}
		count := func(name types.QueueAttributeName) int {
			n, parsing := strconv.Atoi(attributes[string(name)])
			if parsing != nil {
				err = fmt.Errorf("sqsqueue: the attribute %s is not a number: %w", name, parsing)
			}
			return n
		}
		return queue.Depth{
			Waiting:  count(types.QueueAttributeNameApproximateNumberOfMessages) + count(types.QueueAttributeNameApproximateNumberOfMessagesDelayed),
			InFlight: count(types.QueueAttributeNameApproximateNumberOfMessagesNotVisible),
		}, err
	}, nil)
}

// attributes reads attributes of the queue.
func (q *Queue) attributes(ctx context.Context, names ...types.QueueAttributeName) (map[string]string, error) {
	url, err := q.address(ctx)
	if err != nil {
		return nil, err
	}
	in := &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: names}
	out, err := q.cfg.Client.GetQueueAttributes(ctx, in, q.options(attemptTimeout))
	if err != nil {
		return nil, q.failure("reading the attributes of the queue", err)
	}
	return out.Attributes, nil
}

// address returns the queue's URL.
func (q *Queue) address(ctx context.Context) (string, error) {
	q.mu.Lock()
	url := q.url
	q.mu.Unlock()
	if url != "" {
		return url, nil
	}
	out, err := q.cfg.Client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &q.cfg.Name}, q.options(attemptTimeout))
	if err != nil {
		return "", q.failure("looking for the queue", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.url = aws.ToString(out.QueueUrl)
	return q.url, nil
}
