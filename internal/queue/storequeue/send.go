package storequeue

import (
	"context"
	"errors"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/store"
)

// draft is a message on its way into the queue.
type draft struct {
	message

	number uint64
	tag    store.Tag
	// deduplication is empty for a dead letter: it is the same message and not another.
	deduplication string
}

// Send implements queue.Queue. Which messages are repetitions the commit finds out; it is then made again without them.
func (q *Queue) Send(ctx context.Context, messages []queue.Outgoing) (failed []error, err error) {
	failed, err = queue.CheckSend(messages)
	if err = errors.Join(ctx.Err(), err); err != nil {
		return nil, err
	}
	drafts, err := q.draft(messages, failed)
	if err != nil {
		return nil, err
	}
	if err := q.reserve(drafts); err != nil {
		return nil, err
	}
	for len(drafts) > 0 {
		repeated, err := q.commitSend(ctx, drafts)
		if err != nil {
			return nil, err
		}
		if repeated == nil {
			break
		}
		drafts = q.withdraw(drafts, repeated)
	}
	return failed, nil
}

// draft makes the messages that are accepted. Of those with one deduplication id it takes the first.
func (q *Queue) draft(messages []queue.Outgoing, failed []error) ([]*draft, error) {
	now := q.now()
	random := make([]byte, idSize*len(messages))
	if err := q.read(random); err != nil {
		return nil, err
	}
	drafts := make([]*draft, 0, len(messages))
	seen := make(map[string]struct{}, len(messages))
	for i := range messages {
		m := &messages[i]
		if _, repeated := seen[m.Deduplication]; repeated || failed[i] != nil {
			continue
		}
		seen[m.Deduplication] = struct{}{}
		drafts = append(drafts, &draft{
			message:       message{id: [idSize]byte(random[i*idSize:]), sent: now, since: now, group: m.Group, body: m.Body},
			deduplication: m.Deduplication, tag: q.cfg.Tag(m.Body),
		})
	}
	return drafts, nil
}

// reserve gives the messages their numbers and their places in their groups. Until their commit is settled, nothing behind them is received.
func (q *Queue) reserve(drafts []*draft) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil {
		return q.closed
	}
	now := q.now()
	for _, d := range drafts {
		d.number = q.index.next()
		g := q.index.add(d.group, entry{number: d.number, sent: d.sent, since: d.since, pending: true})
		if g.sender == "" {
			g.sender = q.cfg.Sender(d.body)
		}
		q.index.place(g, now)
	}
	return nil
}

// commitSend commits the messages. It returns which of them are repetitions, if any are, and then nothing took effect.
func (q *Queue) commitSend(ctx context.Context, drafts []*draft) (repeated []bool, err error) {
	ops := make([]store.Op, 0, 1+2*len(drafts))
	ops = append(ops, q.fence)
	for _, d := range drafts {
		ops = append(ops, q.putMessage(d), q.putDeduplication(d))
	}
	err = q.transact(ctx, 1, ops, func(err error, late bool) {
		if refused, ok := errors.AsType[*store.ConditionError](err); ok && !late {
			repeated = make([]bool, len(drafts))
			for i := range drafts {
				repeated[i] = refused.Failed[2+2*i]
			}
			return
		}
		q.settleSend(drafts, err)
	})
	if repeated != nil {
		return repeated, nil
	}
	return nil, portError(err)
}

// settleSend lets the messages be received, or forgets them.
func (q *Queue) settleSend(drafts []*draft, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	for _, d := range drafts {
		g := q.index.groups[d.group]
		if err == nil {
			q.index.confirm(g, d.number)
		} else {
			q.index.remove(g, d.number)
		}
		q.index.place(g, now)
	}
	q.wake()
}

// withdraw forgets the repetitions and returns the others.
func (q *Queue) withdraw(drafts []*draft, repeated []bool) []*draft {
	var out, rest []*draft
	for i, d := range drafts {
		if repeated[i] {
			out = append(out, d)
		} else {
			rest = append(rest, d)
		}
	}
	q.settleSend(out, errRepeated)
	return rest
}

var errRepeated = errors.New("storequeue: a repetition")

func (q *Queue) putMessage(d *draft) store.Op {
	return store.Op{Kind: store.Put, If: store.Absent(), Item: store.Item{
		Key: messageKey(q.cfg.Name, d.group, d.number), Version: versionOf(d.number), Tag: d.tag, Expires: q.expiry(d.since),
		Value: appendMessage(make([]byte, 0, messageOverhead+len(d.group)+len(d.body)), &d.message),
	}}
}

// putDeduplication fails its condition if a message with the id was accepted within the window. The item's version is when that
// was, so that the queue's clock decides, and to the nanosecond; the store removes the item some time after.
func (q *Queue) putDeduplication(d *draft) store.Op {
	horizon := max(d.sent-int64(queue.DeduplicationWindow)+1, 1)
	return store.Op{Kind: store.Put, If: store.OlderThan(ident.Version{Epoch: ident.Epoch(horizon)}), Item: store.Item{
		Key: deduplicationKey(q.cfg.Name, d.deduplication), Version: ident.Version{Epoch: ident.Epoch(max(d.sent, 1))},
		Tag: store.Tag{Class: store.ClassGlobal}, Expires: timeOf(d.sent).Add(queue.DeduplicationWindow + time.Second),
	}}
}

// expiry is when a message that came at since is too old.
func (q *Queue) expiry(since int64) time.Time { return timeOf(since).Add(q.cfg.Retention) }
