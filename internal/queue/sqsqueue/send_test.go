package sqsqueue_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/queue"
)

var errLost = errors.New("connection reset by peer")

func outgoing(group string, bodies ...string) []queue.Outgoing {
	all := make([]queue.Outgoing, len(bodies))
	for i, b := range bodies {
		all[i] = queue.Outgoing{Group: group, Deduplication: b, Body: []byte(b)}
	}
	return all
}

// kinds names the sentinels of errors.
func kinds(t *testing.T, all []error) []string {
	t.Helper()
	names := make([]string, len(all))
	for i, err := range all {
		names[i] = kindName(err)
	}
	return names
}

func kindName(err error) string {
	for name, sentinel := range map[string]error{
		"stale": queue.ErrStale, "invalid": queue.ErrInvalid, "too large": queue.ErrTooLarge, "full": queue.ErrFull, "closed": queue.ErrClosed,
		"denied": queue.ErrDenied, "unavailable": queue.ErrUnavailable, "canceled": context.Canceled, "too late": context.DeadlineExceeded,
	} {
		if errors.Is(err, sentinel) {
			return name
		}
	}
	if err != nil {
		return "other"
	}
	return ""
}

// SQS fails a message in the middle of a batch and takes the later ones of its group: they are said to have failed, and to send them again does
// not deliver them twice.
func TestSendFailsInPart(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.change = func(operation string, n int, r *http.Response) (*http.Response, error) {
		if operation != "SendMessageBatch" || n > 1 {
			return r, nil
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.messages = append(f.messages[:1:1], f.messages[2:]...)
		delete(f.known, "a a2")
		return respond(http.StatusOK, `{"Successful": [{"Id": "0"}, {"Id": "2"}, {"Id": "3"}],
			"Failed": [{"Id": "1", "SenderFault": false, "Code": "InternalError", "Message": "a2 failed"}]}`), nil
	}
	q := f.open(t)
	batch := append(outgoing("a", "a1", "a2", "a3"), outgoing("b", "b1")...)
	failed, err := q.Send(t.Context(), batch)
	if diff := cmp.Diff([]string{"", "unavailable", "unavailable", ""}, kinds(t, failed)); diff != "" || err != nil {
		t.Errorf("failed %v, %v (-want +got):\n%s", failed, err, diff)
	}
	failed, err = q.Send(t.Context(), batch[1:3])
	if err := errors.Join(append(failed, err)...); err != nil {
		t.Error(err)
	}
	// The order of the group is broken, as the port says: a3 had been taken.
	if diff := cmp.Diff([]string{"a1", "a3", "b1", "a2"}, f.bodies()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// A message of which SQS says nothing has failed, and what SQS refuses is not temporary.
func TestSendAnswers(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"InvalidMessageContents": "invalid", "InvalidParameterValue": "invalid", "AccessDenied": "denied", "OverLimit": "full",
		"RequestThrottled": "unavailable", "SomethingNew": "other",
	} {
		f := newFake()
		f.change = func(operation string, _ int, r *http.Response) (*http.Response, error) {
			if operation == "SendMessageBatch" {
				r = respond(http.StatusOK, `{"Successful": [{"Id": "0"}], "Failed": [{"Id": "1", "SenderFault": true, "Code": "`+code+`"}, {"Id": "x"}]}`)
			}
			return r, nil
		}
		failed, err := f.open(t).Send(t.Context(), append(outgoing("a", "a1", "a2"), outgoing("b", "b1")...))
		if diff := cmp.Diff([]string{"", want, "unavailable"}, kinds(t, failed)); diff != "" || err != nil {
			t.Errorf("%s: failed %v, %v (-want +got):\n%s", code, failed, err, diff)
		}
	}
}

// An answer that is lost makes a Send happen twice, and its messages once.
func TestSendWithLostAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.change = func(operation string, n int, r *http.Response) (*http.Response, error) {
			if operation == "SendMessageBatch" && n < 4 {
				return nil, errLost
			}
			return r, nil
		}
		failed, err := f.open(t).Send(t.Context(), outgoing("a", "a1", "a2"))
		if err := errors.Join(append(failed, err)...); err != nil {
			t.Fatal(err)
		}
		if n := len(f.requests("SendMessageBatch")); n != 4 {
			t.Errorf("%d requests, want 4", n)
		}
		if diff := cmp.Diff([]string{"a1", "a2"}, f.bodies()); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
	})
}

// Who goes away while its message is on the way is told at once; what is sent to the group afterwards comes behind it.
func TestSendOfACallerWhoGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		hold := make(chan struct{})
		q := f.open(t)
		f.mu.Lock()
		f.before["SendMessageBatch"] = func() error { <-hold; return nil }
		f.mu.Unlock()
		ctx, cancel := context.WithCancel(t.Context())
		result := func(ctx context.Context, out []queue.Outgoing) <-chan string {
			done := make(chan string, 1)
			go func() {
				failed, err := q.Send(ctx, out)
				done <- kindName(errors.Join(append(failed, err)...))
			}()
			synctest.Wait()
			return done
		}
		first := result(ctx, outgoing("a", "a1"))
		cancel()
		if got := <-first; got != "canceled" {
			t.Errorf("the first: %q, want canceled", got)
		}
		second := result(t.Context(), append(outgoing("a", "a2"), outgoing("b", "b1")...))
		third := result(t.Context(), outgoing("b", "b2"))
		other := result(t.Context(), outgoing("c", "c1"))
		if n := len(f.requests("SendMessageBatch")); n != 2 {
			t.Errorf("%d requests, want the first and that of another group", n)
		}
		gone, leave := context.WithCancel(t.Context())
		fourth := result(gone, outgoing("a", "a3"))
		leave()
		if got := <-fourth; got != "canceled" {
			t.Errorf("the fourth: %q, want canceled", got)
		}
		close(hold)
		for i, done := range []<-chan string{second, third, other} {
			if got := <-done; got != "" {
				t.Errorf("%d: %s", i, got)
			}
		}
		var a, b []string
		for _, body := range f.bodies() {
			if strings.HasPrefix(body, "a") {
				a = append(a, body)
			} else if strings.HasPrefix(body, "b") {
				b = append(b, body)
			}
		}
		if diff := cmp.Diff([][]string{{"a1", "a2"}, {"b1", "b2"}}, [][]string{a, b}); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
	})
}

// The largest Send, as SQS counts it, is what Open asks of a queue.
func TestSizeOnTheWire(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, queue.MaxBatch} {
		f := newFake()
		out := make([]queue.Outgoing, 0, n)
		for i := range n {
			size := queue.MaxMessageBytes / n
			if i == 0 {
				size += queue.MaxMessageBytes % n
			}
			name := fmt.Sprint(i, strings.Repeat("x", queue.MaxNameBytes-1))
			out = append(out, queue.Outgoing{Group: name, Deduplication: name, Body: []byte(strings.Repeat("y", size))})
		}
		failed, err := f.open(t).Send(t.Context(), out)
		if err := errors.Join(append(failed, err)...); err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, e := range f.requests("SendMessageBatch")[0].Entries {
			total += len(e.MessageBody)
			for name, a := range e.MessageAttributes {
				total += len(name) + len(a.DataType) + len(a.BinaryValue)
			}
		}
		if n == queue.MaxBatch && total != 256<<10+10*11 || total > 256<<10+10*11 {
			t.Errorf("%d messages count %d bytes", n, total)
		}
	}
}
