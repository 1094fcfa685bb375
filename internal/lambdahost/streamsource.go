package lambdahost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

const (
	// MaxStreamBatch is the most records that a function gets at once, and defaultStreamBatch how many it gets unless told otherwise.
	MaxStreamBatch     = 10_000
	defaultStreamBatch = 100
	// maxRead is the most records of one read.
	maxRead = 1000
	// defaultPoll is how often AWS reads a shard that had nothing: 4 times a second.
	defaultPoll = 250 * time.Millisecond
	// defaultDiscover is how often a stream is asked for new shards.
	defaultDiscover = 10 * time.Second
)

// StreamsClient is what a StreamSource needs of *dynamodbstreams.Client.
type StreamsClient interface {
	DescribeStream(
		ctx context.Context, in *dynamodbstreams.DescribeStreamInput, o ...func(*dynamodbstreams.Options),
	) (*dynamodbstreams.DescribeStreamOutput, error)
	GetShardIterator(
		ctx context.Context, in *dynamodbstreams.GetShardIteratorInput, o ...func(*dynamodbstreams.Options),
	) (*dynamodbstreams.GetShardIteratorOutput, error)
	GetRecords(
		ctx context.Context, in *dynamodbstreams.GetRecordsInput, o ...func(*dynamodbstreams.Options),
	) (*dynamodbstreams.GetRecordsOutput, error)
}

// StreamConfig is what a StreamSource is made of. Client, Function and StreamARN are required.
type StreamConfig struct {
	Client   StreamsClient
	Function Invoker
	// StreamARN names the stream of a table.
	StreamARN string
	// Latest begins with what is written after Run has begun; otherwise it begins with the oldest record that the stream has
	// (TRIM_HORIZON).
	Latest bool
	// BatchSize is the most records of a batch; default: 100, at most 10,000.
	BatchSize int
	// Window is how long a batch that is not full is waited for, from its first record on; default: not at all.
	Window time.Duration
	// ReportBatchItemFailures lets the function say which record failed first; what is before it is not sent again.
	ReportBatchItemFailures bool
	// BisectOnError splits a batch that failed as a whole into halves, which are tried one after the other.
	BisectOnError bool
	// MaxAttempts is how often a batch is tried, one more than MaximumRetryAttempts; default: until it succeeds. Attempts that are
	// throttled or end with a split do not count.
	MaxAttempts int
	// MaxRecordAge is how old a record may be when it is sent; default: of any age.
	MaxRecordAge time.Duration
	// OnFailure gets what is given up, as an on-failure destination would; default: nobody. It is logged as well.
	OnFailure func(context.Context, Discarded)
	// Poll is how long to wait before a shard that had nothing is read again; default: 250 ms. Discover is how often new shards are
	// looked for; default: 10 s, and at once when a shard has ended.
	Poll, Discover time.Duration
	// Clock tells the age of records; default: time.Now. Waits are counted in real time.
	Clock func() time.Time
	// Logger gets the failures; default: none.
	Logger *slog.Logger
}

// Discarded says which records were given up.
type Discarded struct {
	StreamARN, ShardID string
	// First and Last are the sequence numbers of the first and the last record, Records is how many they are.
	First, Last string
	Records     int
	// Condition is RetryAttemptsExhausted or RecordAgeExceeded, as in AWS's own messages; Err the last failure, nil if they were never sent.
	Condition string
	Err       error
}

// StreamSource feeds a function with the changes of a DynamoDB table, as an event source mapping does
// (docs.aws.amazon.com/lambda/latest/dg/services-ddb.html): one batch at a time of a shard, in order, and a shard after its parent. A batch that
// fails holds its shard up until it succeeds or is given up. The position is in memory: another Run begins anew.
type StreamSource struct {
	cfg    StreamConfig
	region string
}

// NewStreamSource makes a source.
func NewStreamSource(cfg StreamConfig) (*StreamSource, error) {
	if cfg.Client == nil || cfg.Function == nil {
		return nil, errors.New("lambdahost: a stream source needs a client and a function")
	}
	region, err := regionOf(cfg.StreamARN)
	if err != nil {
		return nil, err
	}
	cfg.BatchSize = orDefault(cfg.BatchSize, defaultStreamBatch)
	if cfg.BatchSize < 1 || cfg.BatchSize > MaxStreamBatch || cfg.Window < 0 || cfg.MaxAttempts < 0 || cfg.MaxRecordAge < 0 {
		return nil, fmt.Errorf("lambdahost: batches of 1 to %d records, and no bound below zero", MaxStreamBatch)
	}
	cfg.Poll, cfg.Discover = orDefault(cfg.Poll, defaultPoll), orDefault(cfg.Discover, defaultDiscover)
	if cfg.OnFailure == nil {
		cfg.OnFailure = func(context.Context, Discarded) {}
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	cfg.Logger = orSilent(cfg.Logger).With(slog.String("stream", cfg.StreamARN))
	return &StreamSource{cfg: cfg, region: region}, nil
}

// lineage is what a run knows of the shards: those it has seen, and those that it has read to their end.
type lineage struct {
	seen, ended map[string]bool
}

// Run reads until ctx ends; then it finishes the batches in hand and returns nil. It returns an error when there is no such stream; others are
// logged and tried again.
func (s *StreamSource) Run(ctx context.Context) error {
	known := lineage{seen: map[string]bool{}, ended: map[string]bool{}}
	over := make(chan string)
	var readers sync.WaitGroup
	defer readers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for first := true; ; {
		shards, err := s.describe(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case isMissing(err):
			return fmt.Errorf("lambdahost: reading the stream %s: %w", s.cfg.StreamARN, err)
		case err != nil:
			s.cfg.Logger.Warn("the shards cannot be listed; it is tried again", slog.Any("error", err))
		default:
			for _, r := range s.startable(shards, &known, first) {
				readers.Go(func() {
					if r.run(ctx) {
						select {
						case over <- r.id:
						case <-ctx.Done():
						}
					}
				})
			}
			first = false
		}
		if !s.rest(ctx, over, &known) {
			return nil
		}
	}
}

// rest waits until shards should be looked for again.
func (s *StreamSource) rest(ctx context.Context, over <-chan string, known *lineage) bool {
	timer := time.NewTimer(s.cfg.Discover)
	defer timer.Stop()
	select {
	case id := <-over:
		known.ended[id] = true
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// startable returns readers for the shards that none reads yet and whose parent, if it is still there, has been read to its end.
func (s *StreamSource) startable(shards []types.Shard, known *lineage, first bool) []*shard {
	listed := make(map[string]bool, len(shards))
	for _, sh := range shards {
		listed[aws.ToString(sh.ShardId)] = true
	}
	var start []*shard
	for _, sh := range shards {
		id, parent := aws.ToString(sh.ShardId), aws.ToString(sh.ParentShardId)
		if known.seen[id] {
			continue
		}
		from := types.ShardIteratorTypeTrimHorizon
		if first && s.cfg.Latest {
			if sh.SequenceNumberRange != nil && sh.SequenceNumberRange.EndingSequenceNumber != nil {
				known.seen[id], known.ended[id] = true, true // Nothing will be written to it.
				continue
			}
			from = types.ShardIteratorTypeLatest
		} else if listed[parent] && !known.ended[parent] {
			continue
		}
		known.seen[id] = true
		start = append(start, newShard(s, id, from))
	}
	return start
}

// describe lists all shards.
func (s *StreamSource) describe(ctx context.Context) ([]types.Shard, error) {
	var shards []types.Shard
	var from *string
	for {
		out, err := s.cfg.Client.DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{
			StreamArn: aws.String(s.cfg.StreamARN), ExclusiveStartShardId: from,
		})
		if err != nil {
			return nil, fmt.Errorf("describing the stream: %w", err)
		}
		shards = append(shards, out.StreamDescription.Shards...)
		if from = out.StreamDescription.LastEvaluatedShardId; from == nil {
			return shards, nil
		}
	}
}

func isMissing(err error) bool {
	_, missing := errors.AsType[*types.ResourceNotFoundException](err)
	return missing
}
