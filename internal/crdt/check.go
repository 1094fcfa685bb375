package crdt

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/reflect/protoreflect"

	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
)

// ErrInvalid says that a state is not one that a region of this project makes.
var ErrInvalid = errors.New("crdt: invalid state")

// Check fails with ErrInvalid when a state that came from elsewhere does not have the form that Merge relies on: cells in order,
// each of a write that the state's vector knows.
func Check(s *settingsv1.State) error {
	for key, e := range s.GetEntries() {
		if key == "" || empty(e) {
			return fmt.Errorf("%w: an entry that is not there", ErrInvalid)
		}
		for _, err := range []error{
			checkCells(e.GetValue(), s.GetSeen(), byDot), checkCells(e.GetMaximum(), s.GetSeen(), byDot),
			checkCells(e.GetCount(), s.GetSeen(), byDot), checkCells(e.GetMembers(), s.GetSeen(), byDotAndMember),
		} {
			if err != nil {
				return err
			}
		}
		for _, c := range e.GetValue() {
			if wall := c.GetStamp().GetWall(); c.GetValue().GetKind() == nil || wall < 0 || wall > math.MaxInt64/2 {
				return fmt.Errorf("%w: a register without a value, or of another age", ErrInvalid)
			}
		}
	}
	return nil
}

func checkCells[C cell](cells []C, seen map[string]uint64, order func(x, y C) int) error {
	for i, c := range cells {
		if c.GetDot().GetRegion() == "" || c.GetDot().GetSeq() == 0 || !Covers(seen, c.GetDot()) {
			return fmt.Errorf("%w: a cell of a write that its vector does not know", ErrInvalid)
		}
		if i > 0 && order(cells[i-1], c) >= 0 {
			return fmt.Errorf("%w: cells out of order", ErrInvalid)
		}
	}
	return nil
}

// Foreign tells whether a state has fields that this release does not know. To merge it would lose them, and the others would
// take what is lost for removed: it must wait.
func Foreign(s *settingsv1.State) bool { return foreign(s.ProtoReflect()) }

func foreign(m protoreflect.Message) bool {
	found := len(m.GetUnknown()) > 0
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap() && fd.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				found = found || foreign(v.Message())
				return !found
			})
		case fd.IsList() && fd.Message() != nil:
			for i := range v.List().Len() {
				found = found || foreign(v.List().Get(i).Message())
			}
		case !fd.IsMap() && !fd.IsList() && fd.Message() != nil:
			found = found || foreign(v.Message())
		}
		return !found
	})
	return found
}
