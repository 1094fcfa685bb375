package crdt_test

import (
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/crdt"
)

// keyLife is how long a client repeats a call, and so how old an increment is when it is folded.
const keyLife = 24 * time.Hour

// replica is one region.
type replica struct {
	name  string
	state *settingsv1.State
	seq   uint64
	shown map[string]*settingsv1.Shown
	// skew is how far the region's clock is ahead.
	skew time.Duration
}

// telling is a state under way.
type telling struct {
	from  string
	state *settingsv1.State
}

// world is some regions and what is under way between them: everything ever told may arrive anywhere, at any time, any number of
// times, or never.
type world struct {
	now      time.Time
	replicas []*replica
	told     []telling
}

func newWorld(t *rapid.T) *world {
	w := &world{now: time.Unix(1_700_000_000, 0)}
	for i := range rapid.IntRange(2, 5).Draw(t, "regions") {
		w.replicas = append(w.replicas, &replica{
			name: string(rune('a' + i)), state: &settingsv1.State{}, shown: map[string]*settingsv1.Shown{},
		})
	}
	return w
}

func (w *world) draw(t *rapid.T) *replica { return rapid.SampledFrom(w.replicas).Draw(t, "region") }

func (w *world) clock(r *replica) time.Time { return w.now.Add(r.skew) }

// edit makes one write of a region; the write is lost with the region's memory when the function fails.
func (w *world) edit(r *replica, change func(*crdt.Edit) error) error {
	e := crdt.NewEdit(r.state, r.name, r.seq+1)
	if err := change(e); err != nil {
		return err
	}
	r.seq++
	r.state = e.State()
	return nil
}

func (w *world) tell(r *replica) { w.told = append(w.told, telling{r.name, r.state}) }

func (w *world) hear(r *replica, m telling) {
	if m.from == r.name {
		return
	}
	merged := crdt.Merge(r.state, m.state)
	merged, _ = crdt.DropCopies(merged, r.name)
	r.state = merged
	r.shown[m.from] = &settingsv1.Shown{Seen: crdt.Join(r.shown[m.from].GetSeen(), m.state.GetSeen())}
}

// step moves something along: a state is told or heard, time passes, a region folds.
func (w *world) step(t *rapid.T) {
	r := w.draw(t)
	switch rapid.IntRange(0, 5).Draw(t, "step") {
	case 0, 1:
		w.tell(r)
	case 2, 3:
		if len(w.told) > 0 {
			w.hear(r, rapid.SampledFrom(w.told).Draw(t, "told"))
		}
	case 4:
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 30*3600).Draw(t, "seconds")) * time.Second)
	case 5:
		w.fold(r)
	}
}

func (w *world) fold(r *replica) {
	var others []string
	for _, o := range w.replicas {
		if o != r {
			others = append(others, o.name)
		}
	}
	r.state, _ = crdt.Fold(r.state, r.name, crdt.Stable(r.shown, r.state.GetSeen(), others), w.clock(r).Add(-keyLife))
}

// settle lets everybody hear everybody until nothing changes any more, and tells whether all came to the same.
func (w *world) settle(t *rapid.T) *settingsv1.State {
	for range 3 {
		for _, r := range w.replicas {
			w.told = nil
			w.tell(r)
			for _, o := range w.replicas {
				w.hear(o, w.told[0])
			}
		}
	}
	for _, r := range w.replicas[1:] {
		if !crdt.Equal(w.replicas[0].state, r.state) {
			t.Fatalf("%s and %s differ:\n%v\n%v", w.replicas[0].name, r.name, w.replicas[0].state, r.state)
		}
	}
	if err := crdt.Check(w.replicas[0].state); err != nil {
		t.Fatal(err)
	}
	return w.replicas[0].state
}

func number(n int64) *settingsv1.Value {
	return &settingsv1.Value{Kind: &settingsv1.Value_IntValue{IntValue: n}}
}

// set writes a register as a region does: at a stamp after all that it knows.
func (w *world) set(e *crdt.Edit, r *replica, key string, n int64) (*settingsv1.Stamp, error) {
	stamp, err := crdt.Tick(w.clock(r), e.Latest())
	if err != nil {
		return nil, err
	}
	return stamp, e.Set(key, number(n), stamp)
}

// anything is a random write.
func (w *world) anything(t *rapid.T, r *replica) {
	n := rapid.Int64Range(-9, 9).Draw(t, "n")
	text := strconv.FormatInt(n, 10)
	id := []byte(nil)
	if k := rapid.IntRange(0, 6).Draw(t, "id"); k > 0 {
		id = []byte{byte(k)}
	}
	_ = w.edit(r, func(e *crdt.Edit) error {
		var errs [4]error
		for range rapid.IntRange(1, 3).Draw(t, "operations") {
			switch rapid.IntRange(0, 5).Draw(t, "operation") {
			case 0:
				_, errs[0] = w.set(e, r, rapid.SampledFrom([]string{"v", "x"}).Draw(t, "key"), n)
			case 1:
				errs[1] = e.Raise(rapid.SampledFrom([]string{"m", "x"}).Draw(t, "key"), n)
			case 2:
				errs[2] = e.Increment(rapid.SampledFrom([]string{"c", "x"}).Draw(t, "key"), n, id, w.now)
			case 3:
				errs[3] = e.Add(rapid.SampledFrom([]string{"s", "x"}).Draw(t, "key"), text)
			case 4:
				errs[3] = e.Remove("s", text)
			case 5:
				e.Delete(rapid.SampledFrom([]string{"v", "m", "c", "s", "x"}).Draw(t, "key"))
			}
		}
		return nil
	})
}

func TestMergeIsAJoin(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "write") {
				w.anything(t, w.draw(t))
			} else {
				w.step(t)
			}
			for _, r := range w.replicas {
				if err := crdt.Check(r.state); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, r := range w.replicas {
			w.tell(r)
		}
		draw := func(name string) *settingsv1.State { return rapid.SampledFrom(w.told).Draw(t, name).state }
		a, b, c := draw("a"), draw("b"), draw("c")
		if x, y := crdt.Merge(a, b), crdt.Merge(b, a); !crdt.Equal(x, y) {
			t.Fatalf("not commutative:\n%v\n%v", x, y)
		}
		if x, y := crdt.Merge(crdt.Merge(a, b), c), crdt.Merge(a, crdt.Merge(b, c)); !crdt.Equal(x, y) {
			t.Fatalf("not associative:\n%v\n%v", x, y)
		}
		if x := crdt.Merge(a, a); !crdt.Equal(x, crdt.Merge(a, &settingsv1.State{})) || !crdt.Equal(crdt.Merge(x, a), x) {
			t.Fatalf("not idempotent:\n%v\n%v", x, a)
		}
		if x := crdt.Merge(a, b); !crdt.Equal(crdt.Merge(x, b), x) || !crdt.Equal(crdt.Merge(x, a), x) {
			t.Fatalf("not idempotent:\n%v", x)
		}
		w.settle(t)
	})
}
