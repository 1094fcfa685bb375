package lambdahost

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// The conditions that AWS names when records are given up.
const (
	attemptsExhausted = "RetryAttemptsExhausted"
	ageExceeded       = "RecordAgeExceeded"
)

// process gives records to the function in events that are not too large; it tells whether ctx has not ended before all were settled.
func (s *shard) process(ctx context.Context, records []streamRecord) bool {
	for len(records) > 0 {
		n, size := 0, len(eventFrame)
		for n < len(records) && (n == 0 || size+len(records[n].json)+1 <= MaxEvent) {
			size += len(records[n].json) + 1
			n++
		}
		if !s.deliver(ctx, records[:n]) {
			return false
		}
		records = records[n:]
	}
	return true
}

// deliver tries a batch until all of its records have succeeded or been given up.
func (s *shard) deliver(ctx context.Context, batch []streamRecord) bool {
	var between pause
	for attempts := 0; ; {
		if batch = s.dropOld(ctx, batch); len(batch) == 0 {
			return true
		}
		rest, whole, err := s.try(ctx, batch)
		if err == nil {
			return true
		}
		s.log.Warn("records failed; they are tried again", slog.Int("failed", len(rest)), slog.Int("records", len(batch)), slog.Any("error", err))
		switch {
		case errors.Is(err, ErrThrottled):
		case len(rest) < len(batch):
			batch, attempts = rest, 0
			between.reset()
		case whole && s.cfg.BisectOnError && len(batch) > 1:
			if !between.wait(ctx) || !s.deliver(ctx, batch[:len(batch)/2]) {
				return false
			}
			batch, attempts = batch[len(batch)/2:], 0
			continue
		default:
			if attempts++; attempts == s.cfg.MaxAttempts {
				s.discard(ctx, batch, attemptsExhausted, err)
				return true
			}
		}
		if !between.wait(ctx) {
			return false
		}
	}
}

// errPartial says that a function reported a record.
var errPartial = errors.New("the function reports a record that failed")

// try gives a batch to the function once. It returns what is to be tried again, with the reason, and whether it failed as a whole.
func (s *shard) try(ctx context.Context, batch []streamRecord) (rest []streamRecord, whole bool, err error) {
	records := make([][]byte, len(batch))
	for i, r := range batch {
		records[i] = r.json
	}
	answer, err := s.cfg.Function.Invoke(context.WithoutCancel(ctx), recordsEvent(records))
	if err != nil {
		return batch, true, err
	}
	if !s.cfg.ReportBatchItemFailures {
		return nil, false, nil
	}
	ids := make(map[string]bool, len(batch))
	for _, r := range batch {
		ids[r.sequence] = true
	}
	failed, err := batchFailures(answer, ids)
	if err != nil {
		return batch, true, err
	}
	bad := make(map[string]bool, len(failed))
	for _, id := range failed {
		bad[id] = true
	}
	for i, r := range batch {
		if bad[r.sequence] {
			return batch[i:], false, errPartial // The lowest of those that failed: a batch is in order.
		}
	}
	return nil, false, nil
}

// dropOld gives up the records at the beginning of a batch that are too old.
func (s *shard) dropOld(ctx context.Context, batch []streamRecord) []streamRecord {
	if s.cfg.MaxRecordAge == 0 {
		return batch
	}
	oldest := s.cfg.Clock().Add(-s.cfg.MaxRecordAge)
	n := 0
	for n < len(batch) && batch[n].created.Before(oldest) {
		n++
	}
	if n > 0 {
		s.discard(ctx, batch[:n], ageExceeded, nil)
	}
	return batch[n:]
}

func (s *shard) discard(ctx context.Context, batch []streamRecord, condition string, err error) {
	d := Discarded{
		StreamARN: s.cfg.StreamARN, ShardID: s.id, First: batch[0].sequence, Last: batch[len(batch)-1].sequence, Records: len(batch),
		Condition: condition, Err: err,
	}
	s.log.Error("records are given up", slog.String("condition", condition), slog.String("first", d.First), slog.String("last", d.Last),
		slog.Int("records", d.Records), slog.Any("error", err))
	s.cfg.OnFailure(context.WithoutCancel(ctx), d)
}

// streamRecord is a record on its way to the function.
type streamRecord struct {
	sequence string
	created  time.Time
	json     []byte
}
