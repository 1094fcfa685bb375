package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/queue"
)

// status is what an operator sees of it.
func (s *synchronisation) status(ctx context.Context) (*operationsv1.RegionSync, error) {
	now := s.clock()
	out := &operationsv1.RegionSync{Region: string(s.region.id)}
	for _, d := range s.relay.Status() {
		o := &operationsv1.Outbound{
			Destination: string(d.Region), Events: d.Events, OldestSeconds: secondsSince(now, d.Oldest),
			LanesLost: uint64(d.Lost), //nolint:gosec // not negative
		}
		if d.Failure != nil {
			o.Failure = failureLabel(d.Failure)
		}
		out.Outbound = append(out.Outbound, o)
	}
	waiting := s.waitingBySource()
	for _, src := range s.applier.Status() {
		out.Inbound = append(out.Inbound, &operationsv1.Inbound{
			Source: string(src.Region), Events: waiting[src.Region] + uint64(src.Parked), //nolint:gosec // not negative
			LagSeconds: src.Lag.Seconds(), Violations: src.Violations,
		})
	}
	for _, q := range s.queues {
		state, err := queueState(ctx, now, q)
		if err != nil {
			return nil, err
		}
		out.Queues = append(out.Queues, state)
	}
	for _, owed := range s.applier.Owed() {
		if owed.Behind {
			out.LanesBehind++
		}
	}
	s.region.settings.status(now, out)
	return out, nil
}

// failureLabel says of a failure what it was about, without anything of the other side's.
func failureLabel(err error) string {
	switch {
	case errors.Is(err, peer.ErrUnreachable):
		return "not reached"
	case errors.Is(err, queue.ErrFull):
		return "no space left there"
	default:
		return "refused"
	}
}

// waitingBySource counts the messages in the region's queues by who sent them.
func (s *synchronisation) waitingBySource() map[ident.RegionID]uint64 {
	counts := make(map[ident.RegionID]uint64)
	for _, q := range s.queues {
		if q.Waiting == nil {
			continue
		}
		for sender, n := range q.Waiting() {
			counts[ident.RegionID(sender)] += uint64(n) //nolint:gosec // not negative
		}
	}
	return counts
}

func queueState(ctx context.Context, now time.Time, q Queue) (*operationsv1.QueueState, error) {
	depth, err := q.Queue.Depth(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading how full %s is: %w", q.Name, err)
	}
	dead, err := q.Dead.Depth(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading how full the dead letters of %s are: %w", q.Name, err)
	}
	return &operationsv1.QueueState{
		Name: q.Name, OldestSeconds: secondsSince(now, depth.Oldest),
		Waiting: uint64(depth.Waiting), InFlight: uint64(depth.InFlight), //nolint:gosec // not negative
		DeadLetters: uint64(dead.Waiting + dead.InFlight), //nolint:gosec // not negative
	}, nil
}
