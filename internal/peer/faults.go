package peer

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
)

// hundred is all of what a percentage is of.
const hundred = 100

// route is a direction between two regions.
type route struct{ source, destination ident.RegionID }

// Disturbance is how messages from Source to Destination fare, calls of clients apart. An empty region stands for all; of
// several that fit, the most specific counts, the source before the destination. Percentages are of 100.
type Disturbance struct {
	Source, Destination ident.RegionID
	// Lag is how much later messages arrive than the distance makes them.
	Lag time.Duration
	// Duplicate is how many messages arrive twice.
	Duplicate int
	// Reorder is how many messages arrive after a later one of the same direction: their callers have given them up by then.
	Reorder int
	// Drop is how many messages never arrive. A call is a message, and so is its answer.
	Drop int
}

func (d Disturbance) none() bool {
	return d.Lag <= 0 && d.Duplicate <= 0 && d.Reorder <= 0 && d.Drop <= 0
}

// String says it in words, the regions apart.
func (d Disturbance) String() string {
	var parts []string
	if d.Lag > 0 {
		parts = append(parts, d.Lag.String()+" late")
	}
	for _, part := range []struct {
		percent int
		what    string
	}{{d.Duplicate, "arrive twice"}, {d.Reorder, "arrive after later ones"}, {d.Drop, "are lost"}} {
		if part.percent > 0 {
			parts = append(parts, fmt.Sprintf("%d%% %s", part.percent, part.what))
		}
	}
	return strings.Join(parts, ", ")
}

// FaultsConfig is what a network is made of.
type FaultsConfig struct {
	// RoundTrip is how far two regions are from each other; nil: they are in one place.
	RoundTrip func(a, b ident.RegionID) time.Duration
	// Random decides which messages meet a Disturbance; it is not asked while there is none. Nil: the first seed of all.
	Random rand.Source
}

// Faults is the state of the network between regions. It is safe for concurrent use. Two networks with equal random sources and equal
// calls in equal order treat them equally.
type Faults struct {
	roundTrip func(a, b ident.RegionID) time.Duration

	mu        sync.Mutex
	random    *rand.Rand
	isolated  map[ident.RegionID]bool
	cut       map[route]bool
	disturbed map[route]Disturbance
	// changed is closed when a partition begins or ends.
	changed chan struct{}
}

// NewFaults returns a network without a fault.
func NewFaults(cfg FaultsConfig) *Faults {
	if cfg.RoundTrip == nil {
		cfg.RoundTrip = func(ident.RegionID, ident.RegionID) time.Duration { return 0 }
	}
	if cfg.Random == nil {
		cfg.Random = rand.NewPCG(1, 1)
	}
	return &Faults{
		roundTrip: cfg.RoundTrip,
		random:    rand.New(cfg.Random), //nolint:gosec // Faults are no secret, and must be repeatable.
		isolated:  make(map[ident.RegionID]bool), cut: make(map[route]bool), disturbed: make(map[route]Disturbance),
		changed: make(chan struct{}),
	}
}

// Partition cuts a region off: it neither reaches others nor is reached, until Rejoin or Heal.
func (f *Faults) Partition(region ident.RegionID) { f.set(func() { f.isolated[region] = true }) }

// Rejoin ends the Partition of a region.
func (f *Faults) Rejoin(region ident.RegionID) { f.set(func() { delete(f.isolated, region) }) }

// Cut stops all that goes from source to destination; the other direction goes on. As a call needs its answer, no call between the
// two succeeds, but those from destination to source take effect.
func (f *Faults) Cut(source, destination ident.RegionID) {
	f.set(func() { f.cut[route{source, destination}] = true })
}

// Mend ends a Cut.
func (f *Faults) Mend(source, destination ident.RegionID) {
	f.set(func() { delete(f.cut, route{source, destination}) })
}

// Disturb sets how messages of one direction fare, in place of what was set for the same Source and Destination. One that
// disturbs nothing takes it away.
func (f *Faults) Disturb(d Disturbance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d.none() {
		delete(f.disturbed, route{d.Source, d.Destination})
		return
	}
	f.disturbed[route{d.Source, d.Destination}] = d
}

// Heal ends all partitions, cuts and disturbances. Distances stay.
func (f *Faults) Heal() {
	f.set(func() {
		clear(f.isolated)
		clear(f.cut)
		clear(f.disturbed)
	})
}

func (f *Faults) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

// List says in words what is wrong, one fault a line, in a fixed order; nothing if nothing is.
func (f *Faults) List() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := make([]string, 0, len(f.isolated)+len(f.cut)+len(f.disturbed))
	for _, region := range slices.Sorted(maps.Keys(f.isolated)) {
		lines = append(lines, fmt.Sprintf("%s is partitioned from all others", region))
	}
	for _, r := range sortedRoutes(f.cut) {
		lines = append(lines, fmt.Sprintf("nothing gets from %s to %s", r.source, r.destination))
	}
	for _, r := range sortedRoutes(f.disturbed) {
		lines = append(lines, fmt.Sprintf("messages from %s to %s: %s", anyRegion(r.source), anyRegion(r.destination), f.disturbed[r]))
	}
	return lines
}

func anyRegion(region ident.RegionID) ident.RegionID { return cmp.Or(region, "anywhere") }

func sortedRoutes[V any](m map[route]V) []route {
	return slices.SortedFunc(maps.Keys(m), func(a, b route) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.destination, b.destination))
	})
}

// oneWay is how long a message between two regions is on its way, disturbances apart.
func (f *Faults) oneWay(source, destination ident.RegionID) time.Duration {
	return f.roundTrip(source, destination) / 2 //nolint:mnd // there and back
}

// blocked tells whether nothing gets from source to destination, and gives the channel that is closed when that may have changed.
func (f *Faults) blocked(source, destination ident.RegionID) (blocked bool, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.isBlocked(route{source, destination}), f.changed
}

func (f *Faults) isBlocked(r route) bool {
	return r.source != r.destination && (f.isolated[r.source] || f.isolated[r.destination] || f.cut[r])
}

// fate is what becomes of one message.
type fate struct {
	lost, twice, overtaken bool
	delay                  time.Duration
}

// draw decides the fate of a message.
func (f *Faults) draw(source, destination ident.RegionID) fate {
	if source == destination {
		return fate{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.disturbance(source, destination)
	return fate{
		lost: f.isBlocked(route{source, destination}) || f.happens(d.Drop), twice: f.happens(d.Duplicate), overtaken: f.happens(d.Reorder),
		delay: f.oneWay(source, destination) + max(d.Lag, 0),
	}
}

func (f *Faults) happens(percent int) bool { return percent > 0 && f.random.IntN(hundred) < percent }

func (f *Faults) disturbance(source, destination ident.RegionID) Disturbance {
	for _, r := range []route{{source, destination}, {source, ident.NoRegion}, {ident.NoRegion, destination}, {}} {
		if d, ok := f.disturbed[r]; ok {
			return d
		}
	}
	return Disturbance{}
}

// pause waits, or returns early with the context's error.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
