package replication

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// opening says whether the stream has to begin, for the first time or again because the outbox no longer goes on where the cursor
// stands, and after which position. records are those after the cursor, read after head, the lane's counter.
func opening(c cursor, head ident.Version, records []store.Item, epoch ident.Epoch) (at ident.Version, open bool) {
	if len(records) > 0 {
		first, _ := keyspace.ParseOutbox(records[0].Key.Sort)
		at = ident.Version{Epoch: records[0].Version.Epoch, Seq: first - 1}
		return at, !c.exists || first != c.version.Seq+1
	}
	// A new ownership is told of even before it has written anything: until then the destination answers for nothing.
	at = ident.Version{Epoch: max(head.Epoch, epoch), Seq: head.Seq}
	return at, !c.exists || at.Seq > c.version.Seq || at.Epoch > c.version.Epoch
}

// beginning is a stream that begins at a position.
type beginning struct {
	p      pair
	cursor cursor
	at     ident.Version
	// head is how far the lane goes.
	head ident.Version
}

// more tells whether the lane has something after the position.
func (b *beginning) more(epoch ident.Epoch) bool { return b.head.Seq > b.at.Seq || b.at.Epoch < epoch }

// open sends the beginning of a stream and sets the cursor on it. With the first lane of a tenant that begins, all do, in one batch: a
// region that is new begins thousands.
func (r *Relay) open(ctx context.Context, w *writer, first beginning, epoch ident.Epoch) (more bool, err error) {
	all := []beginning{first}
	if !first.cursor.exists {
		if !w.d.begin(w.p) {
			return false, nil
		}
		defer func() { w.d.begun(w.p, r.cfg.Clock()) }()
		// Another may have begun the lane between the reading of the cursor and here.
		reread, err := r.readCursor(ctx, w.p, w.d.id)
		if err != nil || reread.exists {
			return reread.exists, err
		}
		if all, err = r.beginnings(ctx, w.d, all, epoch); err != nil {
			return false, err
		}
	}
	if err := r.openAll(ctx, w, all, epoch); err != nil {
		return false, err
	}
	return first.more(epoch), nil
}

// openAll begins streams in one batch.
func (r *Relay) openAll(ctx context.Context, w *writer, all []beginning, epoch ident.Epoch) error {
	now := r.cfg.Clock()
	ops := make([]store.Op, 0, len(all))
	for _, b := range all {
		if err := w.addTo(ctx, r.stream(b.p).group(), openAt(r.stream(b.p), b.at, timestamppb.New(now))); err != nil {
			return err
		}
		op, err := r.cursorOp(b.p.tenant, b.cursor, b.at, false)
		if err != nil {
			return err
		}
		ops = append(ops, op)
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	if err := r.cfg.Table.Commit(ctx, store.Commit{Ops: ops}); err != nil {
		return fmt.Errorf("beginning a stream: %w", err)
	}
	for _, b := range all {
		w.d.sent(r.stream(b.p), b.at)
		if b.p != w.p && b.more(epoch) {
			w.d.work.mark(b.p, b.head.Seq, now)
		}
	}
	w.d.work.progress(w.p, all[0].at.Seq, time.Time{}, false)
	return nil
}

// feedOf names a feed of a tenant.
type feedOf struct {
	tenant ident.TenantID
	feed   replicationv1.Feed
}

// begin makes the caller the one who begins the lanes of a tenant's feed. False: another is, to whom the pair is left.
func (d *destination) begin(p pair) bool {
	key := feedOf{p.tenant, p.feed}
	d.mu.Lock()
	defer d.mu.Unlock()
	waiting, others := d.beginning[key]
	if others {
		d.beginning[key] = append(waiting, p)
		return false
	}
	d.beginning[key] = nil
	return true
}

// begun ends begin. What was left to the caller is looked at again, whatever became of it.
func (d *destination) begun(p pair, now time.Time) {
	key := feedOf{p.tenant, p.feed}
	d.mu.Lock()
	waiting := d.beginning[key]
	delete(d.beginning, key)
	d.mu.Unlock()
	for _, other := range waiting {
		d.work.mark(other, 0, now)
	}
}

// beginnings adds the tenant's other lanes that have not begun.
func (r *Relay) beginnings(ctx context.Context, d *destination, all []beginning, epoch ident.Epoch) ([]beginning, error) {
	p := all[0].p
	for lane := range ident.Lane(ident.Lanes) {
		other := pair{tenant: p.tenant, lane: lane, feed: p.feed}
		if other == p {
			continue
		}
		c, err := r.readCursor(ctx, other, d.id)
		if err != nil {
			return nil, err
		}
		if c.exists {
			continue
		}
		head, page, err := r.outbox(ctx, other, c, 1)
		if err != nil {
			return nil, err
		}
		at, _ := opening(c, head, page.Items, epoch)
		all = append(all, beginning{other, c, at, head})
	}
	return all, nil
}
