package queuetest

import (
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/queue"
)

func orderTests() []test {
	return []test{
		{name: "a group comes in its order", run: func(f *fixture) {
			want := numbered("a", 35)
			f.send("a", want...)
			f.has(f.Queue, want...)
		}},
		{name: "each of many groups comes in its order", run: func(f *fixture) {
			const groups, each = 12, 15
			for n := range each {
				for g := range groups {
					f.send(fmt.Sprintf("g%d", g), fmt.Sprintf("%d-%03d", g, n))
				}
			}
			next := make(map[string]int)
			for _, m := range f.drain(f.Queue, groups*each) {
				if want := fmt.Sprintf("%s-%03d", m.Group[1:], next[m.Group]); string(m.Body) != want {
					f.Fatalf("group %s: received %q, want %q", m.Group, m.Body, want)
				}
				next[m.Group]++
			}
		}},
		{name: "groups mixed in a batch keep their orders", run: func(f *fixture) {
			out := make([]queue.Outgoing, 0, queue.MaxBatch)
			for n := range 5 {
				out = append(out, f.outgoing("a", fmt.Sprintf("a%d", n))...)
				out = append(out, f.outgoing("b", fmt.Sprintf("b%d", n))...)
			}
			f.accepted(f.Queue, out...)
			got := map[string][]string{}
			for _, m := range f.drain(f.Queue, len(out)) {
				got[m.Group] = append(got[m.Group], string(m.Body))
			}
			want := map[string][]string{"a": {"a0", "a1", "a2", "a3", "a4"}, "b": {"b0", "b1", "b2", "b3", "b4"}}
			if diff := cmp.Diff(want, got); diff != "" {
				f.Errorf("messages (-want +got):\n%s", diff)
			}
		}},
		{name: "a message is what was sent", run: aMessageIsWhatWasSent},
		{name: "ids are distinct", run: func(f *fixture) {
			f.send("a", numbered("a", 10)...)
			f.send("b", numbered("b", 10)...)
			ids := map[string]struct{}{}
			for _, m := range f.drain(f.Queue, 20) {
				ids[m.ID] = struct{}{}
			}
			if len(ids) != 20 {
				f.Errorf("20 messages have %d ids", len(ids))
			}
		}},
	}
}

func blockingTests() []test {
	return []test{
		{name: "a group waits for its message in flight", run: func(f *fixture) {
			f.send("a", "a1", "a2")
			m := f.one("a1", inFlight)
			f.none(f.Queue)
			f.remove(m)
			f.has(f.Queue, "a2")
		}},
		{name: "other groups do not wait", run: func(f *fixture) {
			f.send("a", "a1", "a2")
			f.one("a1", inFlight)
			f.send("b", "b1")
			m := f.one("b1", inFlight)
			f.none(f.Queue)
			f.remove(m)
			f.none(f.Queue)
		}},
		{name: "what comes later waits too", run: func(f *fixture) {
			f.send("a", "a1")
			m := f.one("a1", inFlight)
			f.send("a", "a2")
			f.none(f.Queue)
			f.remove(m)
			f.has(f.Queue, "a2")
		}},
		{name: "a group waits for all of a reception", run: func(f *fixture) {
			want := numbered("a", 5)
			f.send("a", want...)
			got := f.receive(3, inFlight)
			if diff := cmp.Diff(want[:len(got)], bodies(got)); diff != "" {
				f.Fatalf("messages (-want +got):\n%s", diff)
			}
			for i := range got {
				f.none(f.Queue)
				f.remove(got[len(got)-1-i])
			}
			f.has(f.Queue, want[len(got):]...)
		}},
		{name: "what was given back comes first", run: func(f *fixture) {
			f.send("a", "a1", "a2", "a3")
			f.extend(0, f.one("a1", inFlight))
			m := f.one("a1", inFlight)
			if m.Receives != 2 {
				f.Errorf("received %d times, want 2", m.Receives)
			}
			f.remove(m)
			f.has(f.Queue, "a2", "a3")
		}},
		{name: "a reception of several is given back in order", run: func(f *fixture) {
			want := numbered("a", 12)
			f.send("a", want...)
			for range 3 {
				f.extend(0, f.receive(10, inFlight)...)
			}
			f.has(f.Queue, want...)
		}},
		{name: "the rest of a reception comes again before what follows", run: func(f *fixture) {
			want := numbered("a", 12)
			f.send("a", want...)
			got := f.receive(10, inFlight)
			f.remove(got[0])
			if len(got) > 1 {
				f.extend(0, got[1:]...)
			}
			f.has(f.Queue, want[1:]...)
		}},
	}
}

func aMessageIsWhatWasSent(f *fixture) {
	body := make([]byte, 256)
	for i := range body {
		body[i] = byte(i)
	}
	before := f.now()
	f.accepted(f.Queue, queue.Outgoing{Group: "the-group", Deduplication: "d", Body: body})
	after := f.now()
	got := f.receive(10, inFlight)
	if len(got) != 1 || string(got[0].Body) != string(body) {
		f.Fatalf("received %q", bodies(got))
	}
	m := got[0]
	if m.Group != "the-group" || m.ID == "" || m.Receipt == "" || m.Receives != 1 {
		f.Errorf("received %+v", m)
	}
	const tolerance = 5 * time.Second // Two machines' clocks.
	if f.clock == nil {
		before, after = before.Add(-tolerance), after.Add(tolerance)
	}
	if m.Sent.Before(before) || m.Sent.After(after) {
		f.Errorf("sent at %v, want between %v and %v", m.Sent, before, after)
	}
}
