package consistency

import (
	"errors"
	"maps"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// ErrNewerEpoch says that an authentic token speaks of an ownership that is not known here yet: the directory here is older.
var ErrNewerEpoch = errors.New("consistency: the token speaks of an ownership that is not known here yet")

// Takeover is how an ownership began.
type Takeover struct {
	// Epoch numbers it.
	Epoch ident.Epoch
	// Bases are the last sequence numbers that the new home inherited, by lane. Numbers go on from there.
	Bases [ident.Lanes]ident.Seq
	// Receipt is the id of the receipt that lists what was lost; empty: there is none.
	Receipt string
}

// History is a tenant's ownership as this region knows it.
type History struct {
	// Present is the epoch of the latest ownership.
	Present ident.Epoch
	// Takeovers are those that may have lost writes, in any order. One that is not listed has lost none, as a planned hand-over does.
	Takeovers []Takeover
}

// Carry returns positions in the numbers of the present ownership, which are the same: what a new home inherited keeps its numbers.
// Positions that a takeover lost fail with WRITE_LOST, those of an ownership that is not known here with ErrNewerEpoch.
func (h History) Carry(p ident.Positions) (ident.Positions, error) {
	if p.Epoch > h.Present {
		return ident.Positions{}, ErrNewerEpoch
	}
	for i := range h.Takeovers {
		t := &h.Takeovers[i]
		if t.Epoch <= p.Epoch {
			continue
		}
		for lane, seq := range p.Lanes {
			if seq > t.Bases[lane] {
				return ident.Positions{}, lost(t)
			}
		}
	}
	if p.Epoch > 0 {
		p.Epoch = h.Present
	}
	return p, nil
}

func lost(t *Takeover) error {
	f := fault.New(errorsv1.Reason_REASON_WRITE_LOST, "a consistency token speaks of a write that was lost when another region took over")
	if t.Receipt != "" {
		f = f.With("receipt", t.Receipt)
	}
	return f
}

// Cover returns the least positions that are at or past both, neither of which it changes. The numbers of an older epoch count as
// those of the newer one, so they should have been carried before.
func Cover(a, b ident.Positions) ident.Positions {
	out := ident.Positions{Epoch: max(a.Epoch, b.Epoch)}
	for lane := range out.Lanes {
		out.Lanes[lane] = max(a.Lanes[lane], b.Lanes[lane])
	}
	if len(a.Origins)+len(b.Origins) > 0 {
		out.Origins = make(map[ident.RegionID]ident.Seq, max(len(a.Origins), len(b.Origins)))
		maps.Copy(out.Origins, a.Origins)
		for origin, seq := range b.Origins {
			out.Origins[origin] = max(out.Origins[origin], seq)
		}
	}
	return out
}

// nothing tells whether positions say nothing.
func nothing(p *ident.Positions) bool { return !hasLanes(p) && len(p.Origins) == 0 }

// hasLanes tells whether positions say something of the home's lanes.
func hasLanes(p *ident.Positions) bool { return p.Lanes != [ident.Lanes]ident.Seq{} }
