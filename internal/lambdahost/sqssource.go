package lambdahost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// MaxSQSBatch is the most messages of a FIFO queue that a function gets at once.
const MaxSQSBatch = 10

const (
	// longPoll is how long a poller waits for messages, and so how long a source takes to end: a poll that is broken off could still be given
	// messages, which nobody would see until their visibility time-out is over.
	longPoll = 2 * time.Second
	// answerTime is how long the queue has for an answer besides.
	answerTime = 10 * time.Second
	// defaultVisibility is SQS's own.
	defaultVisibility = 30 * time.Second
	// defaultPollers is the least that AWS takes as the maximum concurrency of an event source mapping.
	defaultPollers = 2
)

// SQSClient is what an SQSSource needs of *sqs.Client.
type SQSClient interface {
	ReceiveMessage(ctx context.Context, in *sqs.ReceiveMessageInput, o ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(ctx context.Context, in *sqs.DeleteMessageBatchInput, o ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error)
}

// SQSConfig is what an SQSSource is made of. Client, Function, QueueURL and QueueARN are required.
type SQSConfig struct {
	Client   SQSClient
	Function Invoker
	// QueueURL and QueueARN name a FIFO queue.
	QueueURL, QueueARN string
	// BatchSize is the most messages of a batch; default and at most: 10.
	BatchSize int
	// MaxConcurrency is how many batches are worked on at once, each of other groups; default: 2.
	MaxConcurrency int
	// ReportBatchItemFailures lets the function say which messages failed. Without it, they succeed or fail together.
	ReportBatchItemFailures bool
	// Visibility is the queue's visibility time-out: so long is a batch tried again whose invocation is throttled. Default: 30 s.
	Visibility time.Duration
	// Logger gets the failures; default: none.
	Logger *slog.Logger
}

// SQSSource feeds a function with the messages of a FIFO queue, as an event source mapping does
// (docs.aws.amazon.com/lambda/latest/dg/with-sqs.html).
//
// A batch holds messages of one or more groups, in order; a group is in one batch at a time, which is the queue's doing. What the
// function took is deleted. What failed stays in the queue until its visibility time-out is over, and so do the groups of it; with the
// queue's redrive policy it becomes a dead letter at last. With ReportBatchItemFailures those alone that the function names have failed: of
// a FIFO queue it must name all messages of a group from the first failed one on, since the others are deleted. A response that leaves
// one out is logged.
type SQSSource struct {
	cfg    SQSConfig
	region string
}

// NewSQSSource makes a source.
func NewSQSSource(cfg SQSConfig) (*SQSSource, error) {
	if cfg.Client == nil || cfg.Function == nil || cfg.QueueURL == "" {
		return nil, errors.New("lambdahost: an SQS source needs a client, a function and a queue's URL")
	}
	region, err := regionOf(cfg.QueueARN)
	if err != nil {
		return nil, err
	}
	cfg.BatchSize = orDefault(cfg.BatchSize, MaxSQSBatch)
	cfg.MaxConcurrency = orDefault(cfg.MaxConcurrency, defaultPollers)
	if cfg.BatchSize < 1 || cfg.BatchSize > MaxSQSBatch || cfg.MaxConcurrency < 1 {
		return nil, fmt.Errorf("lambdahost: batches of 1 to %d messages, one or more at once", MaxSQSBatch)
	}
	cfg.Visibility = orDefault(cfg.Visibility, defaultVisibility)
	cfg.Logger = orSilent(cfg.Logger).With(slog.String("queue", cfg.QueueARN))
	return &SQSSource{cfg: cfg, region: region}, nil
}

// regionOf returns the region that an ARN names.
func regionOf(arn string) (string, error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" || parts[3] == "" {
		return "", fmt.Errorf("lambdahost: %q is no ARN of a region", arn)
	}
	return parts[3], nil
}

// Run polls until ctx ends; then it finishes the polls and batches in hand and returns nil. Errors of the queue are logged and tried again.
func (s *SQSSource) Run(ctx context.Context) error {
	var pollers sync.WaitGroup
	for range s.cfg.MaxConcurrency {
		pollers.Go(func() { s.poll(ctx) })
	}
	pollers.Wait()
	return nil
}

// poll works on one batch after another.
func (s *SQSSource) poll(ctx context.Context) {
	var between pause
	for ctx.Err() == nil {
		out, err := s.receive(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.cfg.Logger.Warn("messages cannot be received; it is tried again", slog.Any("error", err))
			}
			between.wait(ctx)
			continue
		}
		between.reset()
		if len(out.Messages) > 0 {
			s.handle(ctx, out.Messages)
		}
	}
}

// receive polls once, to the end also when ctx ends meanwhile.
func (s *SQSSource) receive(ctx context.Context) (*sqs.ReceiveMessageOutput, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longPoll+answerTime)
	defer cancel()
	return s.cfg.Client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:            aws.String(s.cfg.QueueURL),
		MaxNumberOfMessages: int32(s.cfg.BatchSize), //nolint:gosec // 1 to 10
		WaitTimeSeconds:     int32(longPoll / time.Second),

		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}, MessageAttributeNames: []string{"All"},
	})
}

// handle gives what was received to the function, in events that are not too large, and deletes what it took, also when ctx ends
// meanwhile. Of a group that failed, nothing more is given to it.
func (s *SQSSource) handle(ctx context.Context, messages []types.Message) {
	for len(messages) > 0 {
		event, n, err := s.event(messages)
		if err != nil {
			s.cfg.Logger.Error("messages are no event", slog.Any("error", err))
			return
		}
		badGroups := s.handleBatch(ctx, event, messages[:n])
		messages = slices.DeleteFunc(messages[n:], func(m types.Message) bool { return badGroups[groupOf(m)] })
	}
}

// event puts as many messages as fit into an event, one at least.
func (s *SQSSource) event(messages []types.Message) (event []byte, n int, err error) {
	size := len(eventFrame)
	var records [][]byte
	for _, m := range messages {
		record, err := json.Marshal(sqsRecord(m, s.cfg.QueueARN, s.region))
		if err != nil {
			return nil, 0, fmt.Errorf("the message %s: %w", aws.ToString(m.MessageId), err)
		}
		if size += len(record) + 1; size > MaxEvent && len(records) > 0 {
			break
		}
		records = append(records, record)
	}
	return recordsEvent(records), len(records), nil
}

// handleBatch gives a batch to the function and deletes what it took; it returns the groups that failed.
func (s *SQSSource) handleBatch(ctx context.Context, event []byte, batch []types.Message) map[string]bool {
	var failed []string
	answer, err := s.invoke(ctx, event)
	if err == nil && s.cfg.ReportBatchItemFailures {
		failed, err = batchFailures(answer, idsOf(batch))
	}
	if err != nil {
		s.cfg.Logger.Warn("a batch failed; its messages come again", slog.Int("messages", len(batch)), slog.Any("error", err))
		bad := make(map[string]bool)
		for _, m := range batch {
			bad[groupOf(m)] = true
		}
		return bad
	}
	return s.settle(context.WithoutCancel(ctx), batch, failed)
}

// invoke calls the function, again while it is throttled and the messages are the batch's.
func (s *SQSSource) invoke(ctx context.Context, event []byte) ([]byte, error) {
	var between pause
	until := time.Now().Add(s.cfg.Visibility)
	for {
		answer, err := s.cfg.Function.Invoke(context.WithoutCancel(ctx), event)
		if !errors.Is(err, ErrThrottled) || !time.Now().Before(until) || !between.wait(ctx) {
			return answer, err
		}
	}
}

// settle deletes the messages that have not failed; it returns the groups of those that have.
func (s *SQSSource) settle(ctx context.Context, messages []types.Message, failed []string) (badGroups map[string]bool) {
	bad := make(map[string]bool, len(failed))
	for _, id := range failed {
		bad[id] = true
	}
	badGroups = make(map[string]bool)
	var taken []types.DeleteMessageBatchRequestEntry
	for _, m := range messages {
		group := groupOf(m)
		if bad[aws.ToString(m.MessageId)] {
			badGroups[group] = true
			continue
		}
		if badGroups[group] {
			s.cfg.Logger.Error("a message is deleted although one before it in its group failed: the function must report both",
				slog.String("message", aws.ToString(m.MessageId)))
		}
		taken = append(taken, types.DeleteMessageBatchRequestEntry{Id: m.MessageId, ReceiptHandle: m.ReceiptHandle})
	}
	if len(failed) > 0 {
		s.cfg.Logger.Warn("messages failed; they come again", slog.Int("failed", len(failed)), slog.Int("messages", len(messages)))
	}
	s.remove(ctx, taken)
	return badGroups
}

// remove deletes messages. What cannot be deleted comes again, as after any failure of the queue.
func (s *SQSSource) remove(ctx context.Context, taken []types.DeleteMessageBatchRequestEntry) {
	if len(taken) == 0 {
		return
	}
	out, err := s.cfg.Client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: aws.String(s.cfg.QueueURL), Entries: taken})
	switch {
	case err != nil:
		s.cfg.Logger.Warn("messages cannot be deleted; they come again", slog.Int("messages", len(taken)), slog.Any("error", err))
	case len(out.Failed) > 0:
		s.cfg.Logger.Warn("messages cannot be deleted; they come again",
			slog.Int("messages", len(out.Failed)), slog.String("error", aws.ToString(out.Failed[0].Message)))
	}
}

func groupOf(m types.Message) string {
	return m.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)]
}

func idsOf(messages []types.Message) map[string]bool {
	ids := make(map[string]bool, len(messages))
	for _, m := range messages {
		ids[aws.ToString(m.MessageId)] = true
	}
	return ids
}
