package queuetest

import (
	"errors"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/queue"
)

func visibilityTests() []test { return append(timeOutTests(), receiptTests()...) }

func timeOutTests() []test {
	return []test{
		{name: "a message comes again after its time-out", run: func(f *fixture) {
			f.send("a", "a1", "a2")
			first := f.one("a1", brief)
			f.pass(brief)
			again := f.one("a1", inFlight)
			if again.ID != first.ID || again.Group != first.Group || !again.Sent.Equal(first.Sent) {
				f.Errorf("received %+v, and then %+v", first, again)
			}
			if again.Receives != 2 || again.Receipt == first.Receipt {
				f.Errorf("received %+v, want a new receipt and a count of 2", again)
			}
			f.remove(again)
			f.has(f.Queue, "a2")
		}},
		{name: "and not before", clock: true, run: func(f *fixture) {
			f.send("a", "a1")
			f.one("a1", brief)
			f.pass(brief - time.Millisecond)
			f.none(f.Queue)
			f.pass(time.Millisecond)
			f.has(f.Queue, "a1")
		}},
		{name: "a time-out is extended", run: func(f *fixture) {
			f.send("a", "a1")
			m := f.one("a1", brief)
			f.extend(inFlight, m)
			f.pass(brief + time.Second)
			f.none(f.Queue)
			f.remove(m)
			f.none(f.Queue)
		}},
		{name: "a time-out is shortened", run: func(f *fixture) {
			f.send("a", "a1", "a2")
			f.extend(brief, f.one("a1", inFlight))
			f.pass(brief)
			f.has(f.Queue, "a1", "a2")
		}},
		{name: "an extension ends", clock: true, run: func(f *fixture) {
			f.send("a", "a1")
			m := f.one("a1", time.Minute)
			f.pass(30 * time.Second)
			f.extend(time.Minute, m) // From now, not from the end.
			f.pass(time.Minute - time.Millisecond)
			f.none(f.Queue)
			f.pass(time.Millisecond)
			f.has(f.Queue, "a1")
		}},
		{name: "no extension beyond 12 hours", clock: true, run: func(f *fixture) {
			f.send("a", "a1")
			m := f.one("a1", queue.MaxVisibility)
			f.pass(time.Hour)
			f.refused(queue.ErrInvalid, func() ([]error, error) {
				return f.Queue.Extend(f.Context(), []string{m.Receipt}, queue.MaxVisibility)
			})
			f.extend(queue.MaxVisibility-time.Hour, m)
		}},
	}
}

func receiptTests() []test {
	return []test{
		{name: "an old receipt is stale", run: func(f *fixture) {
			f.send("a", "a1")
			first := f.one("a1", brief)
			f.pass(brief)
			again := f.one("a1", inFlight)
			f.stale(first.Receipt)
			f.none(f.Queue)
			f.remove(again)
			f.none(f.Queue)
		}},
		{name: "a receipt is stale after its time-out", clock: true, run: func(f *fixture) {
			f.send("a", "a1")
			first := f.one("a1", brief)
			f.pass(brief)
			f.stale(first.Receipt)
			f.has(f.Queue, "a1")
		}},
		{name: "a receipt that was given back is stale", run: func(f *fixture) {
			f.send("a", "a1")
			first := f.one("a1", inFlight)
			f.extend(0, first)
			again := f.one("a1", inFlight)
			f.stale(first.Receipt)
			f.remove(again)
		}},
		{name: "no receipt at all is stale", run: func(f *fixture) {
			f.send("a", "a1")
			for _, receipt := range []string{"x", "AAAAAAAAAAAAAAAAAAAAAA", "//////////////////////", "_____________________w"} {
				f.stale(receipt)
			}
			f.has(f.Queue, "a1")
		}},
		{name: "what is deleted is gone", run: func(f *fixture) {
			f.send("a", "a1")
			m := f.one("a1", brief)
			f.remove(m)
			f.remove(m)
			f.refused(queue.ErrStale, func() ([]error, error) {
				return f.Queue.Extend(f.Context(), []string{m.Receipt}, time.Minute)
			})
			f.pass(brief)
			f.none(f.Queue)
			f.remove(m) // To delete what is deleted succeeds, also later.
		}},
		{name: "a batch fails in part", run: func(f *fixture) {
			f.send("a", "a1")
			f.send("b", "b1")
			first, second := f.receive(1, inFlight)[0], f.receive(1, inFlight)[0]
			f.extend(0, first)
			for _, call := range []func([]string) ([]error, error){
				func(r []string) ([]error, error) { return f.Queue.Extend(f.Context(), r, inFlight) },
				func(r []string) ([]error, error) { return f.Queue.Delete(f.Context(), r) },
			} {
				failed, err := call([]string{first.Receipt, second.Receipt})
				if err != nil || len(failed) != 2 || !errors.Is(failed[0], queue.ErrStale) || failed[1] != nil {
					f.Errorf("failed %v, %v; want the first alone to be stale", failed, err)
				}
			}
			f.has(f.Queue, string(first.Body))
		}},
		{name: "a receipt twice in a batch", run: func(f *fixture) {
			f.send("a", "a1", "a2")
			m := f.one("a1", inFlight)
			f.extend(inFlight, m, m)
			f.remove(m, m)
			f.has(f.Queue, "a2")
		}},
	}
}

func deadLetterTests() []test {
	return []test{
		{name: "after so many receptions", maxReceives: 3, run: func(f *fixture) {
			f.send("a", "a1", "a2")
			id := ""
			for n := range 3 {
				m := f.one("a1", inFlight)
				if m.Receives != n+1 {
					f.Errorf("received %d times, want %d", m.Receives, n+1)
				}
				id = m.ID
				f.extend(0, m)
			}
			f.has(f.Queue, "a2")
			got := f.drain(f.Dead, 1)[0]
			if got.ID != id || got.Group != "a" || string(got.Body) != "a1" {
				f.Errorf("the dead letter is %+v, want a1 of group a with the id %s", got, id)
			}
		}},
		{name: "after so many time-outs", maxReceives: 2, run: func(f *fixture) {
			f.send("a", "a1", "a2")
			for range 2 {
				f.one("a1", brief)
				f.pass(brief)
			}
			f.has(f.Queue, "a2")
			f.has(f.Dead, "a1")
		}},
		{name: "not what is deleted at last", maxReceives: 2, run: func(f *fixture) {
			f.send("a", "a1")
			f.extend(0, f.one("a1", inFlight))
			f.remove(f.one("a1", inFlight))
			f.none(f.Queue)
			f.none(f.Dead)
		}},
		{name: "not while the last reception lasts", maxReceives: 1, run: func(f *fixture) {
			f.send("a", "a1", "a2")
			m := f.one("a1", inFlight)
			f.none(f.Queue)
			f.none(f.Dead)
			f.remove(m)
			f.has(f.Queue, "a2")
		}},
		{name: "in the order of their group", maxReceives: 1, run: func(f *fixture) {
			want := numbered("a", 14)
			f.send("a", want...)
			for received := 0; received < len(want); {
				got := f.receive(10, inFlight)
				if diff := cmp.Diff(want[received:received+len(got)], bodies(got)); diff != "" {
					f.Fatalf("messages (-want +got):\n%s", diff)
				}
				received += len(got)
				f.extend(0, got...)
			}
			f.none(f.Queue)
			f.has(f.Dead, want...)
		}},
		{name: "its receipts are stale", maxReceives: 1, run: func(f *fixture) {
			f.send("a", "a1", "a2")
			m := f.one("a1", inFlight)
			f.extend(0, m)
			f.has(f.Queue, "a2")
			f.stale(m.Receipt)
			f.has(f.Dead, "a1")
		}},
		{name: "one of several in a reception", maxReceives: 2, run: func(f *fixture) {
			f.send("a", "a1")
			f.extend(0, f.one("a1", inFlight))
			f.send("a", "a2", "a3")
			f.extend(0, f.receive(10, inFlight)...) // For a1 the last, for the others the first.
			f.has(f.Queue, "a2", "a3")
			f.has(f.Dead, "a1")
		}},
	}
}
