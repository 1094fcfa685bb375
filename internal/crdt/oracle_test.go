package crdt_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/crdt"
)

// written is one write as an onlooker sees it who knows everything.
type written struct {
	dot   *settingsv1.Dot
	stamp *settingsv1.Stamp
	value int64
	text  string
}

// removal removes what its author had seen: of one member, or of the whole entry.
type removal struct {
	seen   map[string]uint64
	member string
}

func survives(w written, removals []removal) bool {
	return !slices.ContainsFunc(removals, func(r removal) bool {
		return (r.member == "" || r.member == w.text) && crdt.Covers(r.seen, w.dot)
	})
}

func (r *replica) dot() *settingsv1.Dot { return &settingsv1.Dot{Region: r.name, Seq: r.seq} }

// Each kind of entry is what an onlooker says that it must be, when all have heard all.
func TestEntriesAreWhatTheWritesSay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		writes, removals := map[string][]written{}, map[string][]removal{}
		for i := range rapid.IntRange(0, 60).Draw(t, "steps") {
			if !rapid.Bool().Draw(t, "write") {
				w.step(t)
				continue
			}
			r, n := w.draw(t), rapid.Int64Range(-3, 3).Draw(t, "n")
			before := maps.Clone(r.state.GetSeen())
			var done written
			key, err := "", error(nil)
			err = w.edit(r, func(e *crdt.Edit) error {
				switch rapid.IntRange(0, 5).Draw(t, "operation") {
				case 0:
					key = "v"
					done.stamp, err = w.set(e, r, key, n)
				case 1:
					key = "m"
					err = e.Raise(key, n)
				case 2:
					key = "c"
					err = e.Increment(key, n, []byte(strconv.Itoa(i)), w.now)
				case 3:
					key, done.text = "s", strconv.FormatInt(n, 10)
					err = e.Add(key, done.text)
				case 4:
					removals["s"] = append(removals["s"], removal{before, strconv.FormatInt(n, 10)})
					err = e.Remove("s", strconv.FormatInt(n, 10))
				case 5:
					gone := rapid.SampledFrom([]string{"v", "m", "c", "s"}).Draw(t, "key")
					removals[gone] = append(removals[gone], removal{seen: before})
					e.Delete(gone)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if key != "" {
				done.dot, done.value = r.dot(), n
				if key == "m" {
					done.value = crdt.Show(r.state.GetEntries()["m"]).GetMaximum()
				}
				writes[key] = append(writes[key], done)
			}
		}
		got := crdt.Shown(w.settle(t))
		want := map[string]*settingsv1.Entry{}
		if left := slices.DeleteFunc(writes["v"], func(x written) bool { return !survives(x, removals["v"]) }); len(left) > 0 {
			want["v"] = &settingsv1.Entry{Value: number(slices.MaxFunc(left, laterWrite).value)}
		}
		for _, x := range writes["m"] {
			if survives(x, removals["m"]) {
				largest := max(x.value, want["m"].GetMaximum())
				if want["m"] == nil {
					largest = x.value
				}
				want["m"] = &settingsv1.Entry{Maximum: &largest}
			}
		}
		for _, x := range writes["c"] {
			if survives(x, removals["c"]) {
				sum := want["c"].GetCount() + x.value
				want["c"] = &settingsv1.Entry{Count: &sum}
			}
		}
		members := map[string]bool{}
		for _, x := range writes["s"] {
			if survives(x, removals["s"]) {
				members[x.text] = true
				want["s"] = &settingsv1.Entry{Members: slices.Sorted(maps.Keys(members))}
			}
		}
		if diff := gocmp.Diff(text(want), text(got)); diff != "" {
			t.Fatalf("entries (-want +got):\n%s", diff)
		}
	})
}

// laterWrite orders by stamp, then by region.
func laterWrite(x, y written) int {
	return cmp.Or(crdt.CompareStamps(x.stamp, y.stamp), strings.Compare(x.dot.GetRegion(), y.dot.GetRegion()))
}

func text(entries map[string]*settingsv1.Entry) map[string]string {
	all := map[string]string{}
	for key, e := range entries {
		all[key] = fmt.Sprint(e.GetValue().GetIntValue(), e.Maximum, e.Count, e.GetMembers())
		if e.Maximum != nil || e.Count != nil {
			all[key] = fmt.Sprint(e.GetMaximum(), e.GetCount())
		}
	}
	return all
}

// Calls are repeated under their keys in any region for a day. Each counts once when all have heard all, whenever it was folded,
// and once everybody has heard of everything old, one cell for each region is left.
func TestIncrementsCountOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		first := map[byte]time.Time{}
		var want int64
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			if !rapid.Bool().Draw(t, "write") {
				w.step(t)
				continue
			}
			id := byte(rapid.IntRange(1, 8).Draw(t, "id"))
			begun, known := first[id]
			if known && w.now.Sub(begun) >= keyLife {
				continue // by now nobody repeats it
			}
			amount := int64(1) << (2 * id)
			if id%2 == 1 {
				amount = -amount
			}
			if err := w.edit(w.draw(t), func(e *crdt.Edit) error { return e.Increment("c", amount, []byte{id}, w.now) }); err != nil {
				t.Fatal(err)
			}
			if !known {
				first[id], want = w.now, want+amount
			}
		}
		check := func() *settingsv1.State {
			s := w.settle(t)
			if got := crdt.Show(s.GetEntries()["c"]).GetCount(); got != want {
				t.Fatalf("counted %d, want %d: %v", got, want, s)
			}
			return s
		}
		check()
		w.now = w.now.Add(2 * keyLife)
		for _, r := range w.replicas {
			w.fold(r)
		}
		if s := check(); len(s.GetEntries()["c"].GetCount()) > len(w.replicas) || crdt.Foldable(s, w.now) {
			t.Fatalf("not folded: %v", s)
		}
	})
}
