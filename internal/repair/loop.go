package repair

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/topology"
)

// LoopConfig is what a Loop needs.
type LoopConfig struct {
	// Reconciler does the work. Required.
	Reconciler *Reconciler
	// Owed returns the lanes that are behind or stuck; replication.Applier.Owed is one. Required.
	Owed func() []replication.Owed
	// Jitter gives numbers from 0 to 1, e.g. math/rand/v2.Float64. Required.
	Jitter func() float64
	// Observer is told what was done; nil: nobody.
	Observer Observer
	// Look is how often Owed is asked. Default 1 s.
	Look time.Duration
	// Interval is the time in which every lane is verified once; default 10 min, and less than zero: never.
	Interval time.Duration
	// Longest is the longest pause after failures of a home, on average half of that. Default 1 min.
	Longest time.Duration
}

// Observer is told what a Loop does. Its methods are called by several goroutines and must be quick.
type Observer interface {
	// Verified says that a lane was verified on schedule, or why it could not be.
	Verified(s *replicationv1.Stream, result Result, err error)
	// Repaired says that a lane was repaired, or why it could not be.
	Repaired(s *replicationv1.Stream, result Result, err error)
}

// Loop repairs lanes as they are found to need it, and verifies all on a schedule. Each home has loops of its own, so that one that
// does not answer delays no other's repairs.
type Loop struct {
	cfg LoopConfig
}

// NewLoop returns the loop of a region.
func NewLoop(cfg LoopConfig) (*Loop, error) {
	if cfg.Reconciler == nil || cfg.Owed == nil || cfg.Jitter == nil {
		return nil, errors.New("repair: Reconciler, Owed and Jitter are required")
	}
	for _, d := range []struct {
		value *time.Duration
		other time.Duration
	}{{&cfg.Look, time.Second}, {&cfg.Longest, time.Minute}} {
		if *d.value <= 0 {
			*d.value = d.other
		}
	}
	if cfg.Interval == 0 {
		cfg.Interval = 10 * time.Minute
	}
	return &Loop{cfg: cfg}, nil
}

// Run repairs and verifies until ctx ends, whose error it then returns.
func (l *Loop) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, home := range l.cfg.Reconciler.cfg.Topology.Regions() {
		if home == l.cfg.Reconciler.self {
			continue
		}
		group.Go(func() error { return l.mend(ctx, home) })
		if l.cfg.Interval > 0 {
			group.Go(func() error { return l.verify(ctx, home) })
		}
	}
	return group.Wait() //nolint:wrapcheck // it is ctx's
}

// mend repairs what a home's copies owe.
func (l *Loop) mend(ctx context.Context, home topology.Index) error {
	failures := 0
	for {
		if err := rest(ctx, l.pause(failures)); err != nil {
			return err
		}
		if err := l.Step(ctx, l.cfg.Reconciler.cfg.Topology.ID(home)); err != nil {
			failures++
		} else {
			failures = 0
		}
	}
}

// pause is how long to rest after so many failures in a row: a random part of what doubles with each.
func (l *Loop) pause(failures int) time.Duration {
	if failures == 0 {
		return l.cfg.Look
	}
	longest := min(l.cfg.Longest, l.cfg.Look<<min(failures, 16))
	return max(l.cfg.Look, time.Duration(l.cfg.Jitter()*float64(longest)))
}

// Step repairs once all lanes of a home that are owed it now. When one fails, those that were not begun are left for the next time; it
// returns the first failure.
func (l *Loop) Step(ctx context.Context, home ident.RegionID) error {
	work := newCrew(l.cfg.Reconciler.cfg.Tuning.Lanes)
	var silent atomic.Bool
	for _, owed := range l.cfg.Owed() {
		if owed.Stream.GetOrigin() != string(home) {
			continue
		}
		if silent.Load() || ctx.Err() != nil {
			break
		}
		work.do(func() error {
			err := l.repair(ctx, owed.Stream)
			if err != nil && !local(err) {
				silent.Store(true)
			}
			return err
		})
	}
	return work.wait()
}

// local tells whether a failure is the lane's own, and says nothing about the home.
func local(err error) bool { return errors.Is(err, ErrUnfinished) || errors.Is(err, ErrNotHome) }

func (l *Loop) repair(ctx context.Context, s *replicationv1.Stream) error {
	result, err := l.cfg.Reconciler.Repair(ctx, s)
	if l.cfg.Observer != nil {
		l.cfg.Observer.Repaired(s, result, err)
	}
	return err
}

// verify verifies a home's lanes one after the other, spread over the interval.
func (l *Loop) verify(ctx context.Context, home topology.Index) error {
	// The first time begins somewhere in the interval, so that regions that start together do not ask together.
	wait := time.Duration(l.cfg.Jitter() * float64(l.cfg.Interval))
	for {
		if err := rest(ctx, wait); err != nil {
			return err
		}
		var streams []*replicationv1.Stream
		err := l.cfg.Reconciler.streamsAt(ctx, home, func(s *replicationv1.Stream) error {
			streams = append(streams, s)
			return nil
		})
		wait = l.cfg.Interval
		if err != nil || len(streams) == 0 {
			continue
		}
		wait /= time.Duration(len(streams))
		if err := l.verifyEach(ctx, streams, wait); err != nil {
			return err
		}
	}
}

// Verify verifies a lane, as is done on schedule, and repairs it if it differs, or if the region does not answer for it as of then. Where the
// copy has what the home has, though the stream's beginning or its end was lost, nothing else would tell the region that it is complete.
func (l *Loop) Verify(ctx context.Context, s *replicationv1.Stream) error {
	result, err := l.cfg.Reconciler.Verify(ctx, s)
	if l.cfg.Observer != nil {
		l.cfg.Observer.Verified(s, result, err)
	}
	if err == nil && (result.Count > 0 || !result.Complete) {
		err = l.repair(ctx, s)
	}
	return err
}

// verifyEach verifies lanes and repairs those that need it.
func (l *Loop) verifyEach(ctx context.Context, streams []*replicationv1.Stream, wait time.Duration) error {
	failures := 0
	for i, s := range streams {
		pause := wait
		if failures > 0 {
			pause = max(wait, l.pause(failures))
		}
		if i > 0 {
			if err := rest(ctx, pause); err != nil {
				return err
			}
		}
		switch err := l.Verify(ctx, s); {
		case err == nil:
			failures = 0
		case !local(err):
			failures++
		}
	}
	return ctx.Err()
}
