// Package queuetest is the conformance suite of the port internal/queue. Every adapter passes it, embedded and on AWS, so that what
// holds on one holds on the other:
//
//	func TestConformance(t *testing.T) {
//		queuetest.Run(t, func(t *testing.T, s queuetest.Setup) queuetest.Queues { ... }, queuetest.Options{})
//	}
//
// The suite's tests run in parallel, each on queues of its own. Without a clock that it can move, it leaves out what would take longer
// than some seconds; it never takes a message that is not there yet for one that is lost.
package queuetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/testclock"
)

// Setup says which queues a test wants.
type Setup struct {
	// MaxReceives is after how many receptions a message becomes a dead letter.
	MaxReceives int
	// Clock is what the queues take the time from; nil: they take the real time.
	Clock func() time.Time
}

// Queues are an empty queue and its dead-letter queue, which has none itself.
type Queues struct {
	Queue, Dead queue.Queue
	// Reopen closes both and opens them again; nil: they have no life that a test could end.
	Reopen func() Queues
	// Close closes both; nil: likewise.
	Close func() error
}

// Factory makes queues. It cleans up with t.Cleanup.
type Factory func(t *testing.T, s Setup) Queues

// Options say what an adapter can do, besides the port.
type Options struct {
	// Clock makes the clock of a test; testclock.New does. Nil: the queues take the real time.
	Clock func() *testclock.Clock
	// Forgets says that a queue that was opened again may take a receipt for good that a reception before that made stale.
	Forgets bool
}

// Run runs the suite.
func Run(t *testing.T, factory Factory, o Options) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"Order", orderTests()},
		{"Blocking", blockingTests()},
		{"Visibility", visibilityTests()},
		{"DeadLetters", deadLetterTests()},
		{"Deduplication", deduplicationTests()},
		{"Limits", limitTests()},
		{"Waiting", waitingTests()},
		{"Depth", depthTests()},
		{"Lifecycle", lifecycleTests()},
		{"Operate", operateTests()},
		{"Concurrency", concurrencyTests()},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, tc := range group.tests {
				if tc.clock && o.Clock == nil {
					continue
				}
				t.Run(tc.name, func(t *testing.T) {
					t.Parallel()
					tc.run(newFixture(t, factory, o, tc.maxReceives))
				})
			}
		})
	}
}

// test is one test. clock says that it needs a clock that it can move.
type test struct {
	name        string
	clock       bool
	maxReceives int
	run         func(f *fixture)
}

const (
	// manyReceives is the MaxReceives of tests that are not about dead letters.
	manyReceives = 100
	// inFlight is a visibility time-out that no test waits for.
	inFlight = 10 * time.Minute
	// brief is one that tests do wait for.
	brief = 2 * time.Second
	// patience is how long a test waits for what must come.
	patience = 30 * time.Second
)

// fixture is a test with its queues.
type fixture struct {
	*testing.T
	Queues

	// clock is nil when the queues take the real time.
	clock   *testclock.Clock
	forgets bool
	sent    int
}

func newFixture(t *testing.T, factory Factory, o Options, maxReceives int) *fixture {
	t.Helper()
	f := &fixture{T: t, forgets: o.Forgets}
	s := Setup{MaxReceives: maxReceives}
	if s.MaxReceives == 0 {
		s.MaxReceives = manyReceives
	}
	if o.Clock != nil {
		f.clock = o.Clock()
		s.Clock = f.clock.Read
	}
	f.Queues = factory(t, s)
	return f
}

// pass lets time pass: some seconds at the most without a clock.
func (f *fixture) pass(d time.Duration) {
	f.Helper()
	if f.clock != nil {
		f.clock.Move(d)
		return
	}
	select {
	case <-time.After(d):
	case <-f.Context().Done():
	}
}

// now is the queues' time.
func (f *fixture) now() time.Time {
	if f.clock != nil {
		return f.clock.Read()
	}
	return time.Now()
}

// outgoing makes messages of a group, each with a deduplication id of its own.
func (f *fixture) outgoing(group string, bodies ...string) []queue.Outgoing {
	out := make([]queue.Outgoing, len(bodies))
	for i, b := range bodies {
		f.sent++
		out[i] = queue.Outgoing{Group: group, Deduplication: fmt.Sprintf("%s/%d", group, f.sent), Body: []byte(b)}
	}
	return out
}

// send sends messages of a group, which must all be accepted.
func (f *fixture) send(group string, bodies ...string) {
	f.Helper()
	for out := f.outgoing(group, bodies...); len(out) > 0; {
		n := min(len(out), queue.MaxBatch)
		f.accepted(f.Queue, out[:n]...)
		out = out[n:]
	}
}

// accepted sends a batch to a queue, which must accept all of it.
func (f *fixture) accepted(q queue.Queue, out ...queue.Outgoing) {
	f.Helper()
	failed, err := q.Send(f.Context(), out)
	if err := errors.Join(append(failed, err)...); err != nil {
		f.Fatalf("send: %v", err)
	}
}

// receive returns one reception of up to limit messages, which must come.
func (f *fixture) receive(limit int, visibility time.Duration) []queue.Message {
	f.Helper()
	return f.receiveFrom(f.Queue, limit, visibility)
}

func (f *fixture) receiveFrom(q queue.Queue, limit int, visibility time.Duration) []queue.Message {
	f.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		got, err := q.Receive(f.Context(), queue.Receive{Max: limit, Visibility: visibility, Wait: time.Second})
		if err != nil {
			f.Fatalf("receive: %v", err)
		}
		if len(got) > limit {
			f.Fatalf("received %d messages, asked for %d", len(got), limit)
		}
		if len(got) > 0 {
			return got
		}
	}
	f.Fatalf("no message came in %v", patience)
	return nil
}

// one returns the next message.
func (f *fixture) one(want string, visibility time.Duration) queue.Message {
	f.Helper()
	got := f.receive(1, visibility)[0]
	if string(got.Body) != want {
		f.Fatalf("received %q, want %q", got.Body, want)
	}
	return got
}

// none checks that there is nothing to receive.
func (f *fixture) none(q queue.Queue) {
	f.Helper()
	got, err := q.Receive(f.Context(), queue.Receive{Max: queue.MaxBatch, Visibility: inFlight})
	if err != nil || len(got) > 0 {
		f.Fatalf("received %q, %v; want nothing", bodies(got), err)
	}
}

// drain receives and deletes as many messages, and then checks that there are no more.
func (f *fixture) drain(q queue.Queue, n int) []queue.Message {
	f.Helper()
	var all []queue.Message
	for len(all) < n {
		got := f.receiveFrom(q, queue.MaxBatch, inFlight)
		f.removeFrom(q, got...)
		all = append(all, got...)
	}
	if len(all) > n {
		f.Errorf("received %q, want %d messages", bodies(all), n)
	}
	f.none(q)
	return all
}

// has drains the queue, in which these messages of one group must be.
func (f *fixture) has(q queue.Queue, want ...string) {
	f.Helper()
	if diff := cmp.Diff(want, bodies(f.drain(q, len(want)))); diff != "" {
		f.Errorf("messages (-want +got):\n%s", diff)
	}
}

// remove deletes messages, whose receipts must be good.
func (f *fixture) remove(messages ...queue.Message) {
	f.Helper()
	f.removeFrom(f.Queue, messages...)
}

func (f *fixture) removeFrom(q queue.Queue, messages ...queue.Message) {
	f.Helper()
	failed, err := q.Delete(f.Context(), receipts(messages))
	if err := errors.Join(append(failed, err)...); err != nil {
		f.Fatalf("delete: %v", err)
	}
}

// extend extends the visibility of messages, whose receipts must be good.
func (f *fixture) extend(d time.Duration, messages ...queue.Message) {
	f.Helper()
	failed, err := f.Queue.Extend(f.Context(), receipts(messages), d)
	if err := errors.Join(append(failed, err)...); err != nil {
		f.Fatalf("extend: %v", err)
	}
}

// stale checks that the receipt is good for nothing any more.
func (f *fixture) stale(receipt string) {
	f.Helper()
	f.refused(queue.ErrStale, func() ([]error, error) { return f.Queue.Delete(f.Context(), []string{receipt}) })
	f.refused(queue.ErrStale, func() ([]error, error) { return f.Queue.Extend(f.Context(), []string{receipt}, time.Minute) })
}

// staleSince is stale for a receipt of before the queue was opened again.
func (f *fixture) staleSince(receipt string) {
	f.Helper()
	if !f.forgets {
		f.stale(receipt)
	}
}

// refused checks that the call fails for its one receipt or message.
func (f *fixture) refused(want error, call func() ([]error, error)) {
	f.Helper()
	failed, err := call()
	if err != nil || len(failed) != 1 || !errors.Is(failed[0], want) {
		f.Errorf("failed %v, %v; want %v", failed, err, want)
	}
}

func receipts(messages []queue.Message) []string {
	all := make([]string, len(messages))
	for i := range messages {
		all[i] = messages[i].Receipt
	}
	return all
}

func bodies(messages []queue.Message) []string {
	all := make([]string, len(messages))
	for i := range messages {
		all[i] = string(messages[i].Body)
	}
	return all
}

func numbered(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%03d", prefix, i)
	}
	return all
}
