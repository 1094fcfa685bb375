package queuetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/queue"
)

func limitTests() []test {
	return []test{
		{name: "batches", run: func(f *fixture) {
			for _, n := range []int{0, queue.MaxBatch + 1} {
				_, err := f.Queue.Send(f.Context(), f.outgoing("a", numbered("a", n)...))
				f.is("send", err, queue.ErrInvalid)
				_, err = f.Queue.Delete(f.Context(), numbered("r", n))
				f.is("delete", err, queue.ErrInvalid)
				_, err = f.Queue.Extend(f.Context(), numbered("r", n), time.Minute)
				f.is("extend", err, queue.ErrInvalid)
			}
			f.none(f.Queue)
		}},
		{name: "receptions", run: func(f *fixture) {
			f.send("a", "a1")
			for _, r := range []queue.Receive{
				{Max: 0, Visibility: time.Minute}, {Max: queue.MaxBatch + 1, Visibility: time.Minute}, {Max: -1, Visibility: time.Minute},
				{Max: 1}, {Max: 1, Visibility: -1}, {Max: 1, Visibility: queue.MaxVisibility + 1},
				{Max: 1, Visibility: time.Minute, Wait: -1}, {Max: 1, Visibility: time.Minute, Wait: queue.MaxWait + 1},
			} {
				_, err := f.Queue.Receive(f.Context(), r)
				f.is("receive", err, queue.ErrInvalid)
			}
			m := f.one("a1", queue.MaxVisibility)
			for _, d := range []time.Duration{-1, queue.MaxVisibility + 1} {
				_, err := f.Queue.Extend(f.Context(), []string{m.Receipt}, d)
				f.is("extend", err, queue.ErrInvalid)
			}
			f.remove(m)
		}},
		{name: "the largest body", run: func(f *fixture) {
			body := strings.Repeat("x", queue.MaxMessageBytes)
			f.send("a", body)
			if got := f.drain(f.Queue, 1)[0]; string(got.Body) != body {
				f.Errorf("received %d bytes that are not what was sent", len(got.Body))
			}
		}},
		{name: "a body too large", run: func(f *fixture) {
			_, err := f.Queue.Send(f.Context(), f.outgoing("a", strings.Repeat("x", queue.MaxMessageBytes+1)))
			f.is("send", err, queue.ErrTooLarge)
			f.none(f.Queue)
		}},
		{name: "bodies too large together", run: func(f *fixture) {
			half := strings.Repeat("x", queue.MaxMessageBytes/2)
			f.send("a", half, half)
			_, err := f.Queue.Send(f.Context(), f.outgoing("a", half, half, "y"))
			f.is("send", err, queue.ErrTooLarge)
			f.has(f.Queue, half, half)
		}},
		{name: "the longest and strangest names", run: func(f *fixture) {
			var all []byte
			for c := byte('!'); c <= '~'; c++ {
				all = append(all, c)
			}
			name := string(all) + strings.Repeat("z", queue.MaxNameBytes-len(all))
			f.accepted(f.Queue, queue.Outgoing{Group: name, Deduplication: name, Body: []byte("a")})
			if got := f.drain(f.Queue, 1)[0]; got.Group != name {
				f.Errorf("the group is %q, want %q", got.Group, name)
			}
		}},
		{name: "what is not accepted, and what is", run: aBatchAcceptedInPart},
	}
}

func aBatchAcceptedInPart(f *fixture) {
	message := func(group, id, body string) queue.Outgoing {
		return queue.Outgoing{Group: group, Deduplication: id, Body: []byte(body)}
	}
	for i, bad := range []queue.Outgoing{
		message("", "0", "x"), message(strings.Repeat("g", queue.MaxNameBytes+1), "0", "x"), message("two words", "0", "x"),
		message("umläut", "0", "x"), message("tab\t", "0", "x"), message("del\x7f", "0", "x"),
		message("bad", "", "x"), message("bad", strings.Repeat("d", queue.MaxNameBytes+1), "x"), message("bad", "new\nline", "x"),
		message("bad", "\xff", "x"), message("bad", "0", ""),
	} {
		id := func(n string) string { return fmt.Sprintf("%d-%s", i, n) }
		failed, err := f.Queue.Send(f.Context(), []queue.Outgoing{
			message("good", id("1"), "first"), bad, message(bad.Group, id("2"), "behind it"), message("good", id("3"), "second"),
		})
		if err != nil || len(failed) != 4 {
			f.Fatalf("failed %v, %v", failed, err)
		}
		got := make([]bool, 0, len(failed))
		for _, err := range failed {
			got = append(got, errors.Is(err, queue.ErrInvalid))
		}
		if diff := cmp.Diff([]bool{false, true, true, false}, got); diff != "" {
			f.Errorf("%q (-want +got):\n%s", bad, diff)
		}
		f.has(f.Queue, "first", "second")
	}
}

// is checks the error of a call that fails as a whole.
func (f *fixture) is(what string, err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Errorf("%s: %v; want %v", what, err, want)
	}
}
