package lambdahost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// shard reads one shard and gives what it reads to the function.
type shard struct {
	*StreamSource

	id   string
	from types.ShardIteratorType
	log  *slog.Logger
	// last is the sequence number read last, none at first. iterator is where to go on; nil: it must be asked for.
	last, iterator *string
}

func newShard(s *StreamSource, id string, from types.ShardIteratorType) *shard {
	return &shard{StreamSource: s, id: id, from: from, log: s.cfg.Logger.With(slog.String("shard", id))}
}

// run reads the shard; it tells whether it has come to the end, rather than ctx.
func (s *shard) run(ctx context.Context) bool {
	for open := true; open; {
		var batch []streamRecord
		batch, open = s.gather(ctx)
		if ctx.Err() != nil || !s.process(ctx, batch) {
			return false
		}
	}
	return true
}

// gather collects a batch; it tells whether the shard goes on after it. What it had when ctx ended is not complete.
func (s *shard) gather(ctx context.Context) (batch []streamRecord, open bool) {
	var full time.Time
	for len(batch) < s.cfg.BatchSize {
		got, open := s.read(ctx, min(s.cfg.BatchSize-len(batch), maxRead))
		if len(batch) == 0 && len(got) > 0 {
			full = time.Now().Add(s.cfg.Window)
		}
		batch = append(batch, got...)
		if !open || ctx.Err() != nil {
			return batch, open
		}
		left := s.cfg.Poll
		if len(batch) > 0 {
			if left = min(left, time.Until(full)); left <= 0 {
				return batch, true
			}
		}
		if len(got) == 0 {
			sleep(ctx, left)
		}
	}
	return batch, true
}

// read reads once, from where it read before; it tries again until it could. It tells whether the shard goes on.
func (s *shard) read(ctx context.Context, limit int) (records []streamRecord, open bool) {
	var between pause
	for {
		out, err := s.readOnce(ctx, limit)
		if err == nil {
			s.iterator = out.NextShardIterator
			for _, r := range out.Records {
				record, err := s.record(r)
				if err != nil {
					s.log.Error("a record is no event", slog.Any("error", err))
					continue
				}
				records, s.last = append(records, record), aws.String(record.sequence)
			}
			return records, s.iterator != nil
		}
		if ctx.Err() != nil {
			return nil, true
		}
		if isMissing(err) {
			s.log.Error("the shard is gone from the stream", slog.Any("error", err))
			return nil, false
		}
		s.recover(err)
		if !between.wait(ctx) {
			return nil, true
		}
	}
}

// readOnce asks for an iterator if it has none, and reads.
func (s *shard) readOnce(ctx context.Context, limit int) (*dynamodbstreams.GetRecordsOutput, error) {
	if s.iterator == nil {
		in := &dynamodbstreams.GetShardIteratorInput{StreamArn: aws.String(s.cfg.StreamARN), ShardId: aws.String(s.id), ShardIteratorType: s.from}
		if s.last != nil {
			in.ShardIteratorType, in.SequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, s.last
		}
		out, err := s.cfg.Client.GetShardIterator(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("asking for an iterator: %w", err)
		}
		s.iterator = out.ShardIterator
	}
	out, err := s.cfg.Client.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{
		ShardIterator: s.iterator, Limit: aws.Int32(int32(limit)), //nolint:gosec // at most 1000
	})
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	return out, nil
}

// recover makes the next read possible after one that failed.
func (s *shard) recover(err error) {
	s.log.Warn("the shard cannot be read; it is tried again", slog.Any("error", err))
	_, expired := errors.AsType[*types.ExpiredIteratorException](err)
	_, trimmed := errors.AsType[*types.TrimmedDataAccessException](err)
	if trimmed {
		s.log.Error("records that were not read are gone from the stream")
		s.last, s.from = nil, types.ShardIteratorTypeTrimHorizon
	}
	if expired || trimmed {
		s.iterator = nil
	}
}
