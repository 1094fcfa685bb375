package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/replication"
)

// mending settles the differences of a comparison.
type mending struct {
	c *comparison
	// began is what the Target said when the repair began.
	began uint64
	// wanted are the ids to fetch, gone those to remove as of position q.
	wanted, gone []string
	q            ident.Version

	mu sync.Mutex
	// waiting says that an entity could not be settled now.
	waiting bool
}

// take notes a difference, to be settled with others.
func (m *mending) take(ctx context.Context, d Difference) error {
	if d.Kind != Surplus {
		m.wanted = append(m.wanted, d.ID)
		return nil
	}
	if len(m.gone) == maxFetch || m.q != d.q {
		if err := m.remove(ctx); err != nil {
			return err
		}
	}
	m.gone, m.q = append(m.gone, d.ID), d.q
	return nil
}

// remove removes what the home does not have.
func (m *mending) remove(ctx context.Context) error {
	if len(m.gone) == 0 {
		return nil
	}
	changes := make([]replication.Change, 0, len(m.gone))
	for _, id := range m.gone {
		changes = append(changes, replication.Change{Gone: id})
	}
	m.gone = nil
	fates, err := m.c.r.cfg.Target.ApplyStates(ctx, m.c.stream, changes, m.q)
	if err != nil {
		return fmt.Errorf("removing what the home does not have: %w", err)
	}
	for _, fate := range fates {
		m.note(fate == replication.Settled)
	}
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
	found, err := checkFetch(ids, answer)
	if err != nil {
		return 0, nil, err
	}
	answered = int(answer.GetAnswered())
	changes, changed := make([]replication.Change, 0, answered), make([]string, 0, answered)
	for _, id := range ids[:answered] {
		change, there := found[id]
		switch {
		case !there && isRecord(id):
			m.note(true) // It has expired at home.
			continue
		case !there:
			change.Gone = id
		}
		changes, changed = append(changes, change), append(changed, id)
	}
	fates, err := m.c.r.cfg.Target.ApplyStates(ctx, m.c.stream, changes, q)
	if err != nil {
		return 0, nil, fmt.Errorf("applying what the home has: %w", err)
	}
	for i, fate := range fates {
		if fate == replication.Passed {
			again = append(again, changed[i])
		} else {
			m.note(fate == replication.Settled)
		}
	}
	return answered, again, nil
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
	if err := m.remove(ctx); err != nil {
		return err
	}
	if err := m.flush(ctx, 1); err != nil {
		return err
	}
	if m.waiting {
		return ErrUnfinished
	}
	switch err := m.c.r.cfg.Target.Complete(ctx, m.c.stream, m.c.result.Q, m.began); {
	case errors.Is(err, replication.ErrRefused):
		return ErrUnfinished
	case err != nil:
		return fmt.Errorf("noting that the lane is complete: %w", err)
	}
	return nil
}
