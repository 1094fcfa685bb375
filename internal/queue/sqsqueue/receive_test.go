package sqsqueue_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/queue/sqsqueue"
)

func send(t *testing.T, q *sqsqueue.Queue, messages ...queue.Outgoing) {
	t.Helper()
	failed, err := q.Send(t.Context(), messages)
	if err := errors.Join(append(failed, err)...); err != nil {
		t.Fatal(err)
	}
}

func bodiesOf(messages []queue.Message) []string {
	all := make([]string, 0, len(messages))
	for _, m := range messages {
		all = append(all, string(m.Body))
	}
	return all
}

// losing loses the first answers of an operation.
func losing(f *fake, lost string, answers int) {
	f.change = func(operation string, n int, r *http.Response) (*http.Response, error) {
		if operation == lost && n <= answers {
			return nil, errLost
		}
		return r, nil
	}
}

func attemptIDs(f *fake) []string {
	requests := f.requests("ReceiveMessage")
	ids := make([]string, 0, len(requests))
	for _, r := range requests {
		ids = append(ids, r.ReceiveRequestAttemptId)
	}
	return ids
}

// What a lost answer had is received by the repetition, under the same attempt id, and does not wait for its visibility time-out.
func TestReceiveWithLostAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		losing(f, "ReceiveMessage", 2)
		q := f.open(t)
		send(t, q, outgoing("a", "a1", "a2")...)
		got, err := q.Receive(t.Context(), queue.Receive{Max: 10, Visibility: time.Hour})
		if diff := cmp.Diff([]string{"a1", "a2"}, bodiesOf(got)); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		ids := attemptIDs(f)
		if len(ids) != 3 || ids[0] == "" || ids[0] != ids[1] || ids[1] != ids[2] {
			t.Errorf("attempt ids %q, want one", ids)
		}
		if _, err := q.Receive(t.Context(), queue.Receive{Max: 10, Visibility: time.Hour}); err != nil {
			t.Error(err)
		}
		if next := attemptIDs(f); next[3] == ids[0] {
			t.Error("the next Receive had the same attempt id")
		}
	})
}

// A Receive that was given up is taken up by the next one like it, for as long as nobody else can have its messages.
func TestReceiveAfterOneThatFailed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pass time.Duration
		next queue.Receive
		same bool
	}{
		"at once":                {0, queue.Receive{Max: 10, Visibility: time.Minute}, true},
		"later":                  {30 * time.Second, queue.Receive{Max: 10, Visibility: time.Minute}, true},
		"after the time-out":     {time.Minute, queue.Receive{Max: 10, Visibility: time.Minute}, false},
		"another number":         {0, queue.Receive{Max: 9, Visibility: time.Minute}, false},
		"another time-out":       {0, queue.Receive{Max: 10, Visibility: time.Minute + 1}, false},
		"for a part of a second": {0, queue.Receive{Max: 10, Visibility: time.Minute - 1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				losing(f, "ReceiveMessage", 10)
				q := f.open(t)
				send(t, q, outgoing("a", "a1")...)
				if got, err := q.Receive(t.Context(), queue.Receive{Max: 10, Visibility: time.Minute}); !errors.Is(err, queue.ErrUnavailable) {
					t.Fatalf("received %q, %v", bodiesOf(got), err)
				}
				<-time.After(tt.pass)
				got, err := q.Receive(t.Context(), tt.next)
				if err != nil {
					t.Fatal(err)
				}
				ids := attemptIDs(f)
				if same := ids[10] == ids[0]; same != tt.same {
					t.Errorf("the attempt is the same: %v, want %v; received %q", same, tt.same, bodiesOf(got))
				}
				if tt.same != (len(got) == 1 && got[0].Receives == 1) {
					t.Errorf("received %+v", got)
				}
			})
		})
	}
}

// An attempt that was taken up and had nothing does not end the wait.
func TestReceiveAfterAnEmptyOneThatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		losing(f, "ReceiveMessage", 10)
		q := f.open(t)
		if _, err := q.Receive(t.Context(), queue.Receive{Max: 10, Visibility: time.Hour}); !errors.Is(err, queue.ErrUnavailable) {
			t.Fatal(err)
		}
		send(t, q, outgoing("a", "a1")...)
		got, err := q.Receive(t.Context(), queue.Receive{Max: 10, Visibility: time.Hour})
		if diff := cmp.Diff([]string{"a1"}, bodiesOf(got)); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}

// What SQS hands to a caller who has gone is given back.
func TestReceiveOfACallerWhoGoes(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"and is answered": false, "and SQS is slow to take it back": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				hold := make(chan struct{})
				q := f.open(t)
				if lost {
					losing(f, "ChangeMessageVisibilityBatch", 2)
				}
				send(t, q, outgoing("a", "a1", "a2")...)
				f.mu.Lock()
				f.before["ReceiveMessage"] = func() error { <-hold; return nil }
				f.mu.Unlock()
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() {
					_, err := q.Receive(ctx, queue.Receive{Max: 1, Visibility: time.Hour, Wait: 20 * time.Second})
					done <- err
				}()
				synctest.Wait()
				cancel()
				if err := <-done; !errors.Is(err, context.Canceled) {
					t.Errorf("%v, want canceled", err)
				}
				close(hold)
				<-time.After(time.Second)
				got, err := q.Receive(t.Context(), queue.Receive{Max: 1, Visibility: time.Hour})
				if diff := cmp.Diff([]string{"a1"}, bodiesOf(got)); diff != "" || err != nil {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
			})
		})
	}
}

// A long wait is several requests, and its parts are whole seconds.
func TestWaits(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]string{
		0: "[0]", time.Millisecond: "[1]", 5 * time.Second: "[5]", 7500 * time.Millisecond: "[5 3]", queue.MaxWait: "[5 5 5 5]",
	} {
		f := newFake()
		if _, err := f.open(t).Receive(t.Context(), queue.Receive{Max: 3, Visibility: 1500 * time.Millisecond, Wait: wait}); err != nil {
			t.Error(err)
		}
		requests := f.requests("ReceiveMessage")
		got := make([]int, 0, len(requests))
		for _, r := range requests {
			got = append(got, r.WaitTimeSeconds)
			if r.VisibilityTimeout != 2 || r.MaxNumberOfMessages != 3 {
				t.Errorf("request %+v", r)
			}
		}
		if fmt.Sprint(got) != want {
			t.Errorf("waited %v for %v, want %s", got, wait, want)
		}
	}
}
