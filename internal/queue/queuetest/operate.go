package queuetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/queue"
)

// operateTests are about what operators do, which needs the port alone.
func operateTests() []test {
	return []test{
		{name: "a list takes nothing away", run: func(f *fixture) {
			f.send("a", "a1", "a2")
			f.send("b", "b1")
			for range 3 {
				if got := f.list(queue.MaxBatch); len(got) != 3 {
					f.Errorf("listed %q, want 3 messages", got)
				}
			}
			if got := f.list(1); len(got) != 1 {
				f.Errorf("listed %q, want 1 message", got)
			}
			f.drain(f.Queue, 3)
			if got := f.list(queue.MaxBatch); len(got) > 0 {
				f.Errorf("listed %q of an empty queue", got)
			}
		}},
		{name: "redriven are all, in order", run: func(f *fixture) {
			want := numbered("a", 25)
			f.send("a", want...)
			f.redrive(nil, 25)
			f.none(f.Queue)
			f.has(f.Dead, want...)
		}},
		{name: "redriven are large ones", run: func(f *fixture) {
			want := make([]string, 8)
			for i := range want {
				want[i] = strings.Repeat(string(rune('a'+i)), queue.MaxMessageBytes/3)
				f.send("a", want[i])
			}
			f.redrive(nil, 8)
			if !slices.Equal(want, bodies(f.drain(f.Dead, 8))) {
				f.Error("the messages are not what was sent")
			}
		}},
		{name: "redriven are those that are named", run: func(f *fixture) {
			f.send("a", "a1", "a2", "a3")
			f.send("b", "b1")
			ids := f.ids("a2", "b1")
			f.redrive(ids, 2)
			got := bodies(f.drain(f.Dead, 2))
			slices.Sort(got)
			if diff := cmp.Diff([]string{"a2", "b1"}, got); diff != "" {
				f.Errorf("redriven (-want +got):\n%s", diff)
			}
			f.has(f.Queue, "a1", "a3")
		}},
		{name: "redriven is what was sent minutes ago", run: func(f *fixture) {
			f.accepted(f.Dead, queue.Outgoing{Group: "a", Deduplication: "1", Body: []byte("a1")})
			f.accepted(f.Queue, queue.Outgoing{Group: "a", Deduplication: "1", Body: []byte("a1")})
			f.redrive(nil, 1) // Under a fresh id, so that it is no repetition.
			f.has(f.Dead, "a1", "a1")
		}},
		{name: "redriven from nothing, or to itself", run: func(f *fixture) {
			f.redrive(nil, 0)
			_, err := queue.Redrive(f.Context(), f.Queue, f.Queue, nil, f.fresh())
			f.is("redrive", err, queue.ErrInvalid)
		}},
		{name: "dropped are those that are named", run: func(f *fixture) {
			f.send("a", "a1", "a2", "a3")
			if n, err := queue.Drop(f.Context(), f.Queue, f.ids("a1", "a3")); n != 2 || err != nil {
				f.Errorf("dropped %d, %v; want 2", n, err)
			}
			f.has(f.Queue, "a2")
		}},
		{name: "dropped are all", run: func(f *fixture) {
			f.send("a", numbered("a", 23)...)
			f.depth(f.Queue, 23, 0)
			if n, err := queue.Drop(f.Context(), f.Queue, nil); n != 23 || err != nil {
				f.Errorf("dropped %d, %v; want 23", n, err)
			}
			f.none(f.Queue)
		}},
	}
}

func (f *fixture) list(limit int) []string {
	f.Helper()
	got, err := queue.List(f.Context(), f.Queue, limit)
	if err != nil {
		f.Fatalf("list: %v", err)
	}
	return bodies(got)
}

// ids returns the ids of the messages with these bodies.
func (f *fixture) ids(of ...string) map[string]struct{} {
	f.Helper()
	all, err := queue.List(f.Context(), f.Queue, 100)
	if err != nil {
		f.Fatalf("list: %v", err)
	}
	ids := map[string]struct{}{}
	for _, m := range all {
		if slices.Contains(of, string(m.Body)) {
			ids[m.ID] = struct{}{}
		}
	}
	if len(ids) != len(of) {
		f.Fatalf("found %d of %q", len(ids), of)
	}
	return ids
}

func (f *fixture) fresh() func() string {
	n := 0
	return func() string { n++; return fmt.Sprintf("fresh/%d", n) }
}

// redrive moves messages from the queue to its dead-letter queue, which is a way that works with both adapters as the other does.
func (f *fixture) redrive(ids map[string]struct{}, want int) {
	f.Helper()
	waiting, err := f.Queue.Depth(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	if want > 0 && f.clock == nil {
		f.depth(f.Queue, max(want, waiting.Waiting), 0)
	}
	if n, err := queue.Redrive(f.Context(), f.Queue, f.Dead, ids, f.fresh()); n != want || err != nil {
		f.Fatalf("redriven %d, %v; want %d", n, err, want)
	}
}
