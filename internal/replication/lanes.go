package replication

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
)

// source is what is known of another region as a source of events.
type source struct {
	applied, violations uint64
	parked              int
	// counted is when parked was counted in the tables.
	counted   time.Time
	lag       time.Duration
	at        time.Time
	sentUntil time.Time
	// beats are the last heartbeats, in the order in which the queue got them.
	beats []heartbeat
}

// heartbeat says that everything committed before until was in the region's queues when the heartbeat was sent to one of them.
type heartbeat struct{ sent, until time.Time }

// maxBeats is how many heartbeats of a source are remembered: Fresh is known while no message is in the queues for longer than that many.
const maxBeats = 64

// freshBy returns the newest time before which everything is not only sent but received, when oldest is the oldest message that is
// still in a queue.
func (s *source) freshBy(oldest time.Time) time.Time {
	for _, b := range slices.Backward(s.beats) {
		if oldest.IsZero() || b.sent.Before(oldest) {
			return b.until
		}
	}
	return time.Time{}
}

// note remembers a heartbeat.
func (s *source) note(b heartbeat) {
	at, _ := slices.BinarySearchFunc(s.beats, b, func(x, y heartbeat) int { return x.sent.Compare(y.sent) })
	s.beats = slices.Insert(s.beats, at, b)
	s.beats = s.beats[max(0, len(s.beats)-maxBeats):]
}

// laneState is a stream that is behind, has a gap, or has not shown what a heartbeat spoke of.
type laneState struct {
	version ident.Version
	behind  bool
	gap     bool
	since   time.Time
	// reached is the position that a heartbeat spoke of and that is not applied yet, and fresh until when the lane is.
	reached ident.Version
	fresh   time.Time
}

// lock returns the lock of a stream. Queues keep the events of a stream from being applied at the same time; repairs and the park
// do not go through queues.
func (a *Applier) lock(id streamID) *sync.Mutex {
	return &a.locks[maphash.Comparable(a.seed, id)%uint64(len(a.locks))]
}

// source returns the entry of a source; a.mu is held. Only regions of the topology have one.
func (a *Applier) source(id ident.RegionID) *source {
	s, ok := a.sources[id]
	if !ok {
		s = &source{}
		if _, known := a.cfg.Topology.Index(id); known {
			a.sources[id] = s
		}
	}
	return s
}

// took does what follows from a transaction that was committed.
func (a *Applier) took(ctx context.Context, t *txn, fx *effects) {
	now := a.cfg.Clock()
	moved := t.mark.exists && (t.before == nil || t.beforeAt != t.mark.version)
	a.mu.Lock()
	s := a.source(t.stream.origin)
	s.applied += uint64(fx.applied) //nolint:gosec // not negative
	s.violations += uint64(len(fx.violations))
	s.parked = max(0, s.parked+fx.parked-fx.unparked)
	if !fx.newest.IsZero() {
		s.lag, s.at = max(0, now.Sub(fx.newest)), now
	}
	lag := s.lag
	a.noteLane(t.stream, t.mark, now)
	a.mu.Unlock()

	if fx.applied > 0 {
		a.cfg.Observer.Applied(t.stream.origin, fx.applied, lag)
	}
	for range fx.parked {
		a.cfg.Observer.Parked(t.stream.origin)
	}
	for _, v := range fx.violations {
		a.cfg.Observer.Violated(t.stream.origin)
		a.reportLater(ctx, v)
	}
	if moved {
		a.watchers.notify(t.stream.tenant)
		if t.graves {
			_ = a.sweep(ctx, t.stream) // What stays is harmless, and goes with the next gap.
		}
	}
}

// noteLane keeps what is to be known of a lane that is not simply applied; a.mu is held.
func (a *Applier) noteLane(id streamID, m *mark, now time.Time) {
	if !m.exists {
		return
	}
	l := a.lanes[id]
	gap := len(m.GetAhead()) > 0 || len(m.GetPartial()) > 0
	open := l != nil && m.version.Compare(l.reached) < 0
	if !m.GetBehind() && !gap && !open {
		delete(a.lanes, id)
		return
	}
	if l == nil {
		l = &laneState{since: now}
		a.lanes[id] = l
	}
	if l.version != m.version || l.gap != gap {
		l.since = now
	}
	if !open {
		l.reached = ident.Version{}
	}
	l.version, l.behind, l.gap = m.version, m.GetBehind(), gap
}

// Owed is a lane that has to be repaired.
type Owed struct {
	Stream *replicationv1.Stream
	// Behind says that the region does not answer for the lane until then; otherwise its watermark stands before a gap.
	Behind bool
}

// Owed returns the lanes that are behind or stuck, as far as this process has seen them: see Inspect and Survey. A lane that the tenant's record does
// not grant, perhaps not any more, is owed nothing: its home would refuse.
func (a *Applier) Owed() []Owed {
	now := a.cfg.Clock()
	a.mu.Lock()
	defer a.mu.Unlock()
	var owed []Owed
	for id, l := range a.lanes {
		if !a.granted(id) {
			delete(a.lanes, id) // When the grant comes back, Inspect finds the lane.
			continue
		}
		stuck := (l.gap || l.reached != ident.Version{}) && now.Sub(l.since) >= a.cfg.StuckAfter
		if l.behind || stuck {
			owed = append(owed, Owed{Stream: id.message(), Behind: l.behind})
		}
	}
	return owed
}

// granted tells whether the directory here says that the region gets a stream, from its origin.
func (a *Applier) granted(id streamID) bool {
	tenant, known := a.cfg.Directory.Tenant(id.tenant)
	origin, in := a.cfg.Topology.Index(id.origin)
	return known && in && tenant.Home == origin && GrantOf(a.cfg.Topology, tenant, a.self).Has(id.feed)
}

// Inspect reads the watermarks of a tenant, so that Owed knows of its lanes after a restart. A lane without a watermark counts as
// behind.
func (a *Applier) Inspect(ctx context.Context, tenant ident.TenantID, feed replicationv1.Feed, origin ident.RegionID) error {
	marks, err := a.marks(ctx, tenant, feed, origin)
	if err != nil {
		return err
	}
	for lane, m := range marks {
		a.noteRead(streamID{tenant: tenant, feed: feed, origin: origin, lane: ident.Lane(lane)}, m)
	}
	return nil
}

// Source says how far what came from a source is behind.
type Source struct {
	Region ident.RegionID
	// Applied is how many events were applied since the start, Violations how many were refused; Parked is how many wait.
	Applied, Violations uint64
	Parked              int
	// Lag is how long before its application the last applied write was committed, by the source's clock; At is when that was.
	Lag time.Duration
	At  time.Time
	// SentUntil is the time before which the source has sent everything, by its own word and clock; zero: not known.
	SentUntil time.Time
}

// Status returns what came from each other region since the start.
func (a *Applier) Status() []Source {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]Source, 0, a.cfg.Topology.Len())
	for _, i := range a.cfg.Topology.Regions() {
		if i == a.self {
			continue
		}
		s := a.sources[a.cfg.Topology.ID(i)]
		if s == nil {
			s = &source{}
		}
		all = append(all, Source{
			Region: a.cfg.Topology.ID(i), Applied: s.applied, Violations: s.violations, Parked: s.parked, Lag: s.lag, At: s.at, SentUntil: s.sentUntil,
		})
	}
	return all
}

// parkedNow sets how many events of each source are parked.
func (a *Applier) parkedNow(counts map[ident.RegionID]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sources {
		s.parked = 0
	}
	for id, n := range counts {
		if n > 0 {
			a.source(id).parked = n
		}
	}
}

// violation says which event was refused, by ids alone.
func (a *Applier) violation(e *replicationv1.Event) *replicationv1.Violation {
	return &replicationv1.Violation{
		Stream: e.GetStream(), Epoch: e.GetEpoch(), Seq: e.GetSeq(),
		Entity: e.GetState().GetEntity() + e.GetTombstone().GetEntity(), Id: e.GetState().GetId() + e.GetTombstone().GetId(),
		Destination: string(a.cfg.Region), Table: e.GetState().GetTable(),
	}
}

// maxReports is how many reports of violations may be under way; reportTimeout is how long one may take.
const (
	maxReports    = 4
	reportTimeout = 10 * time.Second
)

// reportLater reports without waiting for it, so that a source that does not answer holds up nobody. What is too much is left out.
func (a *Applier) reportLater(ctx context.Context, v *replicationv1.Violation) {
	if a.cfg.Sender == nil {
		return
	}
	select {
	case a.reporting <- struct{}{}:
	default:
		return
	}
	a.cfg.Background(func() {
		defer func() { <-a.reporting }()
		ctx, cancel := context.WithTimeout(ctx, reportTimeout)
		defer cancel()
		a.report(ctx, v)
	})
}

// report tells the source of a violation. It is tried once: the metric of this region tells of it too.
func (a *Applier) report(ctx context.Context, v *replicationv1.Violation) {
	body, err := encode(&replicationv1.Envelope{Content: &replicationv1.Envelope_Violation{Violation: v}})
	if err != nil {
		return
	}
	group := groupOfRegion("violation", a.cfg.Region)
	at := &replicationv1.Event{Epoch: v.GetEpoch(), Seq: v.GetSeq()}
	name := deduplication(group, GroupOf(v.GetStream()), at)
	_, _ = a.cfg.Sender.Send(ctx, ident.RegionID(v.GetStream().GetOrigin()), QueueEvents, []queue.Outgoing{{
		Group: group, Deduplication: name, Body: body,
	}})
}

// nobody is the Observer that does nothing.
type nobody struct{}

func (nobody) Applied(ident.RegionID, int, time.Duration)        {}
func (nobody) Violated(ident.RegionID)                           {}
func (nobody) Parked(ident.RegionID)                             {}
func (nobody) Reported(ident.RegionID, *replicationv1.Violation) {}

// heard takes in a source's heartbeat: it is fresh here as of its time once the positions that it has are applied.
func (a *Applier) heard(ctx context.Context, beat *replicationv1.Heartbeat, sent time.Time) error {
	missing := make(map[streamID]*mark)
	at := make(map[streamID]ident.Version)
	for _, r := range beat.GetReached() {
		if !addressable(r.GetStream()) || r.GetStream().GetOrigin() != beat.GetSource() {
			continue
		}
		id := idOf(r.GetStream())
		if !a.granted(id) {
			continue // Nothing of it is answered here, and nothing kept of what anybody may claim to have sent.
		}
		m, err := readMark(ctx, a.table(id.feed), watermarkKey(id))
		if err != nil {
			return err
		}
		at[id] = ident.Version{Epoch: ident.Epoch(r.GetEpoch()), Seq: ident.Seq(r.GetSeq())}
		if !m.exists || m.version.Compare(at[id]) < 0 {
			missing[id] = m
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.source(ident.RegionID(beat.GetSource()))
	for id, m := range missing {
		l, ok := a.lanes[id]
		if !ok {
			l = &laneState{since: a.cfg.Clock(), version: m.version, behind: m.GetBehind()}
			a.lanes[id] = l
		}
		if l.reached == (ident.Version{}) {
			l.fresh = s.sentUntil
		}
		if l.reached.Compare(at[id]) < 0 {
			l.reached = at[id]
		}
	}
	if beat.GetSentUntil() != nil {
		until := beat.GetSentUntil().AsTime()
		if until.After(s.sentUntil) {
			s.sentUntil = until
		}
		if _, known := a.cfg.Topology.Index(ident.RegionID(beat.GetSource())); known {
			s.note(heartbeat{sent, until})
		}
	}
	return nil
}

// Fresh returns a time, by the source's clock, before which everything that the source committed for a tenant is applied here; false
// when that is not known.
func (a *Applier) Fresh(ctx context.Context, tenant ident.TenantID, feed replicationv1.Feed, origin ident.RegionID) (time.Time, bool, error) {
	if a.cfg.Shared {
		return a.freshStored(ctx, tenant, feed, origin)
	}
	fresh, err := a.received(ctx, origin)
	if err != nil {
		return time.Time{}, false, err
	}
	for lane := range ident.Lane(ident.Lanes) {
		id := streamID{tenant: tenant, feed: feed, origin: origin, lane: lane}
		m, err := readMark(ctx, a.table(feed), watermarkKey(id))
		if err != nil {
			return time.Time{}, false, err
		}
		if !m.exists || m.GetBehind() {
			return time.Time{}, false, nil
		}
		a.mu.Lock()
		a.noteLane(id, m, a.cfg.Clock())
		l := a.lanes[id]
		switch {
		case l == nil:
		case l.reached != ident.Version{}:
			fresh = earlier(fresh, l.fresh)
		case l.gap:
			fresh = time.Time{}
		}
		a.mu.Unlock()
	}
	return fresh, !fresh.IsZero(), nil
}

// received is a time before which everything that the source committed has been received here.
func (a *Applier) received(ctx context.Context, origin ident.RegionID) (time.Time, error) {
	var oldest time.Time
	if a.cfg.Oldest != nil {
		var err error
		if oldest, err = a.cfg.Oldest(ctx); err != nil {
			return time.Time{}, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.source(origin)
	if a.cfg.Oldest == nil {
		return s.sentUntil, nil
	}
	return s.freshBy(oldest), nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
