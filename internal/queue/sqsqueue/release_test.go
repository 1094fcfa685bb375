package sqsqueue_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/queue/sqsqueue"
)

// receive receives one message.
func receive(t *testing.T, q *sqsqueue.Queue, visibility time.Duration) queue.Message {
	t.Helper()
	got, err := q.Receive(t.Context(), queue.Receive{Max: 1, Visibility: visibility})
	if err != nil || len(got) != 1 {
		t.Fatalf("received %q, %v", bodiesOf(got), err)
	}
	return got[0]
}

// both deletes and extends, and says what came of it.
func both(t *testing.T, q *sqsqueue.Queue, receipt string) [2]string {
	t.Helper()
	extended, err := q.Extend(t.Context(), []string{receipt}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	deleted, err := q.Delete(t.Context(), []string{receipt})
	if err != nil {
		t.Fatal(err)
	}
	return [2]string{kindName(extended[0]), kindName(deleted[0])}
}

// A queue knows which receipts of its own are stale, also where SQS would take them.
func TestStaleReceipts(t *testing.T) {
	t.Parallel()
	stale := [2]string{"stale", "stale"}
	for name, tt := range map[string]struct {
		make func(t *testing.T, q *sqsqueue.Queue) (receipt string)
		want [2]string
	}{
		"good":                      {func(t *testing.T, q *sqsqueue.Queue) string { t.Helper(); return receive(t, q, time.Minute).Receipt }, [2]string{}},
		"of another process":        {func(*testing.T, *sqsqueue.Queue) string { return "another" }, [2]string{}},
		"after its time-out":        {afterTimeOut, stale},
		"of an earlier reception":   {ofAnEarlierReception, stale},
		"given back":                {givenBack, stale},
		"deleted":                   {deletedBefore, [2]string{"stale", ""}},
		"extended":                  {extendedBefore, [2]string{}},
		"perhaps extended":          {perhapsExtended, [2]string{}},
		"shortened, and after that": {shortened, stale},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				q := f.open(t)
				send(t, q, outgoing("a", "a1")...)
				receipt := tt.make(t, q)
				if diff := cmp.Diff(tt.want, both(t, q, receipt)); diff != "" {
					t.Errorf("extended, deleted (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func afterTimeOut(t *testing.T, q *sqsqueue.Queue) string {
	t.Helper()
	m := receive(t, q, time.Minute)
	<-time.After(time.Minute)
	return m.Receipt
}

func ofAnEarlierReception(t *testing.T, q *sqsqueue.Queue) string {
	t.Helper()
	receipt := afterTimeOut(t, q)
	receive(t, q, time.Minute)
	return receipt
}

func givenBack(t *testing.T, q *sqsqueue.Queue) string {
	t.Helper()
	m := receive(t, q, time.Minute)
	if failed, err := q.Extend(t.Context(), []string{m.Receipt}, 0); errors.Join(append(failed, err)...) != nil {
		t.Fatal(failed, err)
	}
	return m.Receipt
}

func deletedBefore(t *testing.T, q *sqsqueue.Queue) string {
	t.Helper()
	m := receive(t, q, time.Minute)
	if failed, err := q.Delete(t.Context(), []string{m.Receipt}); errors.Join(append(failed, err)...) != nil {
		t.Fatal(failed, err)
	}
	<-time.After(time.Hour)
	return m.Receipt
}

func extendedBefore(t *testing.T, q *sqsqueue.Queue) string {
	t.Helper()
	m := receive(t, q, time.Minute)
	if failed, err := q.Extend(t.Context(), []string{m.Receipt}, time.Hour); errors.Join(append(failed, err)...) != nil {
		t.Fatal(failed, err)
	}
	<-time.After(time.Hour - time.Second)
	return m.Receipt
}

func shortened(t *testing.T, q *sqsqueue.Queue) string {
	t.Helper()
	m := receive(t, q, time.Hour)
	if failed, err := q.Extend(t.Context(), []string{m.Receipt}, time.Minute); errors.Join(append(failed, err)...) != nil {
		t.Fatal(failed, err)
	}
	<-time.After(time.Minute)
	return m.Receipt
}

// perhapsExtended extends and gets no answer.
func perhapsExtended(t *testing.T, _ *sqsqueue.Queue) string {
	t.Helper()
	f := newFake()
	losing(f, "ChangeMessageVisibilityBatch", 10)
	q := f.open(t)
	send(t, q, outgoing("a", "a1")...)
	m := receive(t, q, time.Minute)
	if _, err := q.Extend(t.Context(), []string{m.Receipt}, time.Hour); !errors.Is(err, queue.ErrUnavailable) {
		t.Fatal(err)
	}
	<-time.After(30 * time.Minute)
	if failed, err := q.Delete(t.Context(), []string{m.Receipt}); errors.Join(append(failed, err)...) != nil {
		t.Errorf("delete: %v, %v", failed, err)
	}
	return "another"
}

// A message is in flight for 12 hours altogether.
func TestTooLongInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		q := f.open(t)
		send(t, q, outgoing("a", "a1")...)
		m := receive(t, q, queue.MaxVisibility)
		<-time.After(time.Hour)
		for visibility, want := range map[time.Duration]string{
			queue.MaxVisibility: "invalid", 11*time.Hour + time.Second: "invalid", 11 * time.Hour: "", time.Hour: "",
		} {
			failed, err := q.Extend(t.Context(), []string{m.Receipt}, visibility)
			if got := kindName(errors.Join(append(failed, err)...)); got != want {
				t.Errorf("%v: %q, want %q", visibility, got, want)
			}
		}
	})
}

// What SQS says of receipts.
func TestReceiptAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ answer, want string }{
		"no receipt":    {`"Code": "ReceiptHandleIsInvalid", "SenderFault": true`, "stale"},
		"not in flight": {`"Code": "AWS.SimpleQueueService.MessageNotInflight", "SenderFault": true`, "stale"},
		"expired": {`"Code": "InvalidParameterValue", "SenderFault": true,
			"Message": "Value x for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."`, "stale"},
		"too long": {`"Code": "InvalidParameterValue", "SenderFault": true,
			"Message": "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit."`, "invalid"},
		"a failure": {`"Code": "InternalError", "SenderFault": false`, "unavailable"},
		"denied":    {`"Code": "AccessDenied", "SenderFault": true`, "denied"},
	} {
		f := newFake()
		f.change = func(operation string, _ int, r *http.Response) (*http.Response, error) {
			if operation == "DeleteMessageBatch" || operation == "ChangeMessageVisibilityBatch" {
				r = respond(http.StatusOK, `{"Successful": [{"Id": "0"}], "Failed": [{"Id": "1", `+tt.answer+`}]}`)
			}
			return r, nil
		}
		q := f.open(t)
		want := []string{"", tt.want, "unavailable", tt.want}
		receipts := []string{"a", "b", "c", "b"}
		failed, err := q.Extend(t.Context(), receipts, time.Hour)
		if diff := cmp.Diff(want, kinds(t, failed)); diff != "" || err != nil {
			t.Errorf("%s: extend: %v (-want +got):\n%s", name, err, diff)
		}
		failed, err = q.Delete(t.Context(), receipts)
		if diff := cmp.Diff(want, kinds(t, failed)); diff != "" || err != nil {
			t.Errorf("%s: delete: %v (-want +got):\n%s", name, err, diff)
		}
		for _, operation := range []string{"DeleteMessageBatch", "ChangeMessageVisibilityBatch"} {
			if r := f.requests(operation); len(r) != 1 || len(r[0].Entries) != 3 {
				t.Errorf("%s: %s asked %+v, want three receipts, once", name, operation, r)
			}
		}
	}
}

// Nothing is asked about receipts of which it is known what SQS would say.
func TestKnownReceiptsAskNothing(t *testing.T) {
	t.Parallel()
	f := newFake()
	q := f.open(t)
	send(t, q, outgoing("a", "a1")...)
	receipt := givenBack(t, q)
	before := len(f.calls)
	if got := both(t, q, receipt); got != [2]string{"stale", "stale"} || len(f.calls) != before {
		t.Errorf("%q with %d requests", got, len(f.calls)-before)
	}
}
