package settings_test

import (
	"context"
	"strconv"
	gotesting "testing"
	"time"

	"pgregory.net/rapid"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/crdt"
	"github.com/domicile-api/domicile/internal/fault"
)

// Whatever is written where, and in whatever order, how often and over whichever crashes it is told: in the end all regions have the same, and
// what was deleted stays so.
func TestRegionsConverge(t *gotesting.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.IntRange(2, 5).Draw(t, "regions"))
		for _, r := range w.regions {
			r.skew = time.Duration(rapid.IntRange(-200, 200).Draw(t, "skew")) * time.Millisecond
			if rapid.Bool().Draw(t, "unreliable") {
				w.unreliable(t, r)
			}
		}
		for i := range rapid.IntRange(0, 60).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "write") > 0 {
				w.step(t)
				continue
			}
			n := rapid.Int64Range(0, 3).Draw(t, "n")
			op := rapid.SampledFrom([]*settingsv1.Operation{
				set("v", n), raise(n), increment("c", n), add("s", strconv.FormatInt(n, 10)), remove(strconv.FormatInt(n, 10)), drop("v"), drop("c"), drop("s"),
				drop("m"), set("x", n), add("x", "a"),
			}).Draw(t, "operation")
			_, _, err := update(w.draw(t), strconv.Itoa(i), rapid.SampledFrom([]string{"one", "two"}).Draw(t, "namespace"), op)
			if err != nil && !fault.Is(err, errorsv1.Reason_REASON_OUTCOME_UNKNOWN) && !fault.Is(err, errorsv1.Reason_REASON_INVALID_ARGUMENT) &&
				!fault.Is(err, errorsv1.Reason_REASON_REGION_UNAVAILABLE) {
				t.Fatal(err)
			}
		}
		w.settle()
		w.equal("one")
		w.equal("two")
	})
}

// One call is repeated under its key in several regions, with answers lost and state exchanged in between: it counts once.
func TestIncrementsAreNeitherLostNorDoubled(t *gotesting.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.IntRange(3, 5).Draw(t, "regions"))
		for _, r := range w.regions {
			if rapid.Bool().Draw(t, "unreliable") {
				w.unreliable(t, r)
			}
		}
		type done struct {
			first time.Time
			ok    bool
		}
		calls := map[int]*done{}
		amount := func(id int) int64 { return int64(1) << (3 * id) }
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "step") {
				w.step(t)
				continue
			}
			id := rapid.IntRange(0, 9).Draw(t, "call")
			if calls[id] == nil {
				calls[id] = &done{first: w.now}
			}
			if w.now.Sub(calls[id].first) > 23*time.Hour {
				continue // Nobody repeats it any more.
			}
			_, _, err := update(w.draw(t), strconv.Itoa(id), "one", increment("c", amount(id)), set("v", 1), increment("c", amount(id)))
			calls[id].ok = calls[id].ok || err == nil
			if err != nil && !fault.Is(err, errorsv1.Reason_REASON_OUTCOME_UNKNOWN) {
				t.Fatal(err)
			}
		}
		check := func() {
			w.settle()
			got := w.equal("one")["c"].GetCount()
			for id, d := range calls {
				counted := got >> (3 * id) & 7
				if d.ok && counted != 2 || counted != 0 && counted != 2 {
					t.Fatalf("call %d, acknowledged: %v, counts %d times in %b", id, d.ok, counted/2, got)
				}
			}
		}
		check()
		w.now = w.now.Add(100 * time.Hour)
		check()
		for _, r := range w.regions {
			state, err := r.kept.Tell(context.Background(), tenant, "one")
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range state.GetEntries()["c"].GetCount() {
				if len(c.GetKey()) > 0 {
					t.Fatalf("%s still has the key of an old increment: %v", r.id, state)
				}
			}
		}
	})
}

// A region whose clock is ten minutes off sets no register, and nothing else of it or of the others suffers.
func TestWrongClock(t *gotesting.T) {
	t.Parallel()
	for _, skew := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		w := newWorld(t, 4)
		w.regions[0].skew = skew
		if _, _, err := update(w.regions[0], "", "one", set("v", 1)); !fault.Is(err, errorsv1.Reason_REASON_REGION_UNAVAILABLE) {
			t.Errorf("%s: a wrong clock stamps a register: %v", skew, err)
		}
		for _, ops := range [][]*settingsv1.Operation{{add("s", "a"), increment("c", 1)}, {raise(3), drop("s")}} {
			if _, _, err := update(w.regions[0], "", "one", ops...); err != nil {
				t.Errorf("%s: %v", skew, err)
			}
		}
		if _, _, err := update(w.regions[1], "", "one", set("v", 2)); err != nil {
			t.Errorf("%s: the others suffer: %v", skew, err)
		}
		w.now = w.now.Add(time.Second)
		if _, _, err := update(w.regions[2], "", "one", set("v", 3)); err != nil {
			t.Errorf("%s: the others suffer: %v", skew, err)
		}
		for _, r := range w.regions {
			w.send(r, 100)
		}
		for len(w.flying) > 0 {
			w.arrive(0, false)
		}
		if skew < 0 { // What the others stamped waits in the region until its own clock has come there.
			if report := w.maintain(w.regions[0]); report.Waiting == 0 {
				t.Error("nothing waits in a region whose clock is late")
			}
			w.regions[0].skew = 0
		}
		w.settle()
		if got := w.equal("one"); got["v"].GetValue().GetIntValue() != 3 || got["c"].GetCount() != 1 || got["m"].GetMaximum() != 3 {
			t.Errorf("%s: %v", skew, got)
		}
	}
}

// What a wrong clock has stamped all the same waits in the others, and does not win against what is written after it is applied.
func TestStampsOfTheFutureWait(t *gotesting.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.unchecked = true
	w.regions[0].skew = 10 * time.Minute
	for i, r := range w.regions {
		if _, _, err := update(r, "", "one", set("v", int64(i)), add("s", string(r.id))); err != nil {
			t.Fatal(err)
		}
	}
	w.regions[0].skew = 0
	for _, r := range w.regions {
		w.send(r, 100)
	}
	for len(w.flying) > 0 {
		w.arrive(0, false)
	}
	value := func(r *region) int64 {
		ctx, _ := callOf("", "")
		s, err := r.kept.Get(ctx, "one", "v")
		if err != nil {
			t.Fatal(err)
		}
		return s.GetEntries()["v"].GetValue().GetIntValue()
	}
	if report := w.maintain(w.regions[1]); report.Waiting != 1 || value(w.regions[1]) == 0 {
		t.Errorf("what is from the future is applied: %+v", report)
	}
	if _, _, err := update(w.regions[0], "", "one", set("v", 7)); !fault.Is(err, errorsv1.Reason_REASON_REGION_UNAVAILABLE) {
		t.Errorf("a stamp ten minutes ahead is followed: %v", err)
	}
	w.now = w.now.Add(10 * time.Minute)
	w.start(w.regions[1]) // What waits is durable.
	w.settle()
	if got := w.equal("one"); got["v"].GetValue().GetIntValue() != 0 || len(got["s"].GetMembers()) != 3 {
		t.Errorf("when its time has come: %v", got)
	}
	if _, _, err := update(w.regions[2], "", "one", set("v", 9)); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := w.equal("one")["v"].GetValue().GetIntValue(); got != 9 {
		t.Errorf("the wrong clock wins for ever: %d", got)
	}
}

// A region's stamps do not go back when it starts again with a clock that was set back a little.
func TestStampsSurviveARestart(t *gotesting.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.regions[0]
	if _, _, err := update(r, "", "one", set("v", 1)); err != nil {
		t.Fatal(err)
	}
	first, err := r.kept.Tell(t.Context(), tenant, "one")
	if err != nil {
		t.Fatal(err)
	}
	r.skew = -400 * time.Millisecond
	w.start(r)
	for i := range 3 {
		if _, _, err := update(r, "", "two", set("v", int64(i))); err != nil {
			t.Fatal(err)
		}
	}
	then, err := r.kept.Tell(t.Context(), tenant, "two")
	if err != nil {
		t.Fatal(err)
	}
	before, after := crdt.Latest(first), crdt.Latest(then)
	if after.GetWall() != before.GetWall() || after.GetLogical() != 3 {
		t.Errorf("after %v comes %v", before, after)
	}
}
