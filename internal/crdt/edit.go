package crdt

import (
	"maps"
	"math"
	"math/bits"
	"slices"
	"sync"
	"time"

	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
)

// Edit is one write in the making: any number of operations that take effect together. It is not safe for concurrent use.
type Edit struct {
	state *settingsv1.State
	dot   *settingsv1.Dot
	// own are the entries that the edit has copied already.
	own map[string]bool
	// repeated are the counters whose increments of this edit have been counted before.
	repeated map[string]bool
	// latest is the latest stamp of the state that the edit began with, stamp the last of its own.
	latest func() *settingsv1.Stamp
	stamp  *settingsv1.Stamp
}

// NewEdit begins the write of a number by a region on a state. The number is above all that the region wrote before, to
// whatever the state is of.
func NewEdit(s *settingsv1.State, region string, seq uint64) *Edit {
	e := &Edit{
		state: &settingsv1.State{Seen: maps.Clone(s.GetSeen()), Entries: maps.Clone(s.GetEntries())},
		dot:   &settingsv1.Dot{Region: region, Seq: seq},
		own:   map[string]bool{}, repeated: map[string]bool{},
		latest: sync.OnceValue(func() *settingsv1.Stamp { return Latest(s) }),
	}
	if e.state.Seen == nil {
		e.state.Seen = map[string]uint64{}
	}
	if e.state.Entries == nil {
		e.state.Entries = map[string]*settingsv1.EntryState{}
	}
	e.state.Seen[region] = max(s.GetSeen()[region], seq)
	return e
}

// State returns the state after the operations.
func (e *Edit) State() *settingsv1.State {
	for key := range e.own {
		if empty(e.state.GetEntries()[key]) {
			delete(e.state.GetEntries(), key)
		}
	}
	return e.state
}

// entry returns the edit's own copy of an entry, which must be of a kind or of none.
func (e *Edit) entry(key string, kind settingsKind) (*settingsv1.EntryState, error) {
	have := e.state.GetEntries()[key]
	if shown := kindOf(have); shown != kindNone && shown != kind {
		return nil, ErrKind
	}
	if e.own[key] && have != nil {
		return have, nil
	}
	e.own[key] = true
	mine := &settingsv1.EntryState{
		Value: have.GetValue(), Maximum: have.GetMaximum(), Count: slices.Clone(have.GetCount()), Members: slices.Clone(have.GetMembers()),
	}
	e.state.Entries[key] = mine
	return mine, nil
}

// Set gives a register a value, at a stamp that Tick made after Latest.
func (e *Edit) Set(key string, value *settingsv1.Value, stamp *settingsv1.Stamp) error {
	entry, err := e.entry(key, kindValue)
	if err != nil {
		return err
	}
	entry.Value = []*settingsv1.RegisterCell{{Dot: e.dot, Stamp: stamp, Value: value}}
	e.stamp = later(e.stamp, stamp)
	return nil
}

// Latest is the latest stamp that a new one must follow.
func (e *Edit) Latest() *settingsv1.Stamp { return later(e.latest(), e.stamp) }

// Raise makes a maximum at least a value.
func (e *Edit) Raise(key string, value int64) error {
	entry, err := e.entry(key, kindMaximum)
	if err != nil {
		return err
	}
	for _, c := range entry.GetMaximum() {
		value = max(value, c.GetValue())
	}
	entry.Maximum = []*settingsv1.MaximumCell{{Dot: e.dot, Value: value}}
	return nil
}

// Increment adds to a counter, at a physical time. An increment whose id the counter has already, from any region, is left out; an
// empty id is like no other. The increments of one counter in one edit count as one, under the id of the first.
func (e *Edit) Increment(key string, amount int64, id []byte, now time.Time) error {
	entry, err := e.entry(key, kindCount)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(entry.GetCount(), func(c *settingsv1.CounterCell) bool { return byDot(c, &settingsv1.CounterCell{Dot: e.dot}) == 0 })
	if i < 0 && hasKey(entry.GetCount(), id) {
		e.repeated[key] = true
	}
	if e.repeated[key] {
		return nil
	}
	sum := &settingsv1.CounterCell{Dot: e.dot, Key: id, Time: now.Unix()}
	if i >= 0 {
		sum.Plus, sum.Minus, sum.Key = entry.GetCount()[i].GetPlus(), entry.GetCount()[i].GetMinus(), entry.GetCount()[i].GetKey()
		entry.Count = slices.Delete(entry.GetCount(), i, i+1)
	}
	if amount >= 0 {
		sum.Plus = add(sum.GetPlus(), uint64(amount))
	} else {
		sum.Minus = add(sum.GetMinus(), -uint64(amount)) //nolint:gosec // two's complement: also right for the smallest number
	}
	entry.Count = insert(entry.GetCount(), sum, byDot)
	return nil
}

// Add puts a member into a set.
func (e *Edit) Add(key, member string) error {
	entry, err := e.entry(key, kindMembers)
	if err != nil {
		return err
	}
	entry.Members = insert(without(entry.GetMembers(), member), &settingsv1.MemberCell{Dot: e.dot, Value: member}, byDotAndMember)
	return nil
}

// Remove takes a member out of a set, if it is there.
func (e *Edit) Remove(key, member string) error {
	entry, err := e.entry(key, kindMembers)
	if err != nil {
		return err
	}
	entry.Members = without(entry.GetMembers(), member)
	return nil
}

// Delete removes an entry, whatever it is.
func (e *Edit) Delete(key string) {
	delete(e.state.GetEntries(), key)
	delete(e.own, key)
}

func without(cells []*settingsv1.MemberCell, member string) []*settingsv1.MemberCell {
	return slices.DeleteFunc(cells, func(c *settingsv1.MemberCell) bool { return c.GetValue() == member })
}

func insert[C cell](cells []C, c C, order func(x, y C) int) []C {
	at, _ := slices.BinarySearchFunc(cells, c, order)
	return slices.Insert(cells, at, c)
}

// add is addition that stays at the largest number: in whatever order, the sum is the same.
func add(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return sum
}
