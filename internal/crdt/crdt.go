// Package crdt merges what several regions wrote at the same time: registers, maxima, counters and sets, in a map, as the state
// messages of domicile.settings.v1 hold them. It has no clock and no store, and changes no state that it is given.
//
// It promises that Merge is commutative, associative and idempotent, so that regions which have exchanged their states, in any
// order and however often, have equal ones (Shapiro, Preguiça, Baquero, Zawirski: Conflict-free Replicated Data Types, SSS 2011).
// And of what one region does while others do something else:
//
//   - a register shows the write with the latest stamp of a hybrid logical clock; what it overrode is kept until a later write;
//   - a maximum shows the largest value;
//   - a counter shows the sum of all increments, those with one key once;
//   - a set has a member that one region adds and another removes;
//   - an entry that one region deletes keeps what others write to it.
//
// A state is a list of cells for each entry, one for each write that is still to be seen, and a version vector, the causal context.
// A cell that one state lacks and its vector covers was removed or overwritten there, one that the vector does not cover
// is news: so nothing is left behind of what is removed (Bieniusa et al.: An optimized conflict-free replicated set, 2012; Almeida,
// Shoker, Baquero: Delta state replicated data types, JPDC 2018, whose contexts have a cloud of single dots beside the vector). Here
// only whole states travel, so what a state knows of a region is always all of its writes up to one of them: the cloud would
// always be empty, and the vector, one number for each region, is the compacted context.
package crdt

import (
	"cmp"
	"errors"
	"maps"
	"strings"

	"google.golang.org/protobuf/proto"

	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
)

// ErrKind says that an operation does not fit the kind that an entry has.
var ErrKind = errors.New("crdt: the entry is of another kind")

// cell is what one write left.
type cell interface {
	GetDot() *settingsv1.Dot
}

// Covers tells whether a version vector knows a write.
func Covers(seen map[string]uint64, dot *settingsv1.Dot) bool {
	return dot.GetSeq() <= seen[dot.GetRegion()]
}

// Join returns the version vector that knows what either knows.
func Join(a, b map[string]uint64) map[string]uint64 {
	all := make(map[string]uint64, max(len(a), len(b)))
	maps.Copy(all, a)
	for region, seq := range b {
		all[region] = max(all[region], seq)
	}
	return all
}

// Within tells whether b knows all that a knows.
func Within(a, b map[string]uint64) bool {
	for region, seq := range a {
		if seq > b[region] {
			return false
		}
	}
	return true
}

// Merge returns the state that knows what either knows. It shares cells with both.
func Merge(a, b *settingsv1.State) *settingsv1.State {
	m := &settingsv1.State{
		Seen:    Join(a.GetSeen(), b.GetSeen()),
		Entries: make(map[string]*settingsv1.EntryState, max(len(a.GetEntries()), len(b.GetEntries()))),
	}
	put := func(key string, e *settingsv1.EntryState) {
		if !empty(e) {
			m.Entries[key] = e
		}
	}
	for key, e := range a.GetEntries() {
		put(key, mergeEntries(e, b.GetEntries()[key], a.GetSeen(), b.GetSeen()))
	}
	for key, e := range b.GetEntries() {
		if _, both := a.GetEntries()[key]; !both {
			put(key, mergeEntries(nil, e, a.GetSeen(), b.GetSeen()))
		}
	}
	return m
}

func mergeEntries(a, b *settingsv1.EntryState, seenA, seenB map[string]uint64) *settingsv1.EntryState {
	return &settingsv1.EntryState{
		Value:   mergeCells(a.GetValue(), b.GetValue(), seenA, seenB, byDot, first),
		Maximum: mergeCells(a.GetMaximum(), b.GetMaximum(), seenA, seenB, byDot, first),
		Count:   mergeCells(a.GetCount(), b.GetCount(), seenA, seenB, byDot, newerCount),
		Members: mergeCells(a.GetMembers(), b.GetMembers(), seenA, seenB, byDotAndMember, first),
	}
}

// mergeCells keeps what both have and what one has and the other has never seen. The lists are in order, and so is the result.
func mergeCells[C cell](a, b []C, seenA, seenB map[string]uint64, order func(x, y C) int, pick func(x, y C) C) []C {
	var out []C
	for len(a) > 0 || len(b) > 0 {
		var which int
		switch {
		case len(a) == 0:
			which = 1
		case len(b) == 0:
			which = -1
		default:
			which = order(a[0], b[0])
		}
		switch {
		case which == 0:
			out = append(out, pick(a[0], b[0]))
			a, b = a[1:], b[1:]
		case which < 0:
			if !Covers(seenB, a[0].GetDot()) {
				out = append(out, a[0])
			}
			a = a[1:]
		default:
			if !Covers(seenA, b[0].GetDot()) {
				out = append(out, b[0])
			}
			b = b[1:]
		}
	}
	return out
}

// byDot orders cells by their writes: the canonical order, so that equal states are equal messages.
func byDot[C cell](x, y C) int {
	return cmp.Or(
		strings.Compare(x.GetDot().GetRegion(), y.GetDot().GetRegion()), cmp.Compare(x.GetDot().GetSeq(), y.GetDot().GetSeq()))
}

// byDotAndMember is byDot where one write may have made several cells.
func byDotAndMember(x, y *settingsv1.MemberCell) int {
	return cmp.Or(byDot(x, y), strings.Compare(x.GetValue(), y.GetValue()))
}

// first picks either of two equal cells.
func first[C cell](x, _ C) C { return x }

func empty(e *settingsv1.EntryState) bool {
	return len(e.GetValue()) == 0 && len(e.GetMaximum()) == 0 && len(e.GetCount()) == 0 && len(e.GetMembers()) == 0
}

// Equal tells whether two states are the same.
func Equal(a, b *settingsv1.State) bool { return proto.Equal(a, b) }
