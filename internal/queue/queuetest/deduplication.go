package queuetest

import (
	"time"

	"github.com/domicile-api/domicile/internal/queue"
)

func deduplicationTests() []test {
	message := func(id, body string) queue.Outgoing {
		return queue.Outgoing{Group: "a", Deduplication: id, Body: []byte(body)}
	}
	return []test{
		{name: "a repetition is accepted and not delivered", run: func(f *fixture) {
			f.accepted(f.Queue, message("1", "first"))
			f.accepted(f.Queue, message("1", "again"))
			f.has(f.Queue, "first")
		}},
		{name: "in one batch", run: func(f *fixture) {
			f.accepted(f.Queue, message("1", "first"), message("2", "second"), message("1", "again"), message("3", "third"))
			f.has(f.Queue, "first", "second", "third")
		}},
		{name: "among others", run: func(f *fixture) {
			f.accepted(f.Queue, message("1", "first"), message("2", "second"))
			f.accepted(f.Queue, message("3", "third"), message("1", "again"), message("4", "fourth"), message("2", "again"))
			f.has(f.Queue, "first", "second", "third", "fourth")
		}},
		{name: "while the first is in flight", run: func(f *fixture) {
			f.accepted(f.Queue, message("1", "first"))
			m := f.one("first", inFlight)
			f.accepted(f.Queue, message("1", "again"))
			f.remove(m)
			f.none(f.Queue)
		}},
		{name: "after the first was deleted", run: func(f *fixture) {
			f.accepted(f.Queue, message("1", "first"))
			f.has(f.Queue, "first")
			f.accepted(f.Queue, message("1", "again"))
			f.none(f.Queue)
			f.accepted(f.Queue, message("2", "second"))
			f.has(f.Queue, "second")
		}},
		{name: "for five minutes", clock: true, run: func(f *fixture) {
			f.accepted(f.Queue, message("1", "first"))
			f.has(f.Queue, "first")
			f.pass(queue.DeduplicationWindow - time.Millisecond)
			f.accepted(f.Queue, message("1", "again"))
			f.none(f.Queue)
			f.pass(2 * time.Second) // The repetition did not begin a window of its own.
			f.accepted(f.Queue, message("1", "later"))
			f.has(f.Queue, "later")
			f.pass(queue.DeduplicationWindow - time.Millisecond)
			f.accepted(f.Queue, message("1", "again"))
			f.none(f.Queue)
		}},
		{name: "of what is not accepted there is no repetition", run: func(f *fixture) {
			failed, err := f.Queue.Send(f.Context(), []queue.Outgoing{{Group: "no group", Deduplication: "1", Body: []byte("x")}})
			if err != nil || len(failed) != 1 || failed[0] == nil {
				f.Fatalf("failed %v, %v", failed, err)
			}
			f.accepted(f.Queue, message("1", "first"))
			f.has(f.Queue, "first")
		}},
	}
}
