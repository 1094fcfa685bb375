package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/store"
)

// unreachableError says that sending failed, so that the destination is to be left alone for a while.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return "sending: " + e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }

// Step sends a page of one dirty lane to a destination. It returns false when nothing of it may be tried now. An error is also
// kept for Status, and the lane is tried again later; it is only returned to be seen.
func (r *Relay) Step(ctx context.Context, to ident.RegionID) (bool, error) {
	d, ok := r.destinationOf(to)
	if !ok {
		return false, fmt.Errorf("replication: region %q is no destination", to)
	}
	p, ok, _ := d.work.take(r.cfg.Clock())
	if !ok {
		return false, nil
	}
	return true, r.settle(ctx, d, p)
}

// settle tries a pair that was taken and gives it back.
func (r *Relay) settle(ctx context.Context, d *destination, p pair) error {
	more, err := r.send(ctx, d, p)
	if err != nil {
		_, unreachable := errors.AsType[*unreachableError](err)
		d.work.failed(p, err, unreachable, r.cfg.Clock(), r.cfg.Jitter())
		// Also a lane that nothing was sent of may have become prunable: its cursor was lost.
		r.prunableLane(laneOf{p.tenant, p.lane})
		return err
	}
	d.work.done(p, more)
	return nil
}

// send sends the next page of a lane and moves its cursor; more says that there may be another.
func (r *Relay) send(ctx context.Context, d *destination, p pair) (more bool, err error) {
	c, err := r.readCursor(ctx, p, d.id)
	if err != nil {
		return false, err
	}
	tenant, err := r.tenant(p.tenant)
	if errors.Is(err, errNoTenant) {
		if d.once {
			return false, err
		}
		return false, nil // It is looked at when its record comes.
	}
	grant := GrantOf(r.cfg.Topology, tenant, d.index)
	if !grant.Has(p.feed) {
		return false, r.revoke(ctx, c)
	}
	head, page, err := r.outbox(ctx, p, c, r.cfg.Tuning.Page)
	if err != nil {
		return false, err
	}
	w := &writer{r: r, d: d, p: p, queue: grant.Queue(p.feed), group: r.stream(p).group(), sent: c.version}
	if at, open := opening(c, head, page.Items, tenant.Epoch); open {
		return r.open(ctx, w, beginning{p, c, at, head}, tenant.Epoch)
	}
	if len(page.Items) == 0 {
		d.work.progress(p, c.version.Seq, time.Time{}, false)
		return false, nil
	}
	if err := r.checkBacklog(ctx, d, p, &c, head, page.Items[0]); err != nil {
		return false, err
	}
	err = r.sendPage(ctx, w, grant, page.Items)
	if w.sent != c.version {
		if moved := r.advance(ctx, p.tenant, &c, w.sent, false); moved != nil {
			return false, errors.Join(err, moved)
		}
		d.sent(r.stream(p), w.sent)
		d.work.progress(p, w.sent.Seq, time.Time{}, false)
		if !d.once {
			r.prunableLane(laneOf{p.tenant, p.lane})
		}
	}
	return page.More || w.sent.Epoch < tenant.Epoch, err
}

// outbox reads a lane's counter, and then the first records after a cursor: what the counter counts is among those that are there, unless
// it was pruned.
func (r *Relay) outbox(ctx context.Context, p pair, c cursor, limit int) (head ident.Version, page store.Page, err error) {
	if head, err = r.counter(ctx, p.tenant, p.lane); err != nil {
		return head, page, err
	}
	from, to := keyspace.OutboxAfter(c.version.Seq)
	page, err = r.cfg.Table.Query(ctx, store.Query{Partition: keyspace.Lane(p.tenant, p.lane), From: from, To: to, Limit: limit})
	if err != nil {
		return head, page, fmt.Errorf("reading the outbox: %w", err)
	}
	return head, page, nil
}

// checkBacklog marks the cursor lost when the lane has gone too far ahead of it, and notes how far it has.
func (r *Relay) checkBacklog(ctx context.Context, d *destination, p pair, c *cursor, head ident.Version, first store.Item) error {
	lost := head.Seq > c.version.Seq && uint64(head.Seq-c.version.Seq) > r.cfg.Tuning.MaxBacklog
	if lost && !c.lost {
		if err := r.advance(ctx, p.tenant, c, c.version, true); err != nil {
			return err
		}
	}
	var record storagev1.OutboxRecord
	if err := proto.Unmarshal(first.Value, &record); err != nil {
		return fmt.Errorf("decoding an outbox record: %w", err)
	}
	var oldest time.Time
	if record.GetCommitTime() != nil {
		oldest = record.GetCommitTime().AsTime()
	}
	d.work.progress(p, c.version.Seq, oldest, c.lost)
	d.work.reaches(p, head.Seq)
	return nil
}

// sendPage sends the events of outbox records in their order. When it fails, w.sent says how far it came.
func (r *Relay) sendPage(ctx context.Context, w *writer, grant Grant, records []store.Item) error {
	stream := r.stream(w.p).message()
	for _, record := range records {
		parts, err := r.cfg.Maker.Events(ctx, stream, grant, record)
		if err != nil {
			return errors.Join(err, w.flush(ctx))
		}
		for _, e := range parts {
			if err := w.add(ctx, e); err != nil {
				return err
			}
		}
	}
	return w.flush(ctx)
}

// sent notes the last position that a destination was sent, for its next heartbeat.
func (d *destination) sent(s streamID, v ident.Version) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reached[s] = v
}

// writer gathers the events of a lane into batches.
type writer struct {
	r            *Relay
	d            *destination
	p            pair
	queue, group string

	batch  []queue.Outgoing
	events []*replicationv1.Event
	size   int
	// sent is the last position of which all parts were accepted.
	sent ident.Version
}

// add puts an event of the lane into the batch, which is sent before if it is full.
func (w *writer) add(ctx context.Context, e *replicationv1.Event) error {
	return w.addTo(ctx, w.group, e)
}

// addTo puts an event of any group into the batch.
func (w *writer) addTo(ctx context.Context, group string, e *replicationv1.Event) error {
	m, err := outgoing(group, w.r.incarnation(), e)
	if err != nil {
		return err
	}
	if len(w.batch) == queue.MaxBatch || w.size+len(m.Body) > queue.MaxMessageBytes {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	w.batch, w.events, w.size = append(w.batch, m), append(w.events, e), w.size+len(m.Body)
	return nil
}

// flush sends the batch.
func (w *writer) flush(ctx context.Context) error {
	if len(w.batch) == 0 {
		return nil
	}
	failed, err := w.r.cfg.Sender.Send(ctx, w.d.id, w.queue, w.batch)
	if err == nil && len(failed) > 0 && len(failed) != len(w.batch) {
		err = errors.New("replication: a queue answered for other messages than it was sent")
	}
	if err != nil {
		return refused(err)
	}
	events := w.events
	w.batch, w.events, w.size = nil, nil, 0
	for i, e := range events {
		if len(failed) > 0 && failed[i] != nil {
			return refused(failed[i])
		}
		if e.GetOpen() == nil && e.GetPart()+1 == max(e.GetParts(), 1) {
			w.sent = position(e)
		}
	}
	return nil
}

// refused says whose fault it is that a queue did not accept a message.
func refused(err error) error {
	if errors.Is(err, queue.ErrTooLarge) || errors.Is(err, queue.ErrInvalid) {
		return fmt.Errorf("replication: a message was refused: %w", err)
	}
	return &unreachableError{err}
}
