package queue

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// lookVisibility is how long an operator's look at a queue keeps a message from others. What takes longer is seen twice: it then
// may be redriven twice, and is never lost.
const lookVisibility = time.Minute

// giveBackTime bounds how long a look that was given up tries to give back what it holds.
const giveBackTime = 5 * time.Second

// List returns up to limit messages of a queue and gives them back. To the queue it is a reception like any other: it counts, and the groups
// wait meanwhile. Of a group it shows no more than what one reception returns, at most MaxBatch, for the rest is behind these.
func List(ctx context.Context, q Queue, limit int) ([]Message, error) {
	l := look{queue: q, held: make(map[string]Message)}
	err := l.each(ctx, func(batch []Message) (bool, error) { return l.hold(batch) && len(l.held) < limit, nil })
	all := l.order
	if len(all) > limit {
		all = all[:limit]
	}
	return all, errors.Join(err, l.giveBack(ctx))
}

// Redrive moves the messages with these ids, or all when ids is nil, from one queue to another: those of a group in their order, each
// under a deduplication id that fresh returns. It sends first and deletes then: a crash in between leaves a message in both, and none is
// ever lost. It moves at most as many as were in the queue when it began, so that it ends also where what it moved fails again
// and comes back. Of a group it reaches messages that are behind others only when it moves those, see List: moved tells how
// many it was, also with an error.
func Redrive(ctx context.Context, from, to Queue, ids map[string]struct{}, fresh func() string) (moved int, err error) {
	if from == to {
		return 0, fmt.Errorf("%w: a queue is not redriven into itself", ErrInvalid)
	}
	return change(ctx, from, named(ids), len(ids), func(ctx context.Context, batch []Message) ([]Message, error) {
		return resend(ctx, to, batch, fresh)
	})
}

// Drop deletes the messages with these ids, or all when ids is nil, as many as it reaches, see Redrive, and tells how many it was.
func Drop(ctx context.Context, q Queue, ids map[string]struct{}) (dropped int, err error) {
	return change(ctx, q, named(ids), len(ids), deleted)
}

// DropWhere deletes the messages that match, those among them that are behind others of a group only where these match too, and tells how
// many it was. Its memory does not grow with what the other messages hold.
func DropWhere(ctx context.Context, q Queue, match func(Message) bool) (dropped int, err error) {
	return change(ctx, q, match, 0, deleted)
}

func deleted(_ context.Context, batch []Message) ([]Message, error) { return batch, nil }

// named matches the messages with these ids, or all when ids is nil.
func named(ids map[string]struct{}) func(Message) bool {
	return func(m Message) bool {
		_, ok := ids[m.ID]
		return ok || ids == nil
	}
}

// change deletes the messages that match for which do did what comes before that, and gives back the others. It ends early when it has
// changed most, unless that is 0.
func change(
	ctx context.Context, q Queue, match func(Message) bool, most int, do func(context.Context, []Message) ([]Message, error),
) (changed int, err error) {
	depth, err := q.Depth(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the queue's depth: %w", err)
	}
	limit := depth.Waiting + depth.InFlight
	l := look{queue: q, held: make(map[string]Message)}
	err = l.each(ctx, func(batch []Message) (bool, error) {
		var wanted, others []Message
		for _, m := range batch {
			if match(m) && changed+len(wanted) < limit {
				wanted = append(wanted, m)
			} else {
				m.Body = nil // It is only given back.
				others = append(others, m)
			}
		}
		progress := l.hold(others)
		if len(wanted) == 0 {
			return progress, nil
		}
		done, err := do(ctx, wanted)
		changed += len(done)
		err = errors.Join(err, remove(ctx, q, done))
		if err != nil {
			l.hold(wanted) // What is deleted is given back to nobody.
		}
		return changed < limit && (most == 0 || changed < most), err
	})
	return changed, errors.Join(err, l.giveBack(ctx))
}

// resend sends messages, in their order and as few calls as their size allows, and returns those that were accepted.
func resend(ctx context.Context, to Queue, batch []Message, fresh func() string) (sent []Message, err error) {
	for len(batch) > 0 {
		var out []Outgoing
		size := 0
		for _, m := range batch {
			if size += len(m.Body); size > MaxMessageBytes && len(out) > 0 {
				break
			}
			out = append(out, Outgoing{Group: m.Group, Deduplication: fresh(), Body: m.Body})
		}
		failed, err := to.Send(ctx, out)
		if err != nil {
			return sent, fmt.Errorf("sending again: %w", err)
		}
		for i := range out {
			if i < len(failed) && failed[i] != nil {
				err = errors.Join(err, failed[i])
				continue
			}
			sent = append(sent, batch[i])
		}
		if err != nil {
			return sent, fmt.Errorf("sending again: %w", err)
		}
		batch = batch[len(out):]
	}
	return sent, nil
}

// remove deletes received messages. One that another has received since stays.
func remove(ctx context.Context, q Queue, batch []Message) error {
	if len(batch) == 0 {
		return nil
	}
	failed, err := q.Delete(ctx, receiptsOf(batch))
	if err = errors.Join(append(failed, err)...); err != nil {
		return fmt.Errorf("deleting: %w", err)
	}
	return nil
}

func receiptsOf(batch []Message) []string {
	receipts := make([]string, len(batch))
	for i := range batch {
		receipts[i] = batch[i].Receipt
	}
	return receipts
}

// look is one walk through what a queue has to receive.
type look struct {
	queue Queue
	// held are the messages to be given back, by id; order the same as they came.
	held  map[string]Message
	order []Message
}

// each calls fn with what the queue has, until there is nothing more or fn says that it is enough.
func (l *look) each(ctx context.Context, fn func([]Message) (more bool, err error)) error {
	for {
		batch, err := l.queue.Receive(ctx, Receive{Max: MaxBatch, Visibility: lookVisibility})
		if err != nil {
			return fmt.Errorf("receiving: %w", err)
		}
		if len(batch) == 0 {
			return nil
		}
		if more, err := fn(batch); err != nil || !more {
			return err
		}
	}
}

// hold keeps messages to be given back. It reports whether there was one that it had not: otherwise the visibility time-outs end
// faster than the walk goes on.
func (l *look) hold(batch []Message) (progress bool) {
	for _, m := range batch {
		if _, known := l.held[m.ID]; !known {
			l.order = append(l.order, m)
			progress = true
		}
		l.held[m.ID] = m
	}
	return progress
}

// giveBack makes what is held visible again, also when ctx has ended. What is stale has been received by another.
func (l *look) giveBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTime)
	defer cancel()
	var errs []error
	for rest := l.order; len(rest) > 0; {
		batch := rest[:min(len(rest), MaxBatch)]
		rest = rest[len(batch):]
		receipts := make([]string, len(batch))
		for i := range batch {
			receipts[i] = l.held[batch[i].ID].Receipt
		}
		failed, err := l.queue.Extend(ctx, receipts, 0)
		errs = append(errs, err)
		for _, f := range failed {
			if f != nil && !errors.Is(f, ErrStale) {
				errs = append(errs, f)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("giving back: %w", err)
	}
	return nil
}
