package dynamostore

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/domicile-api/domicile/internal/store"
)

// follower is one call of Follow. Its readers, one a shard, hand what they find to the goroutine of the call, which alone changes it.
type follower struct {
	table *Store
	fn    func([]store.Change, Positions) error
	at    Positions

	news     chan news
	readers  sync.WaitGroup
	entering sync.WaitGroup // Counts the readers that have not entered their shards yet.
	reading  map[string]bool
	children map[string]bool // The shards that have one.

	relist *time.Timer
	sought int // How often children were looked for in vain.
}

// news is what a reader found in its shard.
type news struct {
	shard   string
	changes []store.Change
	// missed says that the shard does not hold some changes any more.
	missed bool
	// position is after the changes.
	position string
	// err ends the feed.
	err error
}

// childPause is the first pause before the shards are listed again, when one ended whose children are not there yet. It doubles to
// Config.ShardInterval.
const childPause = 250 * time.Millisecond

// refresh lists the shards and starts the readers of those whose turn it is: a shard's turn comes when its parent was read to the end.
// now says that the feed begins at this moment: open shards are entered at their newest record, ended ones not at all.
func (f *follower) refresh(ctx context.Context, now bool) error {
	shards, err := f.list(ctx)
	if err != nil {
		return err
	}
	listed := make(map[string]bool, len(shards))
	for _, sh := range shards {
		listed[*sh.ShardId] = true
		if sh.ParentShardId != nil {
			f.children[*sh.ParentShardId] = true
		}
	}
	for _, sh := range shards {
		f.enter(ctx, sh, listed, now)
	}
	f.forget(ctx, listed)
	f.relist.Reset(f.untilRelist())
	return nil
}

// enter starts the reader of a shard if it is its turn.
func (f *follower) enter(ctx context.Context, sh types.Shard, listed map[string]bool, now bool) {
	id := *sh.ShardId
	position, known := f.at.Shards[id]
	switch {
	case f.reading[id] || position == atEnd:
		return
	case known:
	case now && sh.SequenceNumberRange != nil && sh.SequenceNumberRange.EndingSequenceNumber != nil:
		f.at.Shards[id] = atEnd
		return
	case now:
		position = atNow
	case sh.ParentShardId != nil && listed[*sh.ParentShardId] && f.at.Shards[*sh.ParentShardId] != atEnd:
		return // Its parent's changes come first.
	default:
		position = atStart
	}
	f.at.Shards[id] = position
	f.start(ctx, id, position, known)
}

// start starts a reader. A resumed one that is to begin at a shard's newest record has missed what came since.
func (f *follower) start(ctx context.Context, id, position string, resumed bool) {
	r := &reader{follower: f, shard: id, position: position, missed: resumed && position == atNow}
	f.reading[id] = true
	f.entering.Add(1)
	r.entered = sync.OnceFunc(f.entering.Done)
	f.readers.Go(func() {
		defer r.entered()
		r.run(ctx)
	})
}

// forget drops the shards that the stream does not hold any more. One that was not read to its end is left to its reader, which finds out
// what was missed.
func (f *follower) forget(ctx context.Context, listed map[string]bool) {
	for id, position := range f.at.Shards {
		switch {
		case listed[id] || f.reading[id]:
		case position == atEnd:
			delete(f.at.Shards, id)
			delete(f.children, id)
		default:
			f.start(ctx, id, position, true)
		}
	}
}

// untilRelist is when the shards are to be listed again: soon, while a shard that ended has no children or none is read at all.
func (f *follower) untilRelist() time.Duration {
	seeking := len(f.reading) == 0
	for id, position := range f.at.Shards {
		seeking = seeking || position == atEnd && !f.children[id]
	}
	if !seeking {
		f.sought = 0
		return f.table.cfg.ShardInterval
	}
	f.sought = min(f.sought+1, 16)
	return min(childPause<<(f.sought-1), f.table.cfg.ShardInterval)
}

// list returns all shards of the stream.
func (f *follower) list(ctx context.Context) ([]types.Shard, error) {
	var shards []types.Shard
	in := &dynamodbstreams.DescribeStreamInput{StreamArn: &f.at.Stream}
	for {
		var out *dynamodbstreams.DescribeStreamOutput
		err := f.table.insist(ctx, "listing the shards", func(ctx context.Context) (err error) {
			out, err = f.table.cfg.Streams.DescribeStream(ctx, in, singleStreams)
			return err
		})
		if err != nil {
			return nil, err
		}
		shards = append(shards, out.StreamDescription.Shards...)
		if out.StreamDescription.LastEvaluatedShardId == nil {
			return shards, nil
		}
		in.ExclusiveStartShardId = out.StreamDescription.LastEvaluatedShardId
	}
}
