package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/domicile-api/domicile/internal/store"
)

// reader reads one shard to its end.
type reader struct {
	follower *follower
	shard    string
	// position is after what was handed over. missed says that what comes next is preceded by changes that are lost.
	position string
	missed   bool
	// entered is called once nothing that comes from then on can be missed.
	entered func()
	// iterator is DynamoDB's; nil: none yet.
	iterator *string
}

// run reads until the shard or ctx ends, or the stream cannot be read.
func (r *reader) run(ctx context.Context) {
	cfg := &r.follower.table.cfg
	pause := cfg.PollPause
	for {
		began := time.Now()
		records, err := r.read(ctx)
		r.entered() // Also if it failed: the goroutine of the call must hear of it.
		if err != nil {
			r.tell(ctx, news{err: err})
			return
		}
		if !r.hand(ctx, records) || r.position == atEnd {
			return
		}
		if len(records) > 0 {
			pause = cfg.PollPause
		}
		if !sleep(ctx, max(pause, cfg.PollInterval-time.Since(began))) {
			return
		}
		pause = min(2*pause, max(cfg.MaxPollPause, cfg.PollPause))
	}
}

// hand hands over what was read, and then the shard's end. It returns false when ctx ends.
func (r *reader) hand(ctx context.Context, records []types.Record) bool {
	n := news{position: r.position, missed: r.missed}
	if n.missed && !r.tell(ctx, n) {
		return false
	}
	n.missed, r.missed = false, false
	if len(records) > 0 {
		n.changes = r.changes(records)
		n.position = *records[len(records)-1].Dynamodb.SequenceNumber
		r.position = n.position
		if !r.tell(ctx, n) {
			return false
		}
	}
	if r.iterator != nil {
		return true
	}
	r.position = atEnd
	return r.tell(ctx, news{position: atEnd})
}

// tell hands over to the goroutine of the call. It returns false when ctx ends.
func (r *reader) tell(ctx context.Context, n news) bool {
	n.shard = r.shard
	select {
	case r.follower.news <- n:
		return true
	case <-ctx.Done():
		return false
	}
}

// read reads the next records. Afterwards iterator is nil if the shard has ended.
//
// A shard is entered at its newest record by a read, not by an iterator alone, for an iterator may mean the newest record at the time
// of its first use.
func (r *reader) read(ctx context.Context) ([]types.Record, error) {
	for {
		if r.iterator == nil {
			gone, err := r.place(ctx)
			if err != nil || gone {
				return nil, err
			}
		}
		out, err := r.records(ctx)
		_, expired := errors.AsType[*types.ExpiredIteratorException](err)
		_, trimmed := errors.AsType[*types.TrimmedDataAccessException](err)
		_, gone := errors.AsType[*types.ResourceNotFoundException](err)
		switch {
		case err == nil:
			r.iterator = out.NextShardIterator
			return out.Records, nil
		case expired:
			r.iterator = nil
			r.missed = r.missed || r.position == atNow // There is no record to go on after.
		case trimmed:
			r.iterator, r.position, r.missed = nil, atStart, true
		case gone:
			r.iterator, r.missed = nil, true
			return nil, nil
		default:
			return nil, err
		}
	}
}

// place gets an iterator at the position. gone says that the stream does not hold the shard any more.
func (r *reader) place(ctx context.Context) (gone bool, err error) {
	for {
		in := &dynamodbstreams.GetShardIteratorInput{StreamArn: &r.follower.at.Stream, ShardId: &r.shard}
		switch r.position {
		case atStart, atNow:
			in.ShardIteratorType = types.ShardIteratorType(r.position)
		default:
			in.ShardIteratorType, in.SequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, &r.position
		}
		var out *dynamodbstreams.GetShardIteratorOutput
		err := r.follower.table.insist(ctx, "entering a shard", func(ctx context.Context) (err error) {
			out, err = r.follower.table.cfg.Streams.GetShardIterator(ctx, in, singleStreams)
			return err
		})
		_, trimmed := errors.AsType[*types.TrimmedDataAccessException](err)
		_, noShard := errors.AsType[*types.ResourceNotFoundException](err)
		switch {
		case err == nil:
			r.iterator = out.ShardIterator
			return false, nil
		case trimmed && r.position != atStart:
			r.position, r.missed = atStart, true
		case noShard:
			r.missed = true
			return true, nil
		default:
			return false, err
		}
	}
}

func (r *reader) records(ctx context.Context) (out *dynamodbstreams.GetRecordsOutput, err error) {
	err = r.follower.table.insist(ctx, "reading a shard", func(ctx context.Context) (err error) {
		out, err = r.follower.table.cfg.Streams.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: r.iterator}, singleStreams)
		return err
	})
	return out, err
}

// changes reads the keys of records. One that is not of the port is passed over.
func (r *reader) changes(records []types.Record) []store.Change {
	changes, cfg := make([]store.Change, 0, len(records)), &r.follower.table.cfg
	for _, rec := range records {
		key, err := streamKey(rec.Dynamodb.Keys)
		if err != nil {
			cfg.Logger.Warn("a change of an item that is not Domicile's", slog.String("table", cfg.Table), slog.Any("error", err))
			continue
		}
		changes = append(changes, store.Change{Key: key, Deleted: rec.EventName == types.OperationTypeRemove})
	}
	return changes
}

func streamKey(attrs map[string]types.AttributeValue) (store.Key, error) {
	partition, okPartition := attrs[attrPartition].(*types.AttributeValueMemberB)
	sort, okSort := attrs[attrSort].(*types.AttributeValueMemberB)
	if !okPartition || !okSort {
		return store.Key{}, fmt.Errorf("%w: no key", errItem)
	}
	return decodeKey(partition.Value, sort.Value)
}

// insist sends a request to the stream until it is answered finally or ctx ends, for a feed has no other end.
func (s *Store) insist(ctx context.Context, op string, send func(ctx context.Context) error) error {
	for n := 1; ; n++ {
		err := s.attempt(ctx, send)
		if err == nil {
			return nil
		}
		if ended := ctx.Err(); ended != nil {
			return ended
		}
		if judge(err) == final {
			return s.explain(op, err)
		}
		if n%8 == 0 {
			s.cfg.Logger.Warn("the stream gives no answer", slog.String("table", s.cfg.Table), slog.Int("attempts", n), slog.Any("error", err))
		}
		if !sleep(ctx, s.pause(n)) {
			return ctx.Err()
		}
	}
}

// singleStreams turns the SDK's retries off for a request.
func singleStreams(o *dynamodbstreams.Options) { o.Retryer = aws.NopRetryer{} }
