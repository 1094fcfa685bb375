package dynamostore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/dynamostore/dynamotest"
)

const streamARN = "arn:aws:dynamodb:eu-central-1:000000000000:table/table/stream/1"

// fakeStream is a table's stream. It lists one shard a page, and its iterators at the newest record mean the newest at their first use.
type fakeStream struct {
	mu     sync.Mutex
	shards []*fakeShard
	seq    int
	reads  map[string][]time.Time
	fail   func(op string) error
	// expire makes each iterator made before now unusable.
	expire int
	made   int
	// delay is how long a read takes before it begins.
	delay time.Duration
}

type fakeShard struct {
	id, parent string
	records    []types.Record
	seqs       []int
	trimmed    int // How many of the records are gone.
	closed     bool
}

func newFakeStream(ids ...string) *fakeStream {
	f := &fakeStream{seq: 100, reads: map[string][]time.Time{}}
	for _, id := range ids {
		f.shards = append(f.shards, &fakeShard{id: id})
	}
	return f
}

func (f *fakeStream) shard(id string) *fakeShard {
	for _, s := range f.shards {
		if s.id == id {
			return s
		}
	}
	return nil
}

// write puts items into a shard.
func (f *fakeStream) write(id string, sorts ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sh := f.shard(id)
	for _, sort := range sorts {
		f.seq++
		sh.seqs = append(sh.seqs, f.seq)
		sh.records = append(sh.records, types.Record{EventName: types.OperationTypeInsert, Dynamodb: &types.StreamRecord{
			SequenceNumber: aws.String(strconv.Itoa(f.seq)),
			Keys: map[string]types.AttributeValue{
				attrPartition: &types.AttributeValueMemberB{Value: []byte(id)}, attrSort: &types.AttributeValueMemberB{Value: encodeSort(sort)},
			},
		}})
	}
}

// split closes a shard, whose children are born now.
func (f *fakeStream) split(id string, children ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shard(id).closed = true
	for _, child := range children {
		f.shards = append(f.shards, &fakeShard{id: child, parent: id})
	}
}

// trim removes records from the beginning of the shard a, and the shard itself if nothing is left of it and it is closed.
func (f *fakeStream) trim(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sh := f.shard("a")
	sh.trimmed += n
	if sh.closed && sh.trimmed == len(sh.records) {
		for i := range f.shards {
			if f.shards[i] == sh {
				f.shards = append(f.shards[:i], f.shards[i+1:]...)
				return
			}
		}
	}
}

func (f *fakeStream) failure(op string) error {
	if f.fail == nil {
		return nil
	}
	return f.fail(op)
}

func (f *fakeStream) DescribeStream(_ context.Context, in *dynamodbstreams.DescribeStreamInput, _ ...func(*dynamodbstreams.Options)) (
	*dynamodbstreams.DescribeStreamOutput, error,
) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.failure("DescribeStream"); err != nil {
		return nil, err
	}
	out := &types.StreamDescription{}
	i := 0
	if in.ExclusiveStartShardId != nil {
		for i < len(f.shards) && f.shards[i].id != *in.ExclusiveStartShardId {
			i++
		}
		i++
	}
	if i < len(f.shards) {
		sh := f.shards[i]
		listed := types.Shard{ShardId: &sh.id, SequenceNumberRange: &types.SequenceNumberRange{StartingSequenceNumber: aws.String("1")}}
		if sh.parent != "" {
			listed.ParentShardId = &sh.parent
		}
		if sh.closed {
			listed.SequenceNumberRange.EndingSequenceNumber = aws.String(strconv.Itoa(f.seq))
		}
		out.Shards = append(out.Shards, listed)
	}
	if i+1 < len(f.shards) {
		out.LastEvaluatedShardId = &f.shards[i].id
	}
	return &dynamodbstreams.DescribeStreamOutput{StreamDescription: out}, nil
}

func (f *fakeStream) GetShardIterator(_ context.Context, in *dynamodbstreams.GetShardIteratorInput, _ ...func(*dynamodbstreams.Options)) (
	*dynamodbstreams.GetShardIteratorOutput, error,
) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.failure("GetShardIterator"); err != nil {
		return nil, err
	}
	sh := f.shard(*in.ShardId)
	if sh == nil {
		return nil, &types.ResourceNotFoundException{Message: aws.String("no such shard")}
	}
	at := "latest"
	switch in.ShardIteratorType {
	case types.ShardIteratorTypeTrimHorizon:
		at = strconv.Itoa(sh.trimmed)
	case types.ShardIteratorTypeAfterSequenceNumber:
		after, _ := strconv.Atoi(*in.SequenceNumber)
		n := 0
		for n < len(sh.seqs) && sh.seqs[n] <= after {
			n++
		}
		if n < sh.trimmed || n == 0 {
			return nil, &types.TrimmedDataAccessException{Message: aws.String("trimmed")}
		}
		at = strconv.Itoa(n)
	default:
	}
	return &dynamodbstreams.GetShardIteratorOutput{ShardIterator: f.iterator(sh.id, at)}, nil
}

func (f *fakeStream) iterator(id, at string) *string {
	f.made++
	return aws.String(fmt.Sprintf("%s/%s/%d", id, at, f.made))
}

func (f *fakeStream) GetRecords(_ context.Context, in *dynamodbstreams.GetRecordsInput, _ ...func(*dynamodbstreams.Options)) (
	*dynamodbstreams.GetRecordsOutput, error,
) {
	time.Sleep(f.delay)
	f.mu.Lock()
	defer f.mu.Unlock()
	parts := strings.Split(*in.ShardIterator, "/")
	f.reads[parts[0]] = append(f.reads[parts[0]], time.Now())
	if err := f.failure("GetRecords"); err != nil {
		return nil, err
	}
	if made, _ := strconv.Atoi(parts[2]); made <= f.expire {
		return nil, &types.ExpiredIteratorException{Message: aws.String("expired")}
	}
	sh := f.shard(parts[0])
	if sh == nil {
		return nil, &types.ResourceNotFoundException{Message: aws.String("no such shard")}
	}
	at := len(sh.records)
	if parts[1] != "latest" {
		at, _ = strconv.Atoi(parts[1])
	}
	if at < sh.trimmed {
		return nil, &types.TrimmedDataAccessException{Message: aws.String("trimmed")}
	}
	out := &dynamodbstreams.GetRecordsOutput{}
	end := min(at+3, len(sh.records)) // Few at a time, so that there are many reads.
	out.Records = sh.records[at:end]
	if !sh.closed || end < len(sh.records) {
		out.NextShardIterator = f.iterator(sh.id, strconv.Itoa(end))
	}
	return out, nil
}

// streaming is a store over a stream.
func streaming(t *testing.T, f *fakeStream) *Store {
	t.Helper()
	transport := &dynamotest.Transport{Answer: func(dynamotest.Call) *dynamotest.Answer {
		return &dynamotest.Answer{Body: `{"Table":{"LatestStreamArn":"` + streamARN + `"}}`}
	}}
	s := stubbed(t, transport)
	s.cfg.Streams = f
	return s
}

// following is a feed under way. Its batches come one by one.
type following struct {
	t      *testing.T
	cancel context.CancelFunc
	ended  chan error
	told   []string // Shard and sort key; "missed" for an empty batch.
	at     Positions
	refuse func(batch []store.Change) error
	mu     sync.Mutex
}

func follow(t *testing.T, s *Store, from Positions) *following {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &following{t: t, cancel: cancel, ended: make(chan error, 1)}
	go func() {
		l.ended <- s.Follow(ctx, from, func(batch []store.Change, at Positions) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.refuse != nil {
				if err := l.refuse(batch); err != nil {
					return err
				}
			}
			l.at = at
			if len(batch) == 0 {
				l.told = append(l.told, "missed")
			}
			for _, c := range batch {
				l.told = append(l.told, c.Key.Partition+c.Key.Sort)
			}
			return nil
		})
	}()
	return l
}

// stop ends the feed and returns what was told.
func (l *following) stop() (string, Positions) {
	l.t.Helper()
	l.cancel()
	if err := <-l.ended; err != context.Canceled { //nolint:errorlint // The port says: its context's error.
		l.t.Errorf("the feed ended: %v", err)
	}
	return strings.Join(l.told, " "), l.at
}
