package queuetest

import (
	"context"
	"errors"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/queue"
)

func lifecycleTests() []test { return append(endTests(), reopenTests()...) }

func endTests() []test {
	return []test{
		{name: "an ended context", run: func(f *fixture) {
			f.send("a", "a1", "a2")
			m := f.one("a1", inFlight)
			ctx, cancel := context.WithCancel(f.Context())
			cancel()
			for name, err := range f.calls(ctx, m.Receipt) {
				f.is(name, err, context.Canceled)
			}
			f.remove(m)
			f.has(f.Queue, "a2")
		}},
		{name: "contexts that end during calls", run: contextsThatEndDuringCalls},
		{name: "a closed queue", run: func(f *fixture) {
			if f.Close == nil {
				f.Skip("this queue cannot be closed")
			}
			f.send("a", "a1")
			m := f.one("a1", inFlight)
			done := f.waiting(f.Context())
			f.settle()
			if err := f.Close(); err != nil {
				f.Fatal(err)
			}
			f.is("waiting", (<-done).err, queue.ErrClosed)
			for name, err := range f.calls(f.Context(), m.Receipt) {
				f.is(name, err, queue.ErrClosed)
			}
		}},
	}
}

func reopenTests() []test {
	return []test{
		{name: "messages are kept", run: func(f *fixture) {
			want := numbered("a", 150)
			f.send("a", want...)
			f.send("b", "b1")
			f.remove(f.one(want[0], inFlight))
			f.reopen()
			got := map[string][]string{}
			for _, m := range f.drain(f.Queue, len(want)) {
				got[m.Group] = append(got[m.Group], string(m.Body))
			}
			if diff := cmp.Diff(map[string][]string{"a": want[1:], "b": {"b1"}}, got); diff != "" {
				f.Errorf("messages (-want +got):\n%s", diff)
			}
			f.reopen()
			f.none(f.Queue)
		}},
		{name: "order goes on", run: func(f *fixture) {
			var want []string
			for i := range 4 {
				more := numbered(string(rune('a'+i)), 3)
				f.send("a", more...)
				want = append(want, more...)
				f.reopen()
			}
			f.has(f.Queue, want...)
		}},
		{name: "receptions are kept", maxReceives: 3, run: func(f *fixture) {
			f.send("a", "a1", "a2")
			f.extend(0, f.one("a1", inFlight))
			old := f.one("a1", inFlight)
			f.reopen()
			f.none(f.Queue)
			f.extend(0, old) // The receipt is good for as long as it was.
			f.reopen()
			f.staleSince(old.Receipt)
			m := f.one("a1", inFlight)
			if m.Receives != 3 || m.ID != old.ID {
				f.Errorf("received %+v, want the third time", m)
			}
			f.reopen()
			f.extend(0, m)
			f.has(f.Queue, "a2")
			f.reopen()
			f.staleSince(m.Receipt)
			f.none(f.Queue)
			f.has(f.Dead, "a1")
		}},
		{name: "time-outs are kept", clock: true, run: func(f *fixture) {
			f.send("a", "a1", "a2")
			f.send("b", "b1")
			f.extend(time.Hour, f.one("a1", time.Minute))
			f.one("b1", time.Minute)
			f.reopen()
			f.none(f.Queue)
			f.pass(time.Minute)
			f.remove(f.one("b1", inFlight))
			f.none(f.Queue)
			f.reopen()
			f.pass(time.Hour - time.Minute)
			f.has(f.Queue, "a1", "a2")
		}},
		{name: "deduplication ids are kept", run: func(f *fixture) {
			first := queue.Outgoing{Group: "a", Deduplication: "1", Body: []byte("first")}
			f.accepted(f.Queue, first)
			f.has(f.Queue, "first")
			f.reopen()
			f.accepted(f.Queue, first)
			f.none(f.Queue)
		}},
		{name: "a deletion is kept, and its receipt harmless", run: func(f *fixture) {
			f.send("a", "a1")
			m := f.one("a1", inFlight)
			f.remove(m)
			f.reopen()
			f.send("a", "a2")
			f.remove(m)
			f.has(f.Queue, "a2")
		}},
	}
}

// calls makes each call and returns its error.
func (f *fixture) calls(ctx context.Context, receipt string) map[string]error {
	_, send := f.Queue.Send(ctx, f.outgoing("z", "z1"))
	_, receive := f.Queue.Receive(ctx, queue.Receive{Max: 1, Visibility: inFlight})
	_, remove := f.Queue.Delete(ctx, []string{receipt})
	_, extend := f.Queue.Extend(ctx, []string{receipt}, 0)
	_, depth := f.Queue.Depth(ctx)
	return map[string]error{"send": send, "receive": receive, "delete": remove, "extend": extend, "depth": depth}
}

// reopen closes the queues and opens them again.
func (f *fixture) reopen() {
	f.Helper()
	if f.Reopen == nil {
		f.Skip("this queue cannot be opened again")
	}
	f.Queues = f.Reopen()
}

// contextsThatEndDuringCalls: whoever goes away leaves its outcome open, and everybody else in order.
func contextsThatEndDuringCalls(f *fixture) {
	const n = 100
	certain := map[string]bool{}
	for i, body := range numbered("m", n) {
		ctx, cancel := context.WithCancel(f.Context())
		if i%2 == 0 {
			go cancel()
		}
		failed, err := f.Queue.Send(ctx, f.outgoing("a", body))
		cancel()
		if err = errors.Join(append(failed, err)...); err != nil && !errors.Is(err, context.Canceled) {
			f.Fatalf("send: %v", err)
		}
		certain[body] = err == nil
	}
	last, left := "", 0
	for _, sure := range certain {
		if sure {
			left++
		}
	}
	for left > 0 {
		for _, m := range f.receive(queue.MaxBatch, inFlight) {
			if string(m.Body) <= last {
				f.Fatalf("received %q after %q", m.Body, last)
			}
			last = string(m.Body)
			if certain[last] {
				left--
			}
			f.remove(m)
		}
	}
}
