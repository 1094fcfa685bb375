package crdt

import (
	"cmp"
	"fmt"
	"time"

	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
)

// MaxDrift is how far clocks may be apart before they count as wrong: a region whose clock is further from its peers' refuses to stamp,
// and a stamp that is further in the future waits.
const MaxDrift = 500 * time.Millisecond

// DriftError says that a stamp is further ahead of the physical clock than MaxDrift.
type DriftError struct {
	// Ahead is by how much the stamp is ahead.
	Ahead time.Duration
}

// Error says by how much.
func (e *DriftError) Error() string {
	return fmt.Sprintf("crdt: a stamp is %s ahead of the clock", e.Ahead)
}

// CompareStamps returns -1, 0 or +1 as a is earlier than, equal to or later than b. No stamp is the earliest.
func CompareStamps(a, b *settingsv1.Stamp) int {
	return cmp.Or(cmp.Compare(a.GetWall(), b.GetWall()), cmp.Compare(a.GetLogical(), b.GetLogical()))
}

func later(a, b *settingsv1.Stamp) *settingsv1.Stamp {
	if CompareStamps(a, b) >= 0 && a != nil {
		return a
	}
	return b
}

// Tick returns the stamp of a write at a physical time: later than all the stamps that the writer knows, its own last one and those
// that it received, and as near to the physical time as that allows (Kulkarni, Demirbas, Madappa, Avva, Leone: Logical physical
// clocks, OPODIS 2014, figure 5; the rules of sending and of receiving are one here, because a region keeps what it received). It
// fails with a *DriftError when the known stamps are further ahead of now than MaxDrift: then the clock was set back.
func Tick(now time.Time, known ...*settingsv1.Stamp) (*settingsv1.Stamp, error) {
	var latest *settingsv1.Stamp
	for _, s := range known {
		latest = later(latest, s)
	}
	if err := CheckDrift(latest, now); err != nil {
		return nil, err
	}
	wall := now.UnixMicro()
	switch {
	case wall > latest.GetWall():
		return &settingsv1.Stamp{Wall: wall}, nil
	case latest.GetLogical() == 1<<32-1: // Four thousand million writes within MaxDrift: a clock that stands.
		return &settingsv1.Stamp{Wall: latest.GetWall() + 1}, nil
	default:
		return &settingsv1.Stamp{Wall: latest.GetWall(), Logical: latest.GetLogical() + 1}, nil
	}
}

// CheckDrift fails with a *DriftError when a stamp is further ahead of now than MaxDrift.
func CheckDrift(s *settingsv1.Stamp, now time.Time) error {
	if ahead := time.UnixMicro(s.GetWall()).Sub(now); s != nil && ahead > MaxDrift {
		return &DriftError{Ahead: ahead}
	}
	return nil
}

// Latest returns the latest stamp of a state's registers; nil when there are none.
func Latest(s *settingsv1.State) *settingsv1.Stamp {
	var latest *settingsv1.Stamp
	for _, e := range s.GetEntries() {
		for _, c := range e.GetValue() {
			latest = later(latest, c.GetStamp())
		}
	}
	return latest
}
