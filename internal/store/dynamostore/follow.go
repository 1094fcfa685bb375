package dynamostore

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/domicile-api/domicile/internal/store"
)

// A refused batch is delivered again after a pause that doubles from the first to the last.
const (
	refusedPauseMin = 2 * time.Millisecond
	refusedPauseMax = time.Second
)

// Changes implements store.Store: it follows the table's stream from now on.
func (s *Store) Changes(ctx context.Context, fn func([]store.Change) error) error {
	return s.Follow(ctx, Positions{}, func(batch []store.Change, _ Positions) error { return fn(batch) })
}

// Follow calls fn like Changes, from positions that a call of fn was given before, with the positions after the batch. It resumes without
// an empty batch unless changes may be missing: from zero positions, ones of another stream, or ones that the stream does not hold any
// more, since a stream keeps 24 hours.
//
// It fails with a *SchemaError when the table has no stream and with an *AccessError when it may not be read; other failures of the
// stream are waited out and logged.
func (s *Store) Follow(ctx context.Context, from Positions, fn func(batch []store.Change, at Positions) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	arn, err := s.streamARN(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &follower{
		table: s, fn: fn, at: from.clone(), news: make(chan news), reading: make(map[string]bool), children: make(map[string]bool),
		relist: time.NewTimer(s.cfg.ShardInterval),
	}
	defer f.readers.Wait()
	defer cancel()
	defer f.relist.Stop()
	return f.run(ctx, arn)
}

// streamARN names the table's stream.
func (s *Store) streamARN(ctx context.Context) (string, error) {
	if s.cfg.Streams == nil {
		return "", errors.New("dynamostore: the store was made without a client of streams")
	}
	var out *dynamodb.DescribeTableOutput
	err := s.insist(ctx, "describing", func(ctx context.Context) (err error) {
		out, err = s.cfg.Client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.cfg.Table}, single)
		return err
	})
	if err != nil {
		return "", err
	}
	if out.Table.LatestStreamArn == nil {
		return "", &SchemaError{Table: s.cfg.Table, Problem: "has no stream"}
	}
	return *out.Table.LatestStreamArn, nil
}

// run delivers until ctx ends or the stream cannot be read.
func (f *follower) run(ctx context.Context, arn string) error {
	missed := f.at.Stream != arn || len(f.at.Shards) == 0
	if missed {
		f.at = Positions{Stream: arn, Shards: map[string]string{}}
	}
	if err := f.refresh(ctx, missed); err != nil {
		return err
	}
	f.entering.Wait() // From here on nothing is missed.
	if missed {
		if err := f.deliver(ctx, nil); err != nil {
			return err
		}
	}
	for {
		select {
		case n := <-f.news:
			if err := f.take(ctx, n); err != nil {
				return err
			}
		case <-f.relist.C:
			if err := f.refresh(ctx, false); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take delivers what a reader of a shard found.
func (f *follower) take(ctx context.Context, n news) error {
	if n.err != nil {
		return n.err
	}
	if n.missed {
		f.table.cfg.Logger.Warn("the stream does not hold some changes any more", slog.String("table", f.table.cfg.Table), slog.String("shard", n.shard))
	}
	if n.missed || len(n.changes) > 0 {
		before := f.at.Shards[n.shard]
		f.at.Shards[n.shard] = n.position // What fn is given is after the batch; f.at is fn's only if it takes it.
		if err := f.deliver(ctx, n.changes); err != nil {
			f.at.Shards[n.shard] = before
			return err
		}
	}
	f.at.Shards[n.shard] = n.position
	if n.position == atEnd {
		delete(f.reading, n.shard)
		return f.refresh(ctx, false)
	}
	return nil
}

// deliver calls fn with a batch until it takes it.
func (f *follower) deliver(ctx context.Context, batch []store.Change) error {
	for pause := refusedPauseMin; ; pause = min(2*pause, refusedPauseMax) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.fn(batch, f.at.clone()) == nil {
			return nil
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}
