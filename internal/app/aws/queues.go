package aws

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/queue/sqsqueue"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
)

// openQueues opens the region's queues.
func (o *opener) openQueues(ctx context.Context) error {
	for _, name := range queuesOf(o.opening.Topology, o.opening.Index) {
		q, err := o.openQueue(ctx, name)
		if err != nil {
			return err
		}
		o.res.Queues = append(o.res.Queues, q)
	}
	return nil
}

// openSender opens the way to the queues of other regions.
func (o *opener) openSender() error {
	mailboxes, err := o.mailboxes()
	if err != nil {
		return err
	}
	o.res.Sender = peer.NewLetters(o.opening.Region, peer.NewKey(o.res.PeerSeed), mailboxes)
	return nil
}

// queuesOf are the names of a region's queues. One for sealed entities is there only where another region of the jurisdiction may send any.
func queuesOf(t *topology.Topology, region topology.Index) []string {
	for _, other := range t.Regions() {
		if other != region && t.SameJurisdiction(region, other) {
			return []string{replication.QueueEvents, replication.QueueSealed}
		}
	}
	return []string{replication.QueueEvents}
}

func (o *opener) openQueue(ctx context.Context, name string) (app.Queue, error) {
	client := sqs.NewFromConfig(o.aws)
	messages, err := sqsqueue.Open(ctx, sqsqueue.Config{Client: client, Name: o.names.Queue(name), Clock: o.opening.Clock, Logger: o.opening.Logger})
	if err != nil {
		return app.Queue{}, err
	}
	dead, err := sqsqueue.Open(ctx, sqsqueue.Config{
		Client: client, Name: o.names.DeadQueue(name), DeadLetters: true, Clock: o.opening.Clock, Logger: o.opening.Logger,
	})
	if err != nil {
		return app.Queue{}, errors.Join(err, messages.Close())
	}
	closed := o.res.Close
	o.res.Close = func() error { return errors.Join(messages.Close(), dead.Close(), closed()) }
	return app.Queue{
		Name: name, Queue: messages, Dead: dead, Content: peer.LetterBody,
		Incoming: peer.NewLetterbox(peer.LetterboxConfig{
			Region: o.opening.Region, Name: name, Queue: messages, Keys: o.opening.Published, From: o.opening.Sender, Logger: o.opening.Logger,
		}),
		Browse: func(ctx context.Context, limit int) ([]queue.Message, error) { return queue.List(ctx, dead, limit) },
	}, nil
}

// mailboxes returns what finds the queues of other regions. They are looked up when they are first sent to, so that a region that is away
// keeps none from starting.
func (o *opener) mailboxes() (peer.Mailbox, error) {
	type address struct {
		region ident.RegionID
		name   string
	}
	all := make(map[address]queue.Queue)
	for _, i := range o.opening.Topology.Regions() {
		if i == o.opening.Index {
			continue
		}
		cfg := o.aws.Copy()
		cfg.Region = string(o.opening.Topology.ID(i))
		for _, name := range []string{replication.QueueEvents, replication.QueueSealed} {
			if name == replication.QueueSealed && !o.opening.Topology.SameJurisdiction(i, o.opening.Index) {
				continue // There is no lawful way.
			}
			q, err := sqsqueue.New(o.accounts.queue(o.opening.Topology.ID(i), sqsqueue.Config{
				Client: sqs.NewFromConfig(cfg), Name: o.names.Queue(name), Clock: o.opening.Clock, Logger: o.opening.Logger,
			}))
			if err != nil {
				return nil, err
			}
			closed := o.res.Close
			o.res.Close = func() error { return errors.Join(q.Close(), closed()) }
			all[address{o.opening.Topology.ID(i), name}] = q
		}
	}
	return func(to ident.RegionID, name string) (queue.Queue, error) {
		q, ok := all[address{to, name}]
		if !ok {
			return nil, fmt.Errorf("%w: %s may not be sent to the queue %s of %s", queue.ErrDenied, o.opening.Region, name, to)
		}
		return q, nil
	}, nil
}

// queueWalker walks what lies in queues. To a queue that is a reception like any other: what is in flight is not seen, and what is seen counts
// as received once more.
type queueWalker struct {
	queues []app.Queue
	tag    func(queue string, body []byte) store.Tag
}

// mostWalked bounds what of one queue is looked at: it is held in memory.
const mostWalked = 10_000

// Walk implements store.Walker.
func (w queueWalker) Walk(ctx context.Context, fn func(store.Item) error) error {
	for _, q := range w.queues {
		for suffix, messages := range map[string]queue.Queue{"": q.Queue, replication.DeadSuffix: q.Dead} {
			all, err := queue.List(ctx, messages, mostWalked)
			if err != nil {
				return fmt.Errorf("looking at the queue %s: %w", q.Name+suffix, err)
			}
			for _, m := range all {
				body := peer.LetterBody(m.Body)
				item := store.Item{Key: store.Key{Partition: q.Name + suffix, Sort: m.ID}, Tag: w.tag(q.Name, body), Value: body}
				if err := fn(item); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
