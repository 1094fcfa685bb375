package entity

import (
	"context"
	"fmt"
	"io"
	"sync"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// sequencers are the lanes that this process writes. Memory is bounded: a lane has a sequencer only while mutations wait in
// it, and of the others the counters of the last Tuning.IdleLanes or fewer are kept.
type sequencers struct {
	store        store.Store
	rand         io.Reader
	jurisdiction ident.Jurisdiction
	tuning       Tuning

	// ctx outlives every caller; stop ends it when close is out of patience.
	ctx  context.Context //nolint:containedctx // batches belong to no single caller
	stop context.CancelFunc

	mu     sync.Mutex
	live   map[laneID]*sequencer
	idle   map[laneID]ident.Version
	closed bool
	// running counts the goroutines of live.
	running sync.WaitGroup
}

func newSequencers(s store.Store, rand io.Reader, j ident.Jurisdiction, t Tuning) *sequencers {
	ctx, stop := context.WithCancel(context.Background())
	return &sequencers{
		store: s, rand: rand, jurisdiction: j, tuning: t, ctx: ctx, stop: stop,
		live: make(map[laneID]*sequencer), idle: make(map[laneID]ident.Version),
	}
}

// submit hands a mutation to its lane's sequencer. It does not wait.
func (q *sequencers) submit(m *mutation) error {
	id := laneID{tenant: m.tenant, lane: m.lane}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		f := fault.New(errorsv1.Reason_REASON_REGION_DRAINING, "this server is stopping")
		f.RetryAfter = retryAfter
		return f
	}
	s := q.live[id]
	if s == nil {
		s = &sequencer{id: id, all: q}
		if v, ok := q.idle[id]; ok {
			s.counter, s.known = v, true
			delete(q.idle, id)
		}
		q.live[id] = s
		q.running.Go(func() { s.run(q.ctx) })
	}
	if s.waiting >= q.tuning.MaxWaiting {
		return overloaded("too many writes wait in this part of the tenant's data")
	}
	s.waiting++
	s.incoming = append(s.incoming, m)
	return nil
}

// more moves what came in to the sequencer's queue. It returns false when nothing waits; the sequencer is then gone.
func (q *sequencers) more(s *sequencer) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.queue = append(s.queue, s.incoming...)
	clear(s.incoming)
	s.incoming = s.incoming[:0]
	if len(s.queue) > 0 {
		return true
	}
	delete(q.live, s.id)
	if s.known {
		q.remember(s.id, s.counter)
	}
	return false
}

// remember keeps the counter of an idle lane, in the place of any other when there are too many. mu is held.
func (q *sequencers) remember(id laneID, v ident.Version) {
	if len(q.idle) >= q.tuning.IdleLanes {
		for other := range q.idle {
			delete(q.idle, other)
			break
		}
	}
	q.idle[id] = v
}

// forget drops what is known of a tenant's idle lanes.
func (q *sequencers) forget(tenant ident.TenantID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for lane := range ident.Lane(ident.Lanes) {
		delete(q.idle, laneID{tenant: tenant, lane: lane})
	}
}

// settled says that n mutations of a lane have their outcome.
func (q *sequencers) settled(s *sequencer, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.waiting -= n
}

// close refuses mutations and waits for the goroutines.
func (q *sequencers) close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	done := make(chan struct{})
	go func() {
		q.running.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("waiting for the last commits: %w", ctx.Err())
		q.stop()
		<-done
	}
	q.stop()
	return err
}
