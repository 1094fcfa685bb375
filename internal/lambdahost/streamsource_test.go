package lambdahost_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/domicile-api/domicile/internal/lambdahost"
)

const streamARN = "arn:aws:dynamodb:eu-west-1:000000000000:table/domicile-regional/stream/2026-01-01T00:00:00.000"

// stream is a DynamoDB stream in memory. Sequence numbers count over all shards.
type stream struct {
	mu     sync.Mutex
	shards []*streamShard
	next   int
	// failures are what the next reads fail with.
	failures []error
	gone     bool
}

type streamShard struct {
	id, parent string
	closed     bool
	records    []types.Record
}

func (s *stream) shard(id, parent string) *streamShard {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := &streamShard{id: id, parent: parent}
	s.shards = append(s.shards, sh)
	return sh
}

func (s *stream) put(sh *streamShard, n, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.next++
		sh.records = append(sh.records, types.Record{
			EventID: aws.String(fmt.Sprint("e", s.next)), EventName: types.OperationTypeModify, EventVersion: aws.String("1.1"), EventSource: aws.String("aws:dynamodb"),
			Dynamodb: &types.StreamRecord{
				ApproximateCreationDateTime: aws.Time(time.Now()), SequenceNumber: aws.String(sequence(s.next)), StreamViewType: types.StreamViewTypeKeysOnly,
				Keys: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberB{Value: make([]byte, size)}},
			},
		})
	}
}

func (s *stream) close(sh *streamShard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh.closed = true
}

func sequence(n int) string { return fmt.Sprintf("%021d", n) }

func sequences(from, to int) (all []string) {
	for n := from; n <= to; n++ {
		all = append(all, sequence(n))
	}
	return all
}

func (s *stream) DescribeStream(_ context.Context, in *dynamodbstreams.DescribeStreamInput, _ ...func(*dynamodbstreams.Options)) (*dynamodbstreams.DescribeStreamOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, &types.ResourceNotFoundException{}
	}
	at := 0
	if in.ExclusiveStartShardId != nil {
		at = 1 + slices.IndexFunc(s.shards, func(sh *streamShard) bool { return sh.id == *in.ExclusiveStartShardId })
	}
	d := &types.StreamDescription{StreamArn: in.StreamArn}
	if at < len(s.shards) { // Pages of one.
		sh := s.shards[at]
		shown := types.Shard{ShardId: aws.String(sh.id), SequenceNumberRange: &types.SequenceNumberRange{StartingSequenceNumber: aws.String("0")}}
		if sh.parent != "" {
			shown.ParentShardId = aws.String(sh.parent)
		}
		if sh.closed {
			shown.SequenceNumberRange.EndingSequenceNumber = aws.String(sequence(s.next))
		}
		d.Shards = []types.Shard{shown}
		if at+1 < len(s.shards) {
			d.LastEvaluatedShardId = shown.ShardId
		}
	}
	return &dynamodbstreams.DescribeStreamOutput{StreamDescription: d}, nil
}

func (s *stream) find(id string) *streamShard {
	return s.shards[slices.IndexFunc(s.shards, func(sh *streamShard) bool { return sh.id == id })]
}

func (s *stream) GetShardIterator(_ context.Context, in *dynamodbstreams.GetShardIteratorInput, _ ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetShardIteratorOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.find(*in.ShardId)
	at := 0
	switch in.ShardIteratorType {
	case types.ShardIteratorTypeLatest:
		at = len(sh.records)
	case types.ShardIteratorTypeAfterSequenceNumber:
		at = 1 + slices.IndexFunc(sh.records, func(r types.Record) bool { return *r.Dynamodb.SequenceNumber == *in.SequenceNumber })
	default:
	}
	return &dynamodbstreams.GetShardIteratorOutput{ShardIterator: aws.String(sh.id + "@" + strconv.Itoa(at))}, nil
}

func (s *stream) GetRecords(_ context.Context, in *dynamodbstreams.GetRecordsInput, _ ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetRecordsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failures) > 0 {
		err := s.failures[0]
		s.failures = s.failures[1:]
		return nil, err
	}
	id, position, _ := strings.Cut(*in.ShardIterator, "@")
	at, err := strconv.Atoi(position)
	if err != nil {
		return nil, err
	}
	sh := s.find(id)
	to := min(at+int(*in.Limit), len(sh.records))
	out := &dynamodbstreams.GetRecordsOutput{Records: sh.records[at:to]}
	if !sh.closed || to < len(sh.records) {
		out.NextShardIterator = aws.String(id + "@" + strconv.Itoa(to))
	}
	return out, nil
}

// reader is a function for records: act decides what becomes of a batch.
type reader struct {
	act func(batch []string) ([]byte, error)

	mu      sync.Mutex
	batches [][]string
	sizes   []int
}

func (r *reader) Invoke(_ context.Context, raw []byte) ([]byte, error) {
	var event events.DynamoDBEvent
	if err := json.Unmarshal(raw, &event); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var batch []string
	for _, record := range event.Records {
		batch = append(batch, record.Change.SequenceNumber)
	}
	r.batches, r.sizes = append(r.batches, batch), append(r.sizes, len(raw))
	if r.act == nil {
		return []byte("null"), nil
	}
	return r.act(batch)
}

func (r *reader) all() []string { return slices.Concat(r.batches...) }

// runStream runs a source in a bubble for a while and returns what it gave up.
func runStream(t *testing.T, cfg lambdahost.StreamConfig, d time.Duration) (discarded []lambdahost.Discarded) {
	t.Helper()
	cfg.StreamARN = streamARN
	cfg.OnFailure = func(_ context.Context, d lambdahost.Discarded) { discarded = append(discarded, d) }
	s, err := lambdahost.NewStreamSource(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
	return discarded
}

func TestStreamBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := &stream{}, &reader{}
		s.put(s.shard("s1", ""), 25, 10)
		runStream(t, lambdahost.StreamConfig{Client: s, Function: r, BatchSize: 10}, time.Minute)
		if diff := cmp.Diff([][]string{sequences(1, 10), sequences(11, 20), sequences(21, 25)}, r.batches); diff != "" {
			t.Error(diff)
		}
	})
}

// A child waits until all of its parent has been handled; a shard of another line does not.
func TestStreamParentsFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stream{}
		parent, other := s.shard("s1", "trimmed"), s.shard("s9", "")
		s.put(parent, 3, 1)
		child := s.shard("s2", "s1")
		s.put(child, 2, 1)
		s.put(other, 1, 1)
		fails := 10
		var handled []string
		r := &reader{act: func(batch []string) ([]byte, error) {
			if batch[0] == sequence(1) && fails > 0 {
				fails--
				return nil, errors.New("not yet")
			}
			handled = append(handled, batch...)
			return nil, nil
		}}
		s.close(parent)
		time.AfterFunc(time.Minute, func() {
			s.close(child)
			s.put(s.shard("s3", "s2"), 1, 1)
		})
		runStream(t, lambdahost.StreamConfig{Client: s, Function: r}, 2*time.Minute)
		if diff := cmp.Diff(slices.Concat(sequences(6, 6), sequences(1, 5), sequences(7, 7)), handled); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStreamLatest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := &stream{}, &reader{}
		old := s.shard("s1", "")
		s.put(old, 3, 1)
		s.close(old)
		now := s.shard("s2", "s1")
		s.put(now, 2, 1)
		time.AfterFunc(time.Second, func() { s.put(now, 2, 1) })
		closed := s.shard("s8", "") // Of which the child is not listed yet.
		s.close(closed)
		time.AfterFunc(2*time.Second, func() {
			s.close(now)
			s.put(s.shard("s3", "s2"), 1, 1)
		})
		time.AfterFunc(20*time.Second, func() { s.put(s.shard("s9", "s8"), 1, 1) })
		runStream(t, lambdahost.StreamConfig{Client: s, Function: r, Latest: true}, time.Minute)
		if diff := cmp.Diff(sequences(6, 9), r.all()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStreamWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := &stream{}, &reader{}
		sh := s.shard("s1", "")
		for i := range 4 {
			time.AfterFunc(time.Duration(i)*time.Second, func() { s.put(sh, 1, 1) })
		}
		runStream(t, lambdahost.StreamConfig{Client: s, Function: r, Window: 2500 * time.Millisecond}, time.Minute)
		if diff := cmp.Diff([][]string{sequences(1, 3), sequences(4, 4)}, r.batches); diff != "" {
			t.Error(diff)
		}
	})
}

// An event is at most 6 MB, however many records a batch may have.
func TestStreamLargeRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := &stream{}, &reader{}
		s.put(s.shard("s1", ""), 7, 1<<20)
		runStream(t, lambdahost.StreamConfig{Client: s, Function: r}, time.Minute)
		if diff := cmp.Diff(sequences(1, 7), r.all()); diff != "" {
			t.Error(diff)
		}
		if got := slices.Max(r.sizes); got > lambdahost.MaxEvent || got < lambdahost.MaxEvent/2 {
			t.Errorf("an event of %d bytes", got)
		}
	})
}

// failOn lets a batch fail as a whole that has the record.
func failOn(n int) func([]string) ([]byte, error) {
	return func(batch []string) ([]byte, error) {
		if slices.Contains(batch, sequence(n)) {
			return nil, &lambdahost.FunctionError{Cause: lambdahost.Handled, Type: "errorString", Message: "poison"}
		}
		return nil, nil
	}
}

// reportOn reports a record and what is behind it, as a function for a stream should.
func reportOn(n int) func([]string) ([]byte, error) {
	return func(batch []string) ([]byte, error) {
		var response events.DynamoDBEventResponse
		for _, id := range batch {
			if id >= sequence(n) && slices.Contains(batch, sequence(n)) {
				response.BatchItemFailures = append(response.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: id})
			}
		}
		slices.Reverse(response.BatchItemFailures)
		return json.Marshal(response)
	}
}

// inTurn does something else each time.
func inTurn(acts ...func([]string) ([]byte, error)) func([]string) ([]byte, error) {
	return func(batch []string) ([]byte, error) {
		act := acts[0]
		acts = acts[1:]
		return act(batch)
	}
}

func TestStreamFailures(t *testing.T) {
	t.Parallel()
	handledBut := func(act func([]string) ([]byte, error), report bool) func(r *reader) []string {
		return func(r *reader) (handled []string) {
			for _, b := range r.batches {
				out, err := act(b)
				if err == nil && (!report || !strings.Contains(string(out), "itemIdentifier")) {
					handled = append(handled, b...)
				}
			}
			return handled
		}
	}
	for name, tt := range map[string]struct {
		cfg       lambdahost.StreamConfig
		act       func([]string) ([]byte, error)
		batches   [][]string
		discarded []string
		handled   func(*reader) []string
		want      []string
	}{
		"attempts are bounded": {
			cfg: lambdahost.StreamConfig{MaxAttempts: 3, BatchSize: 4}, act: failOn(3), discarded: []string{"1-4 RetryAttemptsExhausted"},
			batches: [][]string{sequences(1, 4), sequences(1, 4), sequences(1, 4), sequences(5, 8)},
		},
		"a batch is bisected": {
			cfg: lambdahost.StreamConfig{MaxAttempts: 2, BatchSize: 8, BisectOnError: true}, act: failOn(3), discarded: []string{"3-3 RetryAttemptsExhausted"},
			batches: [][]string{sequences(1, 8), sequences(1, 4), sequences(1, 2), sequences(3, 4), sequences(3, 3), sequences(3, 3), sequences(4, 4), sequences(5, 8)},
		},
		"a partial failure goes on from its record": {
			cfg: lambdahost.StreamConfig{MaxAttempts: 2, BatchSize: 8, ReportBatchItemFailures: true}, act: reportOn(3), discarded: []string{"3-8 RetryAttemptsExhausted"},
			batches: [][]string{sequences(1, 8), sequences(3, 8), sequences(3, 8)},
		},
		"progress gives new attempts": {
			cfg: lambdahost.StreamConfig{MaxAttempts: 2, ReportBatchItemFailures: true}, act: inTurn(failOn(1), reportOn(3), failOn(3), reportOn(9)),
			batches: [][]string{sequences(1, 8), sequences(1, 8), sequences(3, 8), sequences(3, 8)},
		},
		"a malformed report fails the batch": {
			cfg: lambdahost.StreamConfig{MaxAttempts: 2, ReportBatchItemFailures: true}, discarded: []string{"1-8 RetryAttemptsExhausted"},
			act:     func([]string) ([]byte, error) { return []byte(`{"batchItemFailures":[{"itemIdentifier":""}]}`), nil },
			batches: [][]string{sequences(1, 8), sequences(1, 8)},
		},
		"a report that nobody asks for": {cfg: lambdahost.StreamConfig{}, act: reportOn(3), batches: [][]string{sequences(1, 8)}},
		"bisected with reports of others": {
			cfg: lambdahost.StreamConfig{MaxAttempts: 1, BisectOnError: true, ReportBatchItemFailures: true}, act: failOn(8), discarded: []string{"8-8 RetryAttemptsExhausted"},
			handled: handledBut(failOn(8), true), want: sequences(1, 7),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, r := &stream{}, &reader{act: tt.act}
				s.put(s.shard("s1", ""), 8, 1)
				tt.cfg.Client, tt.cfg.Function = s, r
				discarded := runStream(t, tt.cfg, 5*time.Minute)
				described := make([]string, len(discarded))
				for i, d := range discarded {
					described[i] = fmt.Sprintf("%s-%s %s", strings.TrimLeft(d.First, "0"), strings.TrimLeft(d.Last, "0"), d.Condition)
				}
				if diff := cmp.Diff(tt.discarded, described, cmpopts.EquateEmpty()); diff != "" {
					t.Error(diff)
				}
				if tt.batches != nil {
					if diff := cmp.Diff(tt.batches, r.batches); diff != "" {
						t.Error(diff)
					}
				}
				if tt.handled != nil {
					if diff := cmp.Diff(tt.want, tt.handled(r)); diff != "" {
						t.Error(diff)
					}
				}
			})
		})
	}
}

func TestStreamOldRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := &stream{}, &reader{act: failOn(2)}
		sh := s.shard("s1", "")
		s.put(sh, 2, 1)
		time.AfterFunc(2*time.Minute, func() { s.put(sh, 1, 1) })
		discarded := runStream(t, lambdahost.StreamConfig{Client: s, Function: r, MaxRecordAge: time.Minute}, 3*time.Minute)
		if len(discarded) != 1 || discarded[0].Records != 2 || discarded[0].Condition != "RecordAgeExceeded" || discarded[0].ShardID != "s1" {
			t.Errorf("given up: %+v", discarded)
		}
		if last := r.batches[len(r.batches)-1]; !slices.Equal(last, sequences(3, 3)) {
			t.Errorf("the last batch is %q", last)
		}
	})
}

// Reads that fail lose and repeat nothing; a throttled invocation uses no attempt up.
func TestStreamRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		throttled := 5
		s, r := &stream{}, &reader{act: func([]string) ([]byte, error) {
			if throttled--; throttled >= 0 {
				return nil, lambdahost.ErrThrottled
			}
			return nil, nil
		}}
		sh := s.shard("s1", "")
		s.put(sh, 2, 1)
		time.AfterFunc(20*time.Second, func() {
			s.put(sh, 2, 1)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.failures = []error{errors.New("away"), &types.ExpiredIteratorException{}, &types.InternalServerError{}}
		})
		if d := runStream(t, lambdahost.StreamConfig{Client: s, Function: r, MaxAttempts: 1}, time.Minute); len(d) > 0 {
			t.Errorf("given up: %+v", d)
		}
		if diff := cmp.Diff(sequences(1, 4), r.all()[10:]); diff != "" {
			t.Error(diff)
		}
	})
}

// What the stream has trimmed away is lost; what is left of it is read.
func TestStreamTrimmed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := &stream{}, &reader{}
		sh := s.shard("s1", "")
		s.put(sh, 2, 1)
		time.AfterFunc(20*time.Second, func() {
			s.put(sh, 2, 1)
			s.mu.Lock()
			defer s.mu.Unlock()
			sh.records = sh.records[3:]
			s.failures = []error{&types.TrimmedDataAccessException{}}
		})
		runStream(t, lambdahost.StreamConfig{Client: s, Function: r}, time.Minute)
		if diff := cmp.Diff([]string{sequence(1), sequence(2), sequence(4)}, r.all()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStreamThatIsMissing(t *testing.T) {
	t.Parallel()
	s, err := lambdahost.NewStreamSource(lambdahost.StreamConfig{Client: &stream{gone: true}, Function: &reader{}, StreamARN: streamARN})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Run(t.Context())
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok {
		t.Errorf("got %v, want a ResourceNotFoundException", err)
	}
}

func TestStreamConfigThatIsRefused(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]lambdahost.StreamConfig{
		"no client": {Function: &reader{}, StreamARN: streamARN}, "no function": {Client: &stream{}, StreamARN: streamARN},
		"no ARN": {Client: &stream{}, Function: &reader{}}, "a large batch": {Client: &stream{}, Function: &reader{}, StreamARN: streamARN, BatchSize: 10_001},
	} {
		if _, err := lambdahost.NewStreamSource(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
