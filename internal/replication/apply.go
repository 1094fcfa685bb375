package replication

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
)

// ApplierConfig is what an Applier needs.
type ApplierConfig struct {
	// Region is the region that the events are for.
	Region ident.RegionID
	// Topology has the regions.
	Topology *topology.Topology
	// Replica has the projections and what heartbeats told, and Regional the sealed copies. Where tables are Shared, one of them may be nil:
	// what needs it stays in the queue, for a process that has it.
	Replica, Regional store.Store
	// Shared says that other processes apply to the same tables, or that this one only reads what others apply: what heartbeats tell is kept
	// in the table, Watch looks at it, and removals hold for all. See also Survey.
	Shared bool
	// Revision numbers the record of a tenant that Directory has; it grows with each change of the record. Nil: where tables are Shared, each
	// process's directory is taken to be as new as any other's.
	Revision func(ident.TenantID) uint64
	// Directory is the directory as this region knows it.
	Directory Directory
	// Classes is the class table of this release.
	Classes *residency.Classes
	// Sender takes reports of violations to their sources; nil: only the Observer is told.
	Sender Sender
	// Clock is compared with commit times, to say how far the region is behind.
	Clock func() time.Time
	// Observer is told what happens; nil: nobody.
	Observer Observer
	// Settings takes the events of the settings' feed; nil: they wait in the park.
	Settings Settings
	// Oldest is when the oldest message was sent that is in any of the region's queues, in flight or not, by the queues' clock; the zero
	// time when there is none. Nil: what is in the queues is not looked at, and after a restart of either side Fresh may say too much.
	Oldest func(ctx context.Context) (time.Time, error)
	// Background runs something that nobody waits for; nil: on a goroutine of its own. Simulations run it at once.
	Background func(func())
	// StuckAfter is how long a lane's watermark may stand before a gap until a repair is owed. Default 10 s.
	StuckAfter time.Duration
}

// Settings takes what other regions wrote to multi-primary entities.
type Settings interface {
	// Take applies an event of a tenant that is known and not purged, whose origin is another region, or puts it aside durably. It is
	// to be called again, with the same or newer states, after any error; one that is ErrMalformed says that it is of no use to.
	Take(ctx context.Context, e *replicationv1.Event) error
}

// Observer is told what apply does, e.g. to count it. Its methods are called often and must be quick.
type Observer interface {
	// Applied says that events of a source were applied, the last of which was committed so long ago.
	Applied(source ident.RegionID, events int, lag time.Duration)
	// Violated says that an event of a source held what this region may not have.
	Violated(source ident.RegionID)
	// Parked says that an event of a source was put aside.
	Parked(source ident.RegionID)
	// Reported says that a destination refused an event of this region.
	Reported(destination ident.RegionID, violation *replicationv1.Violation)
}

// Applier takes in what other regions send to this one. All methods are safe for concurrent use.
type Applier struct {
	cfg  ApplierConfig
	self topology.Index
	off  safeguards

	seed  maphash.Seed
	locks [256]sync.Mutex

	watchers watchers
	reasons  reasons
	told     claims
	surveyed surveys
	// notes numbers the notes of parked events that this process puts.
	notes atomic.Uint64

	mu      sync.Mutex
	sources map[ident.RegionID]*source
	lanes   map[streamID]*laneState
	// retirements are those of tenants with the same hash.
	retirements [256]retirement
	// reporting are the reports of violations that are under way.
	reporting chan struct{}
}

// NewApplier returns the applier of a region.
func NewApplier(cfg ApplierConfig) (*Applier, error) {
	if cfg.Topology == nil || cfg.Directory == nil || cfg.Classes == nil || cfg.Clock == nil {
		return nil, errors.New("replication: an applier needs Topology, Directory, Classes and Clock")
	}
	if cfg.Replica == nil && cfg.Regional == nil || !cfg.Shared && (cfg.Replica == nil || cfg.Regional == nil) {
		return nil, errors.New("replication: an applier needs both tables, or one where they are shared")
	}
	self, ok := cfg.Topology.Index(cfg.Region)
	if !ok {
		return nil, fmt.Errorf("replication: region %q is not in the topology", cfg.Region)
	}
	cfg.StuckAfter = orDefault(cfg.StuckAfter, 10*time.Second)
	if cfg.Observer == nil {
		cfg.Observer = nobody{}
	}
	if cfg.Background == nil {
		cfg.Background = func(f func()) { go f() }
	}
	return &Applier{
		cfg: cfg, self: self, seed: maphash.MakeSeed(),
		sources: make(map[ident.RegionID]*source), lanes: make(map[streamID]*laneState),
		reporting: make(chan struct{}, maxReports),
	}, nil
}

// Outcome is what is to be done with a message.
type Outcome uint8

// The outcomes.
const (
	// Again leaves it in the queue: it could not be applied now.
	Again Outcome = iota
	// Done deletes it.
	Done
	// Poison leaves it in the queue too, to become a dead letter: it makes no sense.
	Poison
)

// Verdict is what became of a message. Err says why it is not Done; it has no content.
type Verdict struct {
	Outcome Outcome
	Err     error
}

// input is an event to be applied, from a message or from the park.
type input struct {
	event *replicationv1.Event
	// parked is where it was parked; nil when it comes from a message.
	parked *store.Key
	// index is that of its message.
	index int
}

// Apply applies the messages of one reception, in their order, those of a stream in one transaction where they fit. It returns a
// verdict for each.
func (a *Applier) Apply(ctx context.Context, messages []queue.Message) []Verdict {
	verdicts := make([]Verdict, len(messages))
	streams := make(map[streamID][]input)
	var order []streamID
	for i, m := range messages {
		var envelope replicationv1.Envelope
		if err := proto.Unmarshal(m.Body, &envelope); err != nil {
			verdicts[i] = Verdict{Poison, ErrMalformed} // The parser's own words could show content.
			continue
		}
		switch content := envelope.GetContent().(type) {
		case *replicationv1.Envelope_Event:
			if !addressable(content.Event.GetStream()) {
				verdicts[i] = Verdict{Poison, ErrMalformed}
				continue
			}
			id := idOf(content.Event.GetStream())
			if _, known := streams[id]; !known {
				order = append(order, id)
			}
			streams[id] = append(streams[id], input{event: content.Event, index: i})
		case *replicationv1.Envelope_Heartbeat:
			verdicts[i] = Verdict{Outcome: Done}
			if err := a.beat(ctx, content.Heartbeat, m.Sent); err != nil {
				verdicts[i] = Verdict{Again, err}
			}
		case *replicationv1.Envelope_Violation:
			a.cfg.Observer.Reported(ident.RegionID(content.Violation.GetDestination()), content.Violation)
			verdicts[i] = Verdict{Outcome: Done}
		default:
			verdicts[i] = Verdict{Poison, ErrMalformed}
		}
	}
	for _, id := range order {
		a.stream(ctx, id, streams[id], func(i int, v Verdict) { verdicts[streams[id][i].index] = v })
	}
	return verdicts
}

// beat takes in a heartbeat. Where tables are shared, only what is told of where lanes stood is kept, since only that holds whoever receives it
// and whatever became of what was sent before.
func (a *Applier) beat(ctx context.Context, beat *replicationv1.Heartbeat, sent time.Time) error {
	if a.cfg.Shared {
		return a.keep(ctx, ident.RegionID(beat.GetSource()), beat.GetStandings())
	}
	return a.heard(ctx, beat, sent)
}

// addressable tells whether a stream has a name that keys can be made of.
func addressable(s *replicationv1.Stream) bool {
	return s.GetTenant() != "" && len(s.GetTenant()) <= 64 && s.GetOrigin() != "" && len(s.GetOrigin()) <= 64 && s.GetLane() < ident.Lanes
}

// attempts is how often a transaction is made anew when what it is about has changed meanwhile.
const attempts = 8

// stream applies events of one stream and tells the verdict of each.
func (a *Applier) stream(ctx context.Context, id streamID, inputs []input, tell func(int, Verdict)) {
	lock := a.lock(id)
	lock.Lock()
	defer lock.Unlock()
	for done := 0; done < len(inputs); {
		var verdicts []Verdict
		var err error
		for attempt := range attempts {
			verdicts, err = a.chunk(ctx, id, inputs[done:], attempt > 0)
			if _, changed := errors.AsType[*store.ConditionError](err); !changed {
				break
			}
		}
		if err != nil {
			for i := done; i < len(inputs); i++ {
				tell(i, Verdict{Again, err})
			}
			return
		}
		for i, v := range verdicts {
			tell(done+i, v)
		}
		done += len(verdicts)
	}
}

// chunk applies as many events as fit a transaction and returns their verdicts. When it fails, nothing was applied.
func (a *Applier) chunk(ctx context.Context, id streamID, inputs []input, again bool) ([]Verdict, error) {
	t, err := a.begin(ctx, id, again)
	if err != nil {
		return nil, err
	}
	var verdicts []Verdict
	var effects effects
	for _, in := range inputs {
		if t.full() {
			break
		}
		v, err := a.input(ctx, t, in, &effects)
		if err != nil {
			return nil, err
		}
		verdicts = append(verdicts, v)
	}
	if err := t.commit(ctx); err != nil {
		return nil, err
	}
	a.took(ctx, t, &effects)
	return verdicts, nil
}

// effects are what is to be told after a transaction.
type effects struct {
	applied, parked, unparked int
	newest                    time.Time
	violations                []*replicationv1.Violation
}

// took counts an event that was applied.
func (fx *effects) took(e *replicationv1.Event) {
	fx.applied++
	if e.GetCommitTime() != nil {
		fx.newest = e.GetCommitTime().AsTime()
	}
}

// input puts what an event does into a transaction.
func (a *Applier) input(ctx context.Context, t *txn, in input, fx *effects) (Verdict, error) {
	e := in.event
	judged, tenant := a.judge(e)
	if judged == park {
		return Verdict{Outcome: Done}, a.putAside(ctx, t, in, fx)
	}
	if judged == hand {
		if v := a.hand(ctx, in); v.Outcome != Done {
			return v, nil
		}
		fx.took(e)
	}
	if in.parked != nil {
		t.del(*in.parked)
		fx.unparked++
	}
	var err error
	switch judged {
	case poison:
		if in.parked == nil {
			return Verdict{Poison, ErrMalformed}, nil
		}
	case take, takeWithheld:
		err = a.event(ctx, t, e, judged)
		fx.took(e)
	case unlawful:
		fx.violations = append(fx.violations, a.violation(e))
		err = a.refuse(ctx, t, e, GrantOf(a.cfg.Topology, tenant, a.self).Has(t.stream.feed))
	case ungranted:
		// The record may be about to grant it: then it is fetched, by the repair that is owed from here on.
		fx.violations = append(fx.violations, a.violation(e))
		if at := position(e); t.mark.exists && !t.mark.stale(at) {
			t.mark.enter(at)
			t.mark.owe(at) // The stream's beginning owes no more than to have been opened: of an empty lane no repair is as of 1.
		}
	case impostor:
		fx.violations = append(fx.violations, a.violation(e))
	case forget, park, hand:
	}
	return Verdict{Outcome: Done}, err
}

// hand gives an event to who keeps the settings.
func (a *Applier) hand(ctx context.Context, in input) Verdict {
	switch err := a.cfg.Settings.Take(ctx, in.event); {
	case err == nil:
		return Verdict{Outcome: Done}
	case errors.Is(err, ErrMalformed) && in.parked != nil:
		return Verdict{Outcome: Done} // There is no queue to go back to.
	case errors.Is(err, ErrMalformed):
		return Verdict{Poison, err}
	default:
		return Verdict{Again, err}
	}
}

// refuse counts an unlawful event as applied. Reads of what it is about go home, if the region answers for any of it.
func (a *Applier) refuse(ctx context.Context, t *txn, e *replicationv1.Event, granted bool) error {
	at := position(e)
	if !granted || t.mark.stale(at) {
		return nil
	}
	t.mark.enter(at)
	if state := e.GetState(); state != nil && t.stream.feed == replicationv1.Feed_FEED_PROJECTIONS {
		if err := a.state(ctx, t, state, at, unlawful); err != nil {
			return err
		}
		a.shown(t, state)
	}
	t.mark.add(at.Seq, e.GetPart(), e.GetParts(), !a.off.gap)
	return nil
}

// table is where a feed's items lie; nil when this process does not have it.
func (a *Applier) table(feed replicationv1.Feed) store.Store {
	if feed == replicationv1.Feed_FEED_STANDBY {
		return a.cfg.Regional
	}
	return a.cfg.Replica
}

// watermarkKey is where the watermark of a stream lies.
func watermarkKey(s streamID) store.Key {
	return keyspace.Watermark(s.tenant, s.lane, s.feed, s.origin)
}
