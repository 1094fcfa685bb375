package replication

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
)

// RelayConfig is what a Relay needs.
type RelayConfig struct {
	// Region is the region whose tenants are told of.
	Region ident.RegionID
	// Topology has the destinations: every other region.
	Topology *topology.Topology
	// Table is the region's regional table.
	Table store.Store
	// Maker makes the events.
	Maker *Maker
	// Sender reaches the destinations' queues.
	Sender Sender
	// Tenants is the directory.
	Tenants Tenants
	// Clock gives the time of marks and heartbeats, and Jitter numbers from 0 to 1, e.g. of math/rand/v2.Float64.
	Clock  func() time.Time
	Jitter func() float64
	// Rand is a source of randomness, to name this process's sendings.
	Rand io.Reader
	// Tuning bounds the work; the zero value has good defaults.
	Tuning RelayTuning
}

// RelayTuning bounds a relay's work. A zero field means its default.
type RelayTuning struct {
	// Parallel is how many lanes are sent to a destination at a time. Default 16.
	Parallel int
	// Page is how many outbox records are read and sent between two moves of a cursor. Default 100.
	Page int
	// MaxBacklog is how many records of a lane wait for a destination before it is marked lost. Default 100,000.
	MaxBacklog uint64
	// Heartbeat is the time between two heartbeats to a destination. Default 1 s.
	Heartbeat time.Duration
	// FeedDelay is how late the store's change feed may tell of a commit. Heartbeats speak of what is older. Default 1 s.
	FeedDelay time.Duration
	// SweepInterval is how often outboxes are pruned. Default 5 s.
	SweepInterval time.Duration
	// HandleFor is how long Handle sends before it puts aside what is left, and SweepFor how long Sweep takes up new work. Default 20 s and
	// 30 s, for functions that have a minute.
	HandleFor, SweepFor time.Duration
	// SweepTenants is how many tenants Sweep looks at in a run. Default 200.
	SweepTenants int
}

func (t RelayTuning) withDefaults() RelayTuning {
	t.Parallel = orDefault(t.Parallel, 16)
	t.Page = min(orDefault(t.Page, 100), store.MaxPage)
	t.MaxBacklog = orDefault(t.MaxBacklog, 100_000)
	t.Heartbeat = orDefault(t.Heartbeat, time.Second)
	t.FeedDelay = orDefault(t.FeedDelay, time.Second)
	t.SweepInterval = orDefault(t.SweepInterval, 5*time.Second)
	t.HandleFor = orDefault(t.HandleFor, 20*time.Second)
	t.SweepFor = orDefault(t.SweepFor, 30*time.Second)
	t.SweepTenants = orDefault(t.SweepTenants, 200)
	return t
}

func orDefault[T int | uint64 | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// Relay tells other regions what the tenants at home in this one wrote. All methods are safe for concurrent use.
type Relay struct {
	cfg          RelayConfig
	jurisdiction ident.Jurisdiction
	self         topology.Index
	to           []*destination
	// process and incarnations name this process's sendings, see deduplication.
	process      string
	incarnations atomic.Uint64

	mu sync.Mutex
	// prunable are the lanes of which something was sent since they were pruned last.
	prunable map[laneOf]struct{}
	// toScan are the tenants to be looked at; all says that every tenant is, allNow that they are being looked at, and scanning since
	// when there are some.
	toScan   map[ident.TenantID]struct{}
	all      bool
	allNow   bool
	scanning time.Time
	scanBell chan struct{}
	// pruned are where lanes stood of tenants whose outboxes Sweep has found empty, to leave those alone that were idle since.
	pruned map[ident.TenantID][ident.Lanes]ident.Seq
}

// laneOf names a lane of a tenant.
type laneOf struct {
	tenant ident.TenantID
	lane   ident.Lane
}

// destination is another region.
type destination struct {
	index topology.Index
	id    ident.RegionID
	work  *work
	// once says that this is of one batch: what is left of it is marked in the table.
	once bool

	mu sync.Mutex
	// reached are the positions that were sent since the last heartbeat.
	reached map[streamID]ident.Version
	beats   uint64
	// beginning are the tenants' feeds that are being begun, with the lanes that were left to who does it.
	beginning map[feedOf][]pair
}

// NewRelay returns the relay of a region. It does nothing until it is run or stepped; the first thing it does is to look at
// every tenant.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	if cfg.Topology == nil || cfg.Table == nil || cfg.Maker == nil || cfg.Sender == nil || cfg.Tenants == nil ||
		cfg.Clock == nil || cfg.Jitter == nil || cfg.Rand == nil {
		return nil, errors.New("replication: a relay needs all of its configuration")
	}
	self, ok := cfg.Topology.Index(cfg.Region)
	if !ok {
		return nil, fmt.Errorf("replication: region %q is not in the topology", cfg.Region)
	}
	cfg.Tuning = cfg.Tuning.withDefaults()
	var name [6]byte
	if _, err := io.ReadFull(cfg.Rand, name[:]); err != nil {
		return nil, fmt.Errorf("naming the relay: %w", err)
	}
	r := &Relay{
		cfg: cfg, self: self, jurisdiction: cfg.Topology.Jurisdiction(self), process: hex.EncodeToString(name[:]),
		prunable: make(map[laneOf]struct{}), toScan: make(map[ident.TenantID]struct{}), all: true,
		scanning: cfg.Clock(), scanBell: make(chan struct{}, 1),
	}
	for i := range topology.Index(cfg.Topology.Len()) { //nolint:gosec // at most MaxRegions
		if i != self {
			r.to = append(r.to, newDestination(i, cfg.Topology.ID(i), newWork()))
		}
	}
	return r, nil
}

func newDestination(i topology.Index, id ident.RegionID, w *work) *destination {
	return &destination{
		index: i, id: id, work: w, reached: make(map[streamID]ident.Version), beginning: make(map[feedOf][]pair),
	}
}

// incarnation is the part of deduplication ids that is new with each process, and with each grant that ended: what is sent after
// that is to be delivered again.
func (r *Relay) incarnation() string {
	return r.process + "." + strconv.FormatUint(r.incarnations.Load(), 36)
}

// tenant returns a tenant's record if it is at home here.
func (r *Relay) tenant(id ident.TenantID) (routing.Tenant, error) {
	t, ok := r.cfg.Tenants.Tenant(id)
	if !ok || t.Home != r.self {
		return routing.Tenant{}, errNoTenant
	}
	return t, nil
}

// Ring takes in a batch of the store's change feed: lanes with new outbox records are dirty. An empty batch makes it look at
// every tenant. It never fails and never blocks for long.
func (r *Relay) Ring(changes []store.Change) {
	if len(changes) == 0 {
		r.mu.Lock()
		r.all = true
		r.startScan()
		r.mu.Unlock()
		return
	}
	now := r.cfg.Clock()
	for key, head := range headsOf(changes) {
		tenant, err := r.tenant(key.tenant)
		if err != nil {
			// The directory may be behind; the tenant is looked at when it has come.
			r.Look(key.tenant)
			continue
		}
		if !r.markLane(r.to, tenant, key, head, now) {
			r.prunableLane(key)
		}
	}
}

// headsOf returns how far the lanes have come that a batch of the change feed tells of.
func headsOf(changes []store.Change) map[laneOf]ident.Seq {
	heads := make(map[laneOf]ident.Seq)
	for _, c := range changes {
		seq, ok := keyspace.ParseOutbox(c.Key.Sort)
		if !ok || c.Deleted {
			continue
		}
		if tenant, lane, ok := keyspace.ParseLane(c.Key.Partition); ok {
			key := laneOf{tenant, lane}
			heads[key] = max(heads[key], seq)
		}
	}
	return heads
}

// markLane makes a lane dirty for every destination that is granted something of its tenant, and tells whether there is one.
func (r *Relay) markLane(to []*destination, tenant routing.Tenant, key laneOf, head ident.Seq, now time.Time) (granted bool) {
	for _, d := range to {
		grant := GrantOf(r.cfg.Topology, tenant, d.index)
		for _, feed := range feeds() {
			if grant.Has(feed) {
				granted = true
				d.work.mark(pair{tenant: key.tenant, lane: key.lane, feed: feed}, head, now)
			}
		}
	}
	return granted
}

// Look makes the relay look at a tenant: its record has changed, or it was seen before its record. Grants that are new begin
// to be sent, cursors of those that ended are deleted.
func (r *Relay) Look(tenant ident.TenantID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.toScan[tenant] = struct{}{}
	r.startScan()
}

// startScan notes that a scan is owed; mu is held.
func (r *Relay) startScan() {
	if r.scanning.IsZero() {
		r.scanning = r.cfg.Clock()
	}
	select {
	case r.scanBell <- struct{}{}:
	default:
	}
}

func (r *Relay) prunableLane(key laneOf) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.prunable[key] = struct{}{}
}

// destinationOf returns the destination with an id.
func (r *Relay) destinationOf(id ident.RegionID) (*destination, bool) {
	for _, d := range r.to {
		if d.id == id {
			return d, true
		}
	}
	return nil, false
}

// stream is the stream of a pair.
func (r *Relay) stream(p pair) streamID {
	return streamID{tenant: p.tenant, feed: p.feed, origin: r.cfg.Region, lane: p.lane}
}

// Destination says how far a destination is behind.
type Destination struct {
	Region ident.RegionID
	// Events is how many positions it has not been sent, as far as is known; Oldest is when the oldest of them was committed or
	// seen, zero when there is none.
	Events uint64
	Oldest time.Time
	// Lost is how many lanes' outboxes have stopped waiting for it.
	Lost int
	// Failure is why the last attempt failed; nil when it did not.
	Failure error
}

// Status returns what every destination has not been sent.
func (r *Relay) Status() []Destination {
	all := make([]Destination, 0, len(r.to))
	for _, d := range r.to {
		s := Destination{Region: d.id}
		s.Events, s.Oldest, s.Lost, s.Failure = d.work.backlog()
		all = append(all, s)
	}
	return all
}
