package crdt

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
)

// SkewError says that a region's clock is further from those of its peers than MaxDrift.
type SkewError struct {
	// Offset is how far the peers' clocks are ahead of it.
	Offset time.Duration
}

// Error says by how much.
func (e *SkewError) Error() string {
	return fmt.Sprintf("crdt: the peers' clocks are %s ahead", e.Offset)
}

// Peers knows how far the clocks of the other regions are ahead of the region's own, so that a region whose clock is wrong
// notices it by itself: most of the others disagree with it. All methods are safe for concurrent use.
type Peers struct {
	// keep is how long an observation counts.
	keep time.Duration

	mu   sync.Mutex
	last map[ident.RegionID]observation
}

type observation struct {
	at     time.Time
	offset time.Duration
}

// NewPeers returns a Peers that forgets an observation after so long.
func NewPeers(keep time.Duration) *Peers {
	return &Peers{keep: keep, last: map[ident.RegionID]observation{}}
}

// Observe takes note of a peer's clock: it showed theirs at a moment between sent and received, both by the own clock. An observation whose
// round trip took longer than MaxDrift says too little and is left out.
func (p *Peers) Observe(peer ident.RegionID, sent, theirs, received time.Time) {
	trip := received.Sub(sent)
	if trip < 0 || trip > MaxDrift {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last[peer] = observation{at: received, offset: theirs.Sub(sent.Add(trip / 2))}
}

// Check fails with a *SkewError when the median of the peers' clocks is further from the own one than MaxDrift. A region that knows
// nothing of its peers' clocks, because it has none or cannot reach them, is believed.
func (p *Peers) Check(now time.Time) error {
	p.mu.Lock()
	offsets := make([]time.Duration, 0, len(p.last))
	for _, o := range p.last {
		if age := now.Sub(o.at); age < p.keep {
			if age < 0 {
				// The own clock was set back since: the offsets were measured against the clock as it was.
				offsets = append(offsets, o.offset-age)
				continue
			}
			offsets = append(offsets, o.offset)
		}
	}
	p.mu.Unlock()
	if offset := median(offsets); offset.Abs() > MaxDrift {
		return &SkewError{Offset: offset}
	}
	return nil
}

// median returns the middle offset. Of the two in the middle of an even number it returns the one nearer to zero: when half of the
// peers agree with the region, it is not the region that is wrong.
func median(offsets []time.Duration) time.Duration {
	if len(offsets) == 0 {
		return 0
	}
	slices.Sort(offsets)
	low, high := offsets[(len(offsets)-1)/2], offsets[len(offsets)/2]
	if low.Abs() <= high.Abs() {
		return low
	}
	return high
}
