package queuetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/queue"
)

// reception is what a Receive in the background returned.
type reception struct {
	got  []queue.Message
	err  error
	took time.Duration
}

// waiting receives in the background, waiting as long as may be.
func (f *fixture) waiting(ctx context.Context) <-chan reception {
	done := make(chan reception, 1)
	go func() {
		begin := time.Now()
		got, err := f.Queue.Receive(ctx, queue.Receive{Max: 1, Visibility: inFlight, Wait: queue.MaxWait})
		done <- reception{got, err, time.Since(begin)}
	}()
	return done
}

// wakes checks that a waiting Receive returns the message, before its wait is over.
func (f *fixture) wakes(done <-chan reception, want string) {
	f.Helper()
	r := <-done
	if r.err != nil || len(r.got) != 1 || string(r.got[0].Body) != want {
		f.Fatalf("received %q, %v; want %q", bodies(r.got), r.err, want)
	}
	if r.took > queue.MaxWait/2 {
		f.Errorf("it took %v", r.took)
	}
}

func waitingTests() []test {
	return []test{
		{name: "a wait ends with a message", run: func(f *fixture) {
			done := f.waiting(f.Context())
			f.settle()
			f.send("a", "a1")
			f.wakes(done, "a1")
		}},
		{name: "a wait ends with a deletion", run: func(f *fixture) {
			f.send("a", "a1", "a2")
			m := f.one("a1", inFlight)
			done := f.waiting(f.Context())
			f.settle()
			f.remove(m)
			f.wakes(done, "a2")
		}},
		{name: "a wait ends with what is given back", run: func(f *fixture) {
			f.send("a", "a1")
			m := f.one("a1", inFlight)
			done := f.waiting(f.Context())
			f.settle()
			f.extend(0, m)
			f.wakes(done, "a1")
		}},
		{name: "a wait ends with a time-out", run: func(f *fixture) {
			if f.clock != nil {
				f.Skip("time-outs end by a clock that stands, and waits in real time")
			}
			f.send("a", "a1")
			f.one("a1", brief)
			f.wakes(f.waiting(f.Context()), "a1")
		}},
		{name: "a wait ends with a time-out that was shortened", run: func(f *fixture) {
			if f.clock != nil {
				f.Skip("as above")
			}
			f.send("a", "a1")
			m := f.one("a1", inFlight)
			done := f.waiting(f.Context())
			f.settle()
			f.extend(brief, m)
			f.wakes(done, "a1")
		}},
		{name: "a wait for nothing", run: func(f *fixture) {
			const wait = time.Second
			begin := time.Now()
			got, err := f.Queue.Receive(f.Context(), queue.Receive{Max: 1, Visibility: inFlight, Wait: wait})
			if took := time.Since(begin); err != nil || len(got) > 0 || took < wait-100*time.Millisecond {
				f.Errorf("received %q, %v, after %v", bodies(got), err, took)
			}
		}},
		{name: "a wait ends with its context", run: func(f *fixture) {
			ctx, cancel := context.WithCancel(f.Context())
			done := f.waiting(ctx)
			f.settle()
			cancel()
			if r := <-done; !errors.Is(r.err, context.Canceled) || r.took > queue.MaxWait/2 {
				f.Errorf("%v after %v, want canceled", r.err, r.took)
			}
			f.send("a", "a1") // And nothing is lost to who has gone.
			f.has(f.Queue, "a1")
		}},
		{name: "each who waits gets one", run: func(f *fixture) {
			const n = 6
			waits := make([]<-chan reception, 0, n)
			for range n {
				waits = append(waits, f.waiting(f.Context()))
			}
			f.settle()
			want, got := make([]string, 0, n), make([]string, 0, n)
			for i := range n {
				want = append(want, fmt.Sprintf("m%d", i))
				f.send(fmt.Sprintf("g%d", i), want[i])
			}
			for _, done := range waits {
				r := <-done
				if r.err != nil || r.took > queue.MaxWait/2 {
					f.Errorf("%v after %v", r.err, r.took)
				}
				got = append(got, bodies(r.got)...)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				f.Errorf("messages (-want +got):\n%s", diff)
			}
		}},
	}
}

// settle gives a Receive in the background time to begin its wait, so that mostly it is the wait that is tested.
func (f *fixture) settle() {
	select {
	case <-time.After(50 * time.Millisecond):
	case <-f.Context().Done():
	}
}

func depthTests() []test {
	return []test{
		{name: "empty", run: func(f *fixture) { f.depth(f.Queue, 0, 0) }},
		{name: "waiting and in flight", run: func(f *fixture) {
			f.send("a", "a1", "a2", "a3")
			f.send("b", "b1")
			f.depth(f.Queue, 4, 0)
			first := f.receive(1, inFlight)[0]
			f.depth(f.Queue, 3, 1)
			second := f.receive(1, inFlight)[0]
			f.depth(f.Queue, 2, 2)
			f.remove(first)
			f.depth(f.Queue, 2, 1)
			f.extend(0, second)
			f.depth(f.Queue, 3, 0)
		}},
		{name: "time-outs and dead letters", maxReceives: 1, run: func(f *fixture) {
			f.send("a", "a1")
			f.one("a1", brief)
			f.depth(f.Queue, 0, 1)
			f.pass(brief)
			f.gone(f.Queue)
			f.depth(f.Dead, 1, 0)
		}},
		{name: "the oldest", clock: true, run: func(f *fixture) {
			begin := f.clock.Read()
			for _, m := range []string{"a1", "b1", "a2"} {
				f.send(m[:1], m)
				f.pass(time.Minute)
			}
			for i, want := range []string{"a1", "b1", "a2"} {
				d, err := f.Queue.Depth(f.Context())
				if at := begin.Add(time.Duration(i) * time.Minute); err != nil || !d.Oldest.Equal(at) {
					f.Errorf("the oldest is of %v, %v; want %v", d.Oldest, err, at)
				}
				f.remove(f.one(want, inFlight))
			}
			if d, err := f.Queue.Depth(f.Context()); err != nil || !d.Oldest.IsZero() {
				f.Errorf("the oldest is of %v, %v; want none", d.Oldest, err)
			}
		}},
	}
}

// gone checks that a queue becomes empty, from which nothing can be received. It is the attempt that moves a dead letter, and what ends a
// time-out may be late.
func (f *fixture) gone(q queue.Queue) {
	f.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end) && f.clock == nil; f.settle() {
		f.none(q)
		if d, err := q.Depth(f.Context()); err != nil || d == (queue.Depth{}) {
			break
		}
	}
	f.none(q)
	f.depth(q, 0, 0)
}

// depth checks how full a queue is, which it may say some time later.
func (f *fixture) depth(q queue.Queue, waiting, inFlight int) {
	f.Helper()
	var d queue.Depth
	for end := time.Now().Add(patience); time.Now().Before(end); {
		var err error
		if d, err = q.Depth(f.Context()); err != nil {
			f.Fatalf("depth: %v", err)
		}
		if d.Waiting == waiting && d.InFlight == inFlight {
			return
		}
		if f.clock != nil {
			break // The embedded queue says how it is.
		}
		f.settle()
	}
	f.Errorf("%d wait and %d are in flight; want %d and %d", d.Waiting, d.InFlight, waiting, inFlight)
}
