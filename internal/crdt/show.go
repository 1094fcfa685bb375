package crdt

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
)

// settingsKind is what an entry is. When regions gave it several kinds at the same time, the lowest is shown.
type settingsKind uint8

const (
	kindValue settingsKind = iota
	kindMaximum
	kindCount
	kindMembers
	// kindNone: it is not there.
	kindNone
)

func kindOf(e *settingsv1.EntryState) settingsKind {
	for kind := range kindNone {
		if hasKind(e, kind) {
			return kind
		}
	}
	return kindNone
}

func hasKind(e *settingsv1.EntryState, kind settingsKind) bool {
	switch kind {
	case kindValue:
		return len(e.GetValue()) > 0
	case kindMaximum:
		return len(e.GetMaximum()) > 0
	case kindCount:
		return len(e.GetCount()) > 0
	case kindMembers:
		return len(e.GetMembers()) > 0
	case kindNone:
		return false
	default:
		return false
	}
}

// Show returns what an entry is to a reader; nil when it is not there.
func Show(e *settingsv1.EntryState) *settingsv1.Entry { return showKind(e, kindOf(e)).GetEntry() }

// Shown returns all entries of a state as a reader sees them; those of the given keys only, if there are any.
func Shown(s *settingsv1.State, keys ...string) map[string]*settingsv1.Entry {
	all := make(map[string]*settingsv1.Entry, len(s.GetEntries()))
	if len(keys) == 0 {
		for key, e := range s.GetEntries() {
			all[key] = Show(e)
		}
		return all
	}
	for _, key := range keys {
		if e := Show(s.GetEntries()[key]); e != nil {
			all[key] = e
		}
	}
	return all
}

// Conflicts returns the entries of which concurrent writes left more than they show, in the order of their keys.
func Conflicts(s *settingsv1.State) []*settingsv1.Conflict {
	var all []*settingsv1.Conflict
	for key, e := range s.GetEntries() {
		shown := kindOf(e)
		c := &settingsv1.Conflict{Key: key, Kept: showKind(e, shown)}
		if cells := byStamp(e.GetValue()); len(cells) > 1 {
			for _, cell := range cells[1:] {
				c.Overridden = append(c.Overridden, showRegister(cell))
			}
		}
		for kind := shown + 1; kind < kindNone; kind++ {
			if hasKind(e, kind) {
				c.Overridden = append(c.Overridden, showKind(e, kind))
			}
		}
		if len(c.GetOverridden()) > 0 {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *settingsv1.Conflict) int { return strings.Compare(a.GetKey(), b.GetKey()) })
	return all
}

// showKind returns one side of an entry.
func showKind(e *settingsv1.EntryState, kind settingsKind) *settingsv1.Version {
	switch kind {
	case kindValue:
		return showRegister(byStamp(e.GetValue())[0])
	case kindMaximum:
		largest := slices.MaxFunc(e.GetMaximum(), func(x, y *settingsv1.MaximumCell) int { return cmp.Compare(x.GetValue(), y.GetValue()) })
		value := largest.GetValue()
		return &settingsv1.Version{Entry: &settingsv1.Entry{Maximum: &value}}
	case kindCount:
		sum := total(e.GetCount())
		return &settingsv1.Version{Entry: &settingsv1.Entry{Count: &sum}}
	case kindMembers:
		members := make([]string, 0, len(e.GetMembers()))
		for _, c := range e.GetMembers() {
			members = append(members, c.GetValue())
		}
		slices.Sort(members)
		return &settingsv1.Version{Entry: &settingsv1.Entry{Members: slices.Compact(members)}}
	case kindNone:
		return nil
	default:
		return nil
	}
}

func showRegister(c *settingsv1.RegisterCell) *settingsv1.Version {
	return &settingsv1.Version{
		Entry: &settingsv1.Entry{Value: c.GetValue()}, Region: c.GetDot().GetRegion(),
		WriteTime: timestamppb.New(time.UnixMicro(c.GetStamp().GetWall())),
	}
}

// byStamp returns a register's writes, the latest first. Equal stamps of two regions are ordered by the regions.
func byStamp(cells []*settingsv1.RegisterCell) []*settingsv1.RegisterCell {
	sorted := slices.Clone(cells)
	slices.SortFunc(sorted, func(x, y *settingsv1.RegisterCell) int {
		return cmp.Or(CompareStamps(y.GetStamp(), x.GetStamp()), byDot(y, x))
	})
	return sorted
}
