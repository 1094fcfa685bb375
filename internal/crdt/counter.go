package crdt

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"time"

	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
)

// A counter is a positive-negative one (Shapiro, Preguiça, Baquero, Zawirski: A comprehensive study of convergent and commutative replicated
// data types, INRIA RR-7506, 2011, section 3.1.3) whose increments have keys: a call that is repeated in another region is counted there too
// until the two meet. Then the copy of the region whose name is lowest counts, which every region can tell from the state
// alone; the other regions drop theirs when they see it. The lowest never drops, so one always remains.
//
// Keys would pile up, so a region folds its old increments into one sum. It may do so only when nobody can add a copy any more that
// it would no longer recognise: every region has shown a state that has the increment (from then on it does not count the key
// itself), and in what they showed, which is merged here, there is no copy. The sum keeps the highest of the folded increments'
// dots and needs no new one: all regions have seen every dot that is folded, so whoever deletes the entry, before or after
// it learns of the fold, has seen them all, and the deletion removes the sum with all that is in it.

// newerCount picks of two contents of one dot the one that its region made later.
func newerCount(x, y *settingsv1.CounterCell) *settingsv1.CounterCell {
	if y.GetFolds() > x.GetFolds() {
		return y
	}
	return x
}

// total is what a counter shows.
func total(cells []*settingsv1.CounterCell) int64 {
	var plus, minus uint64
	for _, c := range cells {
		if !overridden(cells, c) {
			plus, minus = add(plus, c.GetPlus()), add(minus, c.GetMinus())
		}
	}
	switch {
	case plus >= minus:
		return int64(min(plus-minus, math.MaxInt64))
	case minus-plus > math.MaxInt64:
		return math.MinInt64
	default:
		return -int64(minus - plus)
	}
}

// overridden tells whether a lower region has an increment of the same key.
func overridden(cells []*settingsv1.CounterCell, c *settingsv1.CounterCell) bool {
	if len(c.GetKey()) == 0 {
		return false
	}
	for _, other := range cells { // In the order of regions.
		if other.GetDot().GetRegion() >= c.GetDot().GetRegion() {
			return false
		}
		if bytes.Equal(other.GetKey(), c.GetKey()) {
			return true
		}
	}
	return false
}

func hasKey(cells []*settingsv1.CounterCell, key []byte) bool {
	return len(key) > 0 && slices.ContainsFunc(cells, func(c *settingsv1.CounterCell) bool { return bytes.Equal(c.GetKey(), key) })
}

// DropCopies removes the increments of a region that a lower region counts too, and tells whether there were any. The region calls it
// on each state that it merges, before it shows the result.
func DropCopies(s *settingsv1.State, region string) (*settingsv1.State, bool) {
	return editCounters(s, func(cells []*settingsv1.CounterCell) []*settingsv1.CounterCell {
		return slices.DeleteFunc(slices.Clone(cells), func(c *settingsv1.CounterCell) bool {
			return c.GetDot().GetRegion() == region && overridden(cells, c)
		})
	})
}

// Fold sums up the increments of a region that are older than a time and that stable covers: what every region has shown that it
// knows, in states that are merged into s. It tells whether there were any.
func Fold(s *settingsv1.State, region string, stable map[string]uint64, before time.Time) (*settingsv1.State, bool) {
	return editCounters(s, func(cells []*settingsv1.CounterCell) []*settingsv1.CounterCell {
		sum, fresh := &settingsv1.CounterCell{}, false
		rest := make([]*settingsv1.CounterCell, 0, len(cells))
		for _, c := range cells {
			single := c.GetFolds() == 0
			if c.GetDot().GetRegion() != region || single && !foldable(cells, c, stable, before) {
				rest = append(rest, c)
				continue
			}
			fresh = fresh || single
			sum.Dot = c.GetDot() // The highest, because cells are in order.
			sum.Plus, sum.Minus, sum.Folds = add(sum.GetPlus(), c.GetPlus()), add(sum.GetMinus(), c.GetMinus()), max(sum.GetFolds(), c.GetFolds())
		}
		if !fresh {
			return cells
		}
		sum.Folds++
		return insert(rest, sum, byDot)
	})
}

// foldable tells whether nobody can count an increment a second time.
func foldable(cells []*settingsv1.CounterCell, c *settingsv1.CounterCell, stable map[string]uint64, before time.Time) bool {
	if time.Unix(c.GetTime(), 0).After(before) || !Covers(stable, c.GetDot()) {
		return false
	}
	return !slices.ContainsFunc(cells, func(other *settingsv1.CounterCell) bool {
		return len(c.GetKey()) > 0 && bytes.Equal(other.GetKey(), c.GetKey()) && other.GetDot().GetRegion() != c.GetDot().GetRegion()
	})
}

// Foldable tells whether a state has increments, of any region, that are older than a time: somebody waits to fold them until every
// region has shown that it knows them.
func Foldable(s *settingsv1.State, before time.Time) bool {
	for _, e := range s.GetEntries() {
		for _, c := range e.GetCount() {
			if c.GetFolds() == 0 && !time.Unix(c.GetTime(), 0).After(before) {
				return true
			}
		}
	}
	return false
}

// Stable returns what all of the given regions have shown that they know: the least of their version vectors. A region that has shown
// nothing knows nothing.
func Stable(shown map[string]*settingsv1.Shown, own map[string]uint64, others []string) map[string]uint64 {
	stable := Join(own, nil)
	for _, region := range others {
		seen := shown[region].GetSeen()
		for origin, seq := range stable {
			stable[origin] = min(seq, seen[origin])
		}
	}
	return stable
}

// editCounters returns the state with other cells in its counters, and whether any changed. edit does not change what it is given.
func editCounters(
	s *settingsv1.State, edit func([]*settingsv1.CounterCell) []*settingsv1.CounterCell,
) (*settingsv1.State, bool) {
	out, changed := s, false
	for key, e := range s.GetEntries() {
		cells := edit(e.GetCount())
		if slices.Equal(cells, e.GetCount()) {
			continue
		}
		if !changed {
			out, changed = &settingsv1.State{Seen: s.GetSeen(), Entries: maps.Clone(s.GetEntries())}, true
		}
		out.Entries[key] = &settingsv1.EntryState{Value: e.GetValue(), Maximum: e.GetMaximum(), Count: cells, Members: e.GetMembers()}
	}
	return out, changed
}
