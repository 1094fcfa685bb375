package app

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/queue/storequeue"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/store"
)

// reopenPause is how long a region whose disk is full waits before it tries to open its queues again.
const reopenPause = 2 * time.Second

// namedQueue is a queue of the region with its dead letters.
type namedQueue struct {
	name        string
	queue, dead *lateQueue
}

// lateQueue is a queue that could perhaps not be opened yet: to open one is a write, and a region starts, to be read, also when its disk is
// full.
type lateQueue struct {
	opened atomic.Pointer[storequeue.Queue]
}

// now returns the queue, or that there is no space for it.
func (l *lateQueue) now() (*storequeue.Queue, error) {
	if q := l.opened.Load(); q != nil {
		return q, nil
	}
	return nil, queue.ErrFull
}

// Send implements queue.Queue.
func (l *lateQueue) Send(ctx context.Context, messages []queue.Outgoing) (failed []error, err error) {
	q, err := l.now()
	if err != nil {
		return nil, err
	}
	return q.Send(ctx, messages)
}

// Receive implements queue.Queue.
func (l *lateQueue) Receive(ctx context.Context, r queue.Receive) ([]queue.Message, error) {
	q, err := l.now()
	if err != nil {
		return nil, err
	}
	return q.Receive(ctx, r)
}

// Delete implements queue.Queue.
func (l *lateQueue) Delete(ctx context.Context, receipts []string) (failed []error, err error) {
	q, err := l.now()
	if err != nil {
		return nil, err
	}
	return q.Delete(ctx, receipts)
}

// Extend implements queue.Queue.
func (l *lateQueue) Extend(ctx context.Context, receipts []string, visibility time.Duration) (failed []error, err error) {
	q, err := l.now()
	if err != nil {
		return nil, err
	}
	return q.Extend(ctx, receipts, visibility)
}

// Depth implements queue.Queue.
func (l *lateQueue) Depth(ctx context.Context) (queue.Depth, error) {
	q, err := l.now()
	if err != nil {
		return queue.Depth{}, err
	}
	return q.Depth(ctx)
}

// browse returns the first messages without receiving them.
func (l *lateQueue) browse(ctx context.Context, limit int) ([]queue.Message, error) {
	q, err := l.now()
	if err != nil {
		return nil, err
	}
	first, _, err := q.Browse(ctx, limit)
	return first, err
}

func (l *lateQueue) close() error {
	if q := l.opened.Load(); q != nil {
		return q.Close()
	}
	return nil
}

// openQueues opens the region's queues, as far as there is space for it.
func (s *synchronisation) openQueues(ctx context.Context) error {
	for _, name := range []string{replication.QueueEvents, replication.QueueSealed} {
		s.queues = append(s.queues, namedQueue{name: name, queue: &lateQueue{}, dead: &lateQueue{}})
	}
	if err := s.tryQueues(ctx); err != nil && !errors.Is(err, queue.ErrFull) {
		return err
	}
	return nil
}

// reopenQueues opens what there was no space for, and returns when all are open.
func (s *synchronisation) reopenQueues(ctx context.Context) error {
	for {
		err := s.tryQueues(ctx)
		if !errors.Is(err, queue.ErrFull) {
			return err
		}
		timer := time.NewTimer(reopenPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

func (s *synchronisation) tryQueues(ctx context.Context) error {
	for _, q := range s.queues {
		if q.queue.opened.Load() != nil {
			continue
		}
		base := storequeue.Config{
			Store: s.region.queueTable, Tag: func(body []byte) store.Tag { return s.tagIn(q.name, body) }, Sender: senderOf,
			Clock: s.clock, Random: s.random, Logger: s.region.logger,
		}
		letters := q.dead.opened.Load()
		if letters == nil {
			dead := base
			dead.Name = q.name + replication.DeadSuffix
			var err error
			if letters, err = storequeue.Open(ctx, dead); err != nil {
				return fmt.Errorf("opening the queue %s of %s: %w", dead.Name, s.region.id, err)
			}
			q.dead.opened.Store(letters)
		}
		base.Name, base.DeadLetters, base.MaxReceives = q.name, letters, maxReceives
		messages, err := storequeue.Open(ctx, base)
		if err != nil {
			return fmt.Errorf("opening the queue %s of %s: %w", q.name, s.region.id, err)
		}
		q.queue.opened.Store(messages)
	}
	return nil
}

// senderOf says which region sent a message.
func senderOf(body []byte) string {
	var envelope replicationv1.Envelope
	if err := proto.Unmarshal(body, &envelope); err != nil {
		return ""
	}
	return envelope.GetEvent().GetStream().GetOrigin() + envelope.GetHeartbeat().GetSource() + envelope.GetViolation().GetDestination()
}

// oldest is when the oldest message was sent that is in one of the region's queues; the zero time when there is none.
func (s *synchronisation) oldest(ctx context.Context) (time.Time, error) {
	var oldest time.Time
	for _, q := range s.queues {
		depth, err := q.queue.Depth(ctx)
		if err != nil {
			return time.Time{}, fmt.Errorf("reading how full %s is: %w", q.name, err)
		}
		if !depth.Oldest.IsZero() && (oldest.IsZero() || depth.Oldest.Before(oldest)) {
			oldest = depth.Oldest
		}
	}
	return oldest, nil
}
