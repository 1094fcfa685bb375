package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/queue/storequeue"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/store"
)

// reopenPause is how long a region whose disk is full waits before it tries to open its queues again.
const reopenPause = 2 * time.Second

// queues are the region's queues, in one table of it: by that one object they know that they lie together.
type queues struct {
	table   store.Store
	opening app.Opening
	all     []namedQueue
}

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

// waiting counts the messages by who sent them.
func (l *lateQueue) waiting() map[string]int {
	if q := l.opened.Load(); q != nil {
		return q.Waiting()
	}
	return nil
}

// open opens the queues, as far as there is space for it.
func (q *queues) open(ctx context.Context) ([]app.Queue, error) {
	names := []string{replication.QueueEvents, replication.QueueSealed}
	out := make([]app.Queue, 0, len(names))
	for _, name := range names {
		n := namedQueue{name: name, queue: &lateQueue{}, dead: &lateQueue{}}
		q.all = append(q.all, n)
		out = append(out, app.Queue{Name: name, Queue: n.queue, Dead: n.dead, Browse: n.dead.browse, Waiting: n.queue.waiting})
	}
	if err := q.try(ctx); err != nil && !errors.Is(err, queue.ErrFull) {
		return nil, err
	}
	return out, nil
}

// reopen opens what there was no space for, and returns when all are open.
func (q *queues) reopen(ctx context.Context) error {
	for {
		err := q.try(ctx)
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

func (q *queues) try(ctx context.Context) error {
	o := q.opening
	for _, n := range q.all {
		if n.queue.opened.Load() != nil {
			continue
		}
		base := storequeue.Config{
			Store: q.table, Tag: func(body []byte) store.Tag { return o.Tag(n.name, body) }, Sender: o.Sender,
			Clock: o.Clock, Random: o.Random, Logger: o.Logger,
		}
		letters := n.dead.opened.Load()
		if letters == nil {
			dead := base
			dead.Name = n.name + replication.DeadSuffix
			var err error
			if letters, err = storequeue.Open(ctx, dead); err != nil {
				return fmt.Errorf("opening the queue %s of %s: %w", dead.Name, o.Region, err)
			}
			n.dead.opened.Store(letters)
		}
		base.Name, base.DeadLetters, base.MaxReceives = n.name, letters, app.MaxReceives
		messages, err := storequeue.Open(ctx, base)
		if err != nil {
			return fmt.Errorf("opening the queue %s of %s: %w", n.name, o.Region, err)
		}
		n.queue.opened.Store(messages)
	}
	return nil
}

// close gives the queues back.
func (q *queues) close() error {
	errs := make([]error, 0, 2*len(q.all))
	for _, n := range q.all {
		errs = append(errs, n.queue.close(), n.dead.close())
	}
	return errors.Join(errs...)
}
