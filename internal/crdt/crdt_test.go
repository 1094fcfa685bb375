package crdt_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/crdt"
)

// write makes a write of a region and fails the test when it is refused.
func write(t *testing.T, s *settingsv1.State, region string, seq uint64, change func(*crdt.Edit) error) *settingsv1.State {
	t.Helper()
	e := crdt.NewEdit(s, region, seq)
	if err := change(e); err != nil {
		t.Fatal(err)
	}
	return e.State()
}

func setTo(n int64, at time.Time) func(*crdt.Edit) error {
	return func(e *crdt.Edit) error {
		stamp, err := crdt.Tick(at, e.Latest())
		if err != nil {
			return err
		}
		return e.Set("k", number(n), stamp)
	}
}

func TestConflictsKeepBothValues(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0).UTC()
	base := write(t, nil, "a", 1, setTo(1, at))
	left := write(t, base, "a", 2, setTo(2, at.Add(time.Second)))
	right := write(t, base, "b", 1, setTo(3, at.Add(2*time.Second)))
	if got := crdt.Conflicts(left); got != nil {
		t.Errorf("a conflict of one region with itself: %v", got)
	}
	both := crdt.Merge(left, right)
	got := crdt.Conflicts(both)
	if len(got) != 1 || got[0].GetKept().GetEntry().GetValue().GetIntValue() != 3 || len(got[0].GetOverridden()) != 1 {
		t.Fatalf("conflicts %v", got)
	}
	over := got[0].GetOverridden()[0]
	if over.GetEntry().GetValue().GetIntValue() != 2 || over.GetRegion() != "a" || !over.GetWriteTime().AsTime().Equal(at.Add(time.Second)) {
		t.Errorf("overridden %v", over)
	}
	if got := crdt.Conflicts(write(t, both, "c", 1, setTo(4, at.Add(3*time.Second)))); got != nil {
		t.Errorf("a later write leaves the conflict: %v", got)
	}
}

func TestKindsConflict(t *testing.T) {
	t.Parallel()
	count := write(t, nil, "a", 1, func(e *crdt.Edit) error { return e.Increment("k", 7, nil, time.Unix(1, 0)) })
	set := write(t, nil, "b", 1, func(e *crdt.Edit) error { return e.Add("k", "x") })
	raised := write(t, nil, "c", 1, func(e *crdt.Edit) error { return e.Raise("k", -5) })
	all := crdt.Merge(crdt.Merge(set, count), raised)
	got := crdt.Conflicts(all)
	low, sum := int64(-5), int64(7)
	want := []*settingsv1.Conflict{{
		Key: "k", Kept: &settingsv1.Version{Entry: &settingsv1.Entry{Maximum: &low}},
		Overridden: []*settingsv1.Version{{Entry: &settingsv1.Entry{Count: &sum}}, {Entry: &settingsv1.Entry{Members: []string{"x"}}}},
	}}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
	for name, change := range map[string]func(*crdt.Edit) error{
		"set": setTo(1, time.Unix(1, 0)), "add": func(e *crdt.Edit) error { return e.Add("k", "y") },
		"remove":    func(e *crdt.Edit) error { return e.Remove("k", "x") },
		"increment": func(e *crdt.Edit) error { return e.Increment("k", 1, nil, time.Unix(1, 0)) },
	} {
		if err := change(crdt.NewEdit(all, "a", 2)); !errors.Is(err, crdt.ErrKind) {
			t.Errorf("%s of a maximum: %v", name, err)
		}
	}
	gone := write(t, all, "a", 2, func(e *crdt.Edit) error { e.Delete("k"); return e.Add("k", "z") })
	if got := crdt.Shown(gone); len(got) != 1 || len(got["k"].GetMembers()) != 1 || crdt.Conflicts(gone) != nil {
		t.Errorf("after a deletion: %v", got)
	}
}

func TestCounterStaysAtItsBounds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		amounts []int64
		want    int64
	}{
		{[]int64{math.MaxInt64, 1}, math.MaxInt64},
		{[]int64{math.MinInt64}, math.MinInt64},
		{[]int64{math.MinInt64, -1}, math.MinInt64},
		{[]int64{math.MinInt64, math.MaxInt64}, -1},
		{[]int64{math.MaxInt64, math.MaxInt64, math.MaxInt64}, math.MaxInt64},
		{[]int64{5, -7}, -2},
	} {
		var s *settingsv1.State
		for i, amount := range test.amounts {
			s = write(t, s, "a", uint64(i+1), func(e *crdt.Edit) error { return e.Increment("k", amount, nil, time.Unix(1, 0)) })
		}
		if got := crdt.Show(s.GetEntries()["k"]).GetCount(); got != test.want {
			t.Errorf("%v is %d, want %d", test.amounts, got, test.want)
		}
	}
}

// Several increments of one call are one, and are left out together when the call is repeated elsewhere.
func TestIncrementsOfOneCall(t *testing.T) {
	t.Parallel()
	call := func(e *crdt.Edit) error {
		return errors.Join(e.Increment("k", 2, []byte("x"), time.Unix(1, 0)), e.Increment("k", -5, []byte("y"), time.Unix(1, 0)))
	}
	s := write(t, nil, "a", 1, call)
	again := write(t, s, "b", 1, call)
	apart := crdt.Merge(s, write(t, nil, "b", 1, call))
	for name, s := range map[string]*settingsv1.State{"once": s, "again": again, "apart": apart} {
		if got := crdt.Show(s.GetEntries()["k"]).GetCount(); got != -3 {
			t.Errorf("%s: %d", name, got)
		}
	}
	if dropped, did := crdt.DropCopies(apart, "b"); !did || len(dropped.GetEntries()["k"].GetCount()) != 1 {
		t.Errorf("the higher region keeps its copy: %v", dropped)
	}
	later := time.Unix(2, 0)
	if _, did := crdt.Fold(apart, "a", apart.GetSeen(), later); did {
		t.Error("an increment is folded that another region still has too")
	}
	alone, _ := crdt.DropCopies(apart, "b")
	if _, did := crdt.Fold(alone, "a", alone.GetSeen(), later); !did {
		t.Error("an increment that nobody else has is not folded")
	}
	if _, did := crdt.Fold(alone, "a", alone.GetSeen(), time.Unix(0, 0)); did {
		t.Error("a young increment is folded")
	}
	if _, did := crdt.DropCopies(apart, "a"); did {
		t.Error("the lowest region drops its copy")
	}
}

func TestCheckAndForeign(t *testing.T) {
	t.Parallel()
	good := func() *settingsv1.State {
		s := write(t, nil, "a", 1, setTo(1, time.Unix(1, 0)))
		return proto.CloneOf(crdt.Merge(s, write(t, nil, "b", 1, func(e *crdt.Edit) error { return errors.Join(e.Add("s", "x"), e.Add("s", "y")) })))
	}
	if err := crdt.Check(good()); err != nil || crdt.Foreign(good()) || crdt.Check(nil) != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*settingsv1.State){
		"no vector":    func(s *settingsv1.State) { s.Seen = nil },
		"empty entry":  func(s *settingsv1.State) { s.Entries["e"] = &settingsv1.EntryState{} },
		"no dot":       func(s *settingsv1.State) { s.Entries["k"].Value[0].Dot = nil },
		"out of order": func(s *settingsv1.State) { m := s.GetEntries()["s"].GetMembers(); m[0], m[1] = m[1], m[0] },
		"twice":        func(s *settingsv1.State) { m := s.GetEntries()["s"].GetMembers(); m[0] = m[1] },
		"no value":     func(s *settingsv1.State) { s.Entries["k"].Value[0].Value = nil },
		"another age":  func(s *settingsv1.State) { s.Entries["k"].Value[0].Stamp = &settingsv1.Stamp{Wall: math.MaxInt64} },
	} {
		s := good()
		spoil(s)
		if err := crdt.Check(s); !errors.Is(err, crdt.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	unknown := []byte{0x9a, 0x06, 0x01, 0x61} // field 99: "a"
	for name, spoil := range map[string]func(*settingsv1.State){
		"state": func(s *settingsv1.State) { s.ProtoReflect().SetUnknown(unknown) },
		"entry": func(s *settingsv1.State) { s.GetEntries()["s"].ProtoReflect().SetUnknown(unknown) },
		"cell":  func(s *settingsv1.State) { s.GetEntries()["s"].GetMembers()[1].ProtoReflect().SetUnknown(unknown) },
		"dot": func(s *settingsv1.State) {
			s.GetEntries()["s"].GetMembers()[1].GetDot().ProtoReflect().SetUnknown(unknown)
		},
	} {
		s := good()
		spoil(s)
		if !crdt.Foreign(s) {
			t.Errorf("unknown fields of a %s are not seen", name)
		}
	}
}
