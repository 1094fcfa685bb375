package entity

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"go.opentelemetry.io/otel/trace"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// maxRetryPause bounds the pauses between attempts at a batch of unknown outcome.
const maxRetryPause = time.Second

// laneID names a lane of a tenant.
type laneID struct {
	tenant ident.TenantID
	lane   ident.Lane
}

// sequencer numbers the writes of a lane in this process. Its goroutine lives while mutations wait. Another process may
// write the same lane: the counter's condition makes one of two batches lose, and the loser reads the counter again.
type sequencer struct {
	id  laneID
	all *sequencers

	// incoming and waiting are guarded by all.mu. waiting counts the mutations that have no outcome.
	incoming []*mutation
	waiting  int

	// What follows is the goroutine's own. queue has the mutations that wait, in the order of arrival.
	queue []*mutation
	// counter is the version of the lane's last write, if known; the zero version when there was none.
	counter ident.Version
	known   bool
}

// run commits batch after batch until nothing waits.
func (s *sequencer) run(ctx context.Context) {
	for s.all.more(s) {
		if err := s.readCounter(ctx); err != nil {
			s.drop(err)
			continue
		}
		if b := s.gather(ctx); len(b.members) > 0 {
			s.commit(ctx, b)
		}
	}
}

// readCounter reads the lane's counter unless it is known.
func (s *sequencer) readCounter(ctx context.Context) error {
	if s.known {
		return nil
	}
	item, err := s.all.store.Get(ctx, keyspace.Counter(s.id.tenant, s.id.lane))
	switch {
	case errors.Is(err, store.ErrNotFound):
		s.counter, s.known = ident.Version{}, true
	case err != nil:
		return fmt.Errorf("reading the lane's counter: %w", err)
	default:
		s.counter, s.known = item.Version, true
	}
	return nil
}

// drop gives every waiting mutation the same error; none of them was in a batch.
func (s *sequencer) drop(err error) {
	for _, m := range s.queue {
		if m.state.CompareAndSwap(waiting, committing) {
			m.finish(ident.Version{}, err)
		}
	}
	s.settled(len(s.queue))
	s.queue = nil
}

// gather makes a batch of the mutations that wait: of one epoch, none touching an item of another, as many as fit. The rest
// keep their order.
func (s *sequencer) gather(ctx context.Context) *batch {
	b := newBatch(s.counterOp(), s.counter, len(s.queue))
	rest := s.queue[:0]
	settled := 0
	for _, m := range s.queue {
		switch err := s.take(ctx, b, m); {
		case err == nil:
		case errors.Is(err, errFull):
			rest = append(rest, m)
		default:
			settled++
			if !errors.Is(err, errWithdrawn) {
				m.finish(ident.Version{}, err)
			}
		}
	}
	clear(s.queue[len(rest):])
	s.queue = rest
	s.settled(settled)
	return b
}

// errWithdrawn says that a mutation's caller has gone.
var errWithdrawn = errors.New("entity: withdrawn")

// take puts a mutation into the batch, or says why not; with errFull it stays withdrawable.
func (s *sequencer) take(ctx context.Context, b *batch, m *mutation) error {
	if len(b.members) > 0 && m.epoch != b.last.Epoch {
		return errFull
	}
	if !m.state.CompareAndSwap(waiting, committing) {
		return errWithdrawn
	}
	if m.epoch < s.counter.Epoch {
		return fault.New(errorsv1.Reason_REASON_STALE_EPOCH, "the call was routed under an ownership that has ended")
	}
	err := b.add(ctx, m)
	if errors.Is(err, errFull) {
		m.state.Store(waiting)
	}
	return err
}

// commit sends a batch until its outcome is known, and settles its members or puts them back.
func (s *sequencer) commit(ctx context.Context, b *batch) {
	token, err := s.all.token()
	if err != nil {
		s.fail(b, err)
		return
	}
	err = s.send(trace.ContextWithSpanContext(ctx, b.members[0].m.span), b.commit(token))
	var refused *store.ConditionError
	switch {
	case err == nil:
		s.counter = b.last
		for _, m := range b.members {
			m.m.finish(m.version, nil)
		}
		s.settled(len(b.members))
	case errors.As(err, &refused) && len(refused.Failed) == len(b.ops):
		s.sortOut(b, refused)
	case errors.Is(err, store.ErrFull):
		s.fail(b, fault.Wrap(errorsv1.Reason_REASON_STORAGE_FULL, err, "the region has no space left for writes"))
	case errors.Is(err, store.ErrTooLarge):
		s.fail(b, fault.Wrap(errorsv1.Reason_REASON_TOO_LARGE, err, "the entity is too large to store"))
	case errors.Is(err, store.ErrInvalid), refused != nil:
		s.fail(b, fmt.Errorf("committing: %w", err))
	default:
		s.known = false
		s.fail(b, fault.Wrap(errorsv1.Reason_REASON_OUTCOME_UNKNOWN, err, "the store did not say whether the write took effect"))
	}
}

// send commits c, the same commit with the same token, until the store says what became of it or the attempts are used up.
func (s *sequencer) send(ctx context.Context, c store.Commit) error {
	pause := s.all.tuning.RetryPause
	for attempt := 1; ; attempt++ {
		err := s.all.store.Commit(ctx, c)
		if outcomeKnown(err) || errors.Is(err, store.ErrClosed) || attempt >= s.all.tuning.CommitAttempts {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			pause = min(2*pause, maxRetryPause)
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// outcomeKnown tells whether a commit's error, or its absence, says what became of it.
func outcomeKnown(err error) bool {
	var refused *store.ConditionError
	return err == nil || errors.As(err, &refused) || errors.Is(err, store.ErrFull) ||
		errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrInvalid)
}

// sortOut answers the members whose own conditions did not hold and puts the others back to the head of the queue. A counter
// that is not as expected was moved by another process.
func (s *sequencer) sortOut(b *batch, refused *store.ConditionError) {
	if refused.Failed[0] {
		s.known = false
	}
	again := make([]*mutation, 0, len(b.members)+len(s.queue))
	settled, guilty := 0, refused.Failed[0]
	for i, m := range b.members {
		end := len(b.ops)
		if i+1 < len(b.members) {
			end = b.members[i+1].first
		}
		if err := m.m.refusal(refused.Failed[m.first:end]); err != nil {
			guilty = true
			settled++
			m.m.finish(ident.Version{}, err)
			continue
		}
		m.m.state.Store(waiting)
		again = append(again, m.m)
	}
	s.queue = append(again, s.queue...)
	s.settled(settled)
	if !guilty {
		// An outbox record stands above the counter: the lane is damaged, and to try again would never end.
		s.known = false
		s.drop(errors.New("entity: the lane has a record above its counter"))
	}
}

// fail gives all members of a batch the same error.
func (s *sequencer) fail(b *batch, err error) {
	for _, m := range b.members {
		m.m.finish(ident.Version{}, err)
	}
	s.settled(len(b.members))
}

func (s *sequencer) settled(n int) {
	if n > 0 {
		s.all.settled(s, n)
	}
}

// counterOp moves the lane's counter on; its new version is set when the batch is whole.
func (s *sequencer) counterOp() store.Op {
	condition := store.VersionIs(s.counter)
	if s.counter == (ident.Version{}) {
		condition = store.Absent()
	}
	return store.Op{Kind: store.Put, If: condition, Item: store.Item{
		Key: keyspace.Counter(s.id.tenant, s.id.lane),
		Tag: store.Tag{Tenant: s.id.tenant, Class: store.ClassGlobal, Jurisdiction: s.all.jurisdiction},
	}}
}

// token names a batch to the store, so that it takes effect once however often it is sent.
func (q *sequencers) token() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(q.rand, b[:]); err != nil {
		return "", fmt.Errorf("naming a commit: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}
