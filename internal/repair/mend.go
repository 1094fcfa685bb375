package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/replication"
)

// mending settles the differences of a comparison.
type mending struct {
	c *comparison
	// wanted are the ids to fetch.
	wanted []string

	mu sync.Mutex
	// waiting says that an entity could not be settled now.
	waiting bool
}

// take settles a difference, or notes it for the next fetch.
func (m *mending) take(ctx context.Context, d Difference) error {
	if d.Kind == Surplus {
		return m.remove(ctx, d.ID, d.q)
	}
	m.wanted = append(m.wanted, d.ID)
	return nil
}

func (m *mending) remove(ctx context.Context, id string, q ident.Version) error {
	err := m.c.r.cfg.Target.ApplyState(ctx, m.c.stream, nil, id, q)
	if err != nil && !errors.Is(err, replication.ErrRefused) {
		return fmt.Errorf("removing what the home does not have: %w", err)
	}
	m.note(err == nil)
	return nil
}

// note counts an entity that is settled, or remembers that one is not.
func (m *mending) note(settled bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if settled {
		m.c.result.Repaired++
	} else {
		m.waiting = true
	}
}

// flush fetches and applies what is wanted, if that is at least so many entities.
func (m *mending) flush(ctx context.Context, atLeast int) error {
	if len(m.wanted) < atLeast {
		return nil
	}
	work := newCrew(m.c.r.cfg.Tuning.Fetches)
	for ids := range slices.Chunk(m.wanted, maxFetch) {
		work.do(func() error { return m.settle(ctx, ids) })
	}
	m.wanted = nil
	return work.wait()
}

// settle fetches entities and applies them, again and again while the region has passed what the home answered.
func (m *mending) settle(ctx context.Context, ids []string) error {
	for range m.c.r.cfg.Tuning.Rounds {
		var passed []string
		for len(ids) > 0 {
			answered, again, err := m.fetch(ctx, ids)
			if err != nil {
				return err
			}
			ids, passed = ids[answered:], append(passed, again...)
		}
		if ids = passed; len(ids) == 0 {
			return nil
		}
	}
	m.note(false)
	return nil
}

// fetch asks for entities and applies the answer. It returns how many of them, from the first, it was for, and which of these are to be
// fetched again.
func (m *mending) fetch(ctx context.Context, ids []string) (answered int, again []string, err error) {
	answer, q, err := m.ask(ctx, ids)
	if err != nil {
		return 0, nil, err
	}
	states, err := checkFetch(ids, answer)
	if err != nil {
		return 0, nil, err
	}
	answered = int(answer.GetAnswered())
	for _, id := range ids[:answered] {
		state, ok := states[id]
		if !ok {
			if err := m.remove(ctx, id, q); err != nil {
				return 0, nil, err
			}
			continue
		}
		passed, err := m.apply(ctx, state, q)
		if err != nil {
			return 0, nil, err
		}
		if passed {
			again = append(again, id)
		}
	}
	return answered, again, nil
}

// apply applies a state, and tells whether the region had passed it.
func (m *mending) apply(ctx context.Context, state *replicationv1.State, q ident.Version) (passed bool, err error) {
	switch err := m.c.r.cfg.Target.ApplyState(ctx, m.c.stream, state, "", q); {
	case errors.Is(err, replication.ErrRefused):
		m.note(false)
		return false, nil
	case err != nil:
		return false, fmt.Errorf("applying what the home has: %w", err)
	}
	here, err := m.c.copy(ctx, state.GetId())
	if err != nil {
		return false, err
	}
	version := ident.Version{Epoch: ident.Epoch(state.GetEpoch()), Seq: ident.Seq(state.GetSeq())}
	if here == nil || here.version.Compare(version) < 0 || here.version == version && !here.withheld && here.scope != state.GetScope() {
		return true, nil
	}
	m.note(true)
	return false, nil
}

// ask fetches from the home. Several fetches of a lane may be under way.
func (m *mending) ask(ctx context.Context, ids []string) (*peerv1.FetchResponse, ident.Version, error) {
	m.mu.Lock()
	err := m.c.spend()
	m.mu.Unlock()
	if err != nil {
		return nil, ident.Version{}, err
	}
	answer, err := m.c.home.Fetch(ctx, &peerv1.FetchRequest{Stream: m.c.stream, Ids: ids})
	if err != nil {
		return nil, ident.Version{}, fmt.Errorf("fetching from the home: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.c.result.Bytes += uint64(proto.Size(answer)) //nolint:gosec // a size is not negative
	q, err := m.c.position(answer.GetEpoch(), answer.GetSeq())
	return answer, q, err
}

// finish settles what is left and notes that the lane is complete.
func (m *mending) finish(ctx context.Context) error {
	if err := m.flush(ctx, 1); err != nil {
		return err
	}
	if m.waiting {
		return ErrUnfinished
	}
	if err := m.c.r.cfg.Target.Complete(ctx, m.c.stream, m.c.result.Q); err != nil {
		return fmt.Errorf("noting that the lane is complete: %w", err)
	}
	return nil
}
