package storequeue

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// After any changes, each group is where it belongs, and the counts are right.
func TestIndexPlacesGroups(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := newIndex(time.Hour, 0)
		now := int64(time.Hour)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				pending := rapid.Bool().Draw(t, "pending")
				x.place(x.add(strconv.Itoa(rapid.IntRange(0, 3).Draw(t, "group")), entry{number: x.next(), sent: now, since: now, pending: pending}), now)
			},
			"settle": func(t *rapid.T) {
				for _, g := range x.groups {
					for _, e := range slices.Clone(g.entries) {
						if e.pending && rapid.Bool().Draw(t, "stored") {
							x.confirm(g, e.number)
						} else if e.pending {
							x.remove(g, e.number)
						}
						x.place(g, now)
					}
				}
			},
			"receive": func(t *rapid.T) {
				for _, m := range x.take(rapid.IntRange(1, 10).Draw(t, "limit"), now) {
					x.receive(m.group, m.number, reception{deadline: now + int64(rapid.IntRange(1, 100).Draw(t, "visibility"))})
					m.group.taking = false
					x.place(m.group, now)
				}
			},
			"delete": func(t *rapid.T) {
				for number, f := range x.received {
					if rapid.Bool().Draw(t, "this one") {
						x.remove(f.group, number)
						x.place(f.group, now)
					}
				}
			},
			"pass": func(t *rapid.T) {
				now += int64(rapid.IntRange(0, 200).Draw(t, "time"))
				x.pass(now)
			},
			"": func(t *rapid.T) { checkIndex(t, x, now) },
		})
	})
}

func checkIndex(t *rapid.T, x *index, now int64) {
	t.Helper()
	stored, out, ready := 0, 0, 0
	for id, g := range x.groups {
		if len(g.entries) == 0 || g.id != id {
			t.Fatalf("group %q is kept with %d messages", id, len(g.entries))
		}
		if !slices.IsSortedFunc(g.entries, func(a, b entry) int { return int(a.number) - int(b.number) }) {
			t.Fatalf("group %q is out of order", id)
		}
		inFlight := 0
		for _, e := range g.entries {
			if !e.pending {
				stored++
			}
			if e.flight != nil && x.received[e.number] != e.flight {
				t.Fatalf("message %d is received, and cannot be found", e.number)
			}
			if e.flight != nil && e.flight.deadline > now {
				inFlight++
			}
		}
		if g.ready != nil {
			ready++
		}
		if free := inFlight == 0 && !g.entries[0].pending; free != (g.ready != nil) && g.deadline() <= now {
			t.Fatalf("group %q has %d in flight, first pending: %v; ready: %v", id, inFlight, g.entries[0].pending, g.ready != nil)
		}
		if g.deadline() > now && (g.ready != nil || g.outAt < 0 || x.out.groups[g.outAt] != g) {
			t.Fatalf("group %q is in flight, and ready or not watched", id)
		}
		if g.ageAt < 0 || x.ages.groups[g.ageAt] != g || g.entries[0].since < x.ages.top().entries[0].since {
			t.Fatalf("group %q is not where its age belongs", id)
		}
		out += len(g.out)
	}
	if stored != x.stored || out != x.inFlight || ready != x.ready.Len() || len(x.ages.groups) != len(x.groups) {
		t.Fatalf("%d stored, %d out, %d ready; counted %d, %d, %d", stored, out, ready, x.stored, x.inFlight, x.ready.Len())
	}
}
