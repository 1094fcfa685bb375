package sqsqueue_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/queue/sqsqueue"
)

func open(t *testing.T, cfg sqsqueue.Config) *sqsqueue.Queue {
	t.Helper()
	q, err := sqsqueue.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// each makes each call of the port once.
func each(ctx context.Context, q *sqsqueue.Queue) map[string]error {
	all := map[string]error{}
	_, all["SendMessageBatch"] = q.Send(ctx, outgoing("a", "a1"))
	_, all["ReceiveMessage"] = q.Receive(ctx, queue.Receive{Max: 1, Visibility: time.Minute})
	_, all["DeleteMessageBatch"] = q.Delete(ctx, []string{"x"})
	_, all["ChangeMessageVisibilityBatch"] = q.Extend(ctx, []string{"x"}, time.Second)
	_, all["GetQueueAttributes"] = q.Depth(ctx)
	return all
}

// Each call of the port is one request.
func TestRequestsPerCall(t *testing.T) {
	t.Parallel()
	f := newFake()
	q, err := sqsqueue.New(sqsqueue.Config{Client: f.client(), URL: fakeURL})
	if err != nil {
		t.Fatal(err)
	}
	f.attributes["ApproximateNumberOfMessages"], f.attributes["ApproximateNumberOfMessagesDelayed"] = "3", "1"
	f.attributes["ApproximateNumberOfMessagesNotVisible"] = "2"
	for call, err := range each(t.Context(), q) {
		if n := len(f.requests(call)); n != 1 || err != nil {
			t.Errorf("%s: %d requests, %v", call, n, err)
		}
	}
	if len(f.calls) != 5 {
		t.Errorf("%d requests, want 5", len(f.calls))
	}
	if d, err := q.Depth(t.Context()); err != nil || d != (queue.Depth{Waiting: 4, InFlight: 2}) {
		t.Errorf("depth %+v, %v", d, err)
	}
	f.attributes["ApproximateNumberOfMessages"] = "many"
	if _, err := q.Depth(t.Context()); err == nil {
		t.Error("a depth that is not a number passed")
	}
}

// What passes is tried again, with random pauses that grow; what does not pass is not.
func TestRepetitions(t *testing.T) {
	t.Parallel()
	broken := func(r *http.Response) *http.Response {
		r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader(`{"Mess`), failing{})), 100
		return r
	}
	for name, tt := range map[string]struct {
		answer func(*http.Response) (*http.Response, error)
		want   string // the error when it goes on; empty: it is tried again
	}{
		"throttled":           {answer: func(*http.Response) (*http.Response, error) { return refuse(400, "RequestThrottled"), nil }},
		"the key's throttled": {answer: func(*http.Response) (*http.Response, error) { return refuse(400, "KmsThrottled"), nil }},
		"unavailable":         {answer: func(*http.Response) (*http.Response, error) { return refuse(503, "ServiceUnavailable"), nil }},
		"no JSON":             {answer: func(*http.Response) (*http.Response, error) { return respond(502, "<html>"), nil }},
		"a lost connection":   {answer: func(*http.Response) (*http.Response, error) { return nil, errLost }},
		"half an answer":      {answer: func(r *http.Response) (*http.Response, error) { return broken(r), nil }},
		"no answer": {answer: func(*http.Response) (*http.Response, error) {
			<-time.After(10 * time.Second)
			return nil, context.DeadlineExceeded
		}},
		"denied":       {answer: func(*http.Response) (*http.Response, error) { return refuse(403, "AccessDeniedException"), nil }, want: "denied"},
		"no key":       {answer: func(*http.Response) (*http.Response, error) { return refuse(400, "KmsDisabled"), nil }, want: "denied"},
		"expired":      {answer: func(*http.Response) (*http.Response, error) { return refuse(403, "ExpiredToken"), nil }, want: "denied"},
		"no queue":     {answer: func(*http.Response) (*http.Response, error) { return refuse(400, "QueueDoesNotExist"), nil }, want: "other"},
		"too large":    {answer: func(*http.Response) (*http.Response, error) { return refuse(400, "BatchRequestTooLong"), nil }, want: "too large"},
		"over limit":   {answer: func(*http.Response) (*http.Response, error) { return refuse(403, "OverLimit"), nil }, want: "full"},
		"invalid":      {answer: func(*http.Response) (*http.Response, error) { return refuse(400, "InvalidParameterValue"), nil }, want: "invalid"},
		"another code": {answer: func(*http.Response) (*http.Response, error) { return refuse(400, "SomethingNew"), nil }, want: "other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { repetitions(t, tt.answer, tt.want) })
		})
	}
}

// repetitions makes each call fail three times.
func repetitions(t *testing.T, answer func(*http.Response) (*http.Response, error), want string) {
	t.Helper()
	f := newFake()
	q, err := sqsqueue.New(sqsqueue.Config{Client: f.client(), URL: fakeURL})
	if err != nil {
		t.Fatal(err)
	}
	f.change = func(_ string, n int, r *http.Response) (*http.Response, error) {
		if n <= 3 {
			return answer(r)
		}
		return r, nil
	}
	f.attributes = map[string]string{
		"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesDelayed": "0", "ApproximateNumberOfMessagesNotVisible": "0",
	}
	for call, err := range each(t.Context(), q) {
		requests := f.requests(call)
		n := 4
		if want != "" {
			n = 1
		}
		if len(requests) != n || kindName(err) != want {
			t.Errorf("%s: %d requests, %v; want %d, %q", call, len(requests), err, n, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret words") {
			t.Errorf("%s: the error repeats what SQS wrote: %v", call, err)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// The pauses are random, below a bound that doubles, and end with the caller's context.
func TestPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.change = func(string, int, *http.Response) (*http.Response, error) { return refuse(400, "RequestThrottled"), nil }
		q, err := sqsqueue.New(sqsqueue.Config{Client: f.client(), URL: fakeURL})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Depth(t.Context()); !errors.Is(err, queue.ErrUnavailable) {
			t.Errorf("%v, want ErrUnavailable", err)
		}
		requests, distinct := f.requests("GetQueueAttributes"), map[time.Duration]bool{}
		for i := range requests[1:] {
			pause := requests[i+1].at.Sub(requests[i].at)
			if most := min(50*time.Millisecond<<i, 3*time.Second); pause < 0 || pause > most {
				t.Errorf("pause %d is %v, want at most %v", i, pause, most)
			}
			distinct[pause] = true
		}
		if len(requests) != 10 || len(distinct) < 8 {
			t.Errorf("%d requests with %d different pauses", len(requests), len(distinct))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if _, err := q.Depth(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 500*time.Millisecond {
			t.Errorf("%v after %v, want the deadline", err, time.Since(begin))
		}
		synctest.Wait()
		before := len(f.calls)
		<-time.After(time.Minute)
		if len(f.calls) != before {
			t.Error("it went on after its caller had gone")
		}
	})
}

// A queue that is gone is not an accident of the network.
func TestAMissingQueue(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.change = func(string, int, *http.Response) (*http.Response, error) {
		r := refuse(400, "QueueDoesNotExist")
		r.Header.Set("X-Amzn-Query-Error", "AWS.SimpleQueueService.NonExistentQueue;Sender")
		return r, nil
	}
	q, err := sqsqueue.New(sqsqueue.Config{Client: f.client(), Name: "events.fifo"})
	if err != nil {
		t.Fatal(err)
	}
	for call, err := range each(t.Context(), q) {
		if problem, ok := errors.AsType[*sqsqueue.SchemaError](err); !ok || problem.Queue != "events.fifo" || problem.Remedy == "" {
			t.Errorf("%s: %v, want a SchemaError", call, err)
		}
	}
}

func TestNoCredentials(t *testing.T) {
	t.Parallel()
	f := newFake()
	client := sqs.New(f.client().Options(), func(o *sqs.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("no role")
		})
	})
	_, err := sqsqueue.Open(t.Context(), sqsqueue.Config{Client: client, URL: fakeURL})
	if !errors.Is(err, queue.ErrDenied) || len(f.calls) > 0 {
		t.Errorf("%v after %d requests, want ErrDenied", err, len(f.calls))
	}
}

// Close ends what waits, and what was under way.
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.change = func(operation string, _ int, r *http.Response) (*http.Response, error) {
			if operation == "ReceiveMessage" {
				<-time.After(5 * time.Second)
			}
			return r, nil
		}
		q := f.open(t)
		if _, err := q.Send(t.Context(), outgoing("a", "a1")); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			_, err := q.Receive(t.Context(), queue.Receive{Max: 1, Visibility: time.Hour, Wait: 20 * time.Second})
			done <- err
		}()
		synctest.Wait()
		go func() {
			if err := q.Close(); err != nil {
				t.Error(err)
			}
			done <- nil
		}()
		if err := <-done; !errors.Is(err, queue.ErrClosed) {
			t.Errorf("receive: %v, want ErrClosed", err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		changes := f.requests("ChangeMessageVisibilityBatch")
		if len(changes) != 1 || *changes[0].Entries[0].VisibilityTimeout != 0 {
			t.Errorf("the message that nobody got was not given back: %+v", changes)
		}
		for call, err := range each(t.Context(), q) {
			if !errors.Is(err, queue.ErrClosed) {
				t.Errorf("%s: %v, want ErrClosed", call, err)
			}
		}
	})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(*fake) { return func(f *fake) { f.attributes[name] = value } }
	for name, tt := range map[string]struct {
		change      func(*fake)
		deadLetters bool
		want        string // the problem; empty: none
	}{
		"as it should be":             {change: func(*fake) {}},
		"no high throughput":          {change: set("FifoThroughputLimit", "perQueue")},
		"a dead-letter queue":         {change: set("RedrivePolicy", ""), deadLetters: true},
		"a standard queue":            {change: set("FifoQueue", ""), want: "is not a FIFO queue"},
		"content-based deduplication": {change: set("ContentBasedDeduplication", "true"), want: "has content-based deduplication"},
		"too small messages":          {change: set("MaximumMessageSize", "262144"), want: "does not take messages as large as they may be"},
		"no size":                     {change: set("MaximumMessageSize", ""), want: "does not take messages as large as they may be"},
		"waits by itself":             {change: set("ReceiveMessageWaitTimeSeconds", "20"), want: "waits by itself"},
		"no dead-letter queue":        {change: set("RedrivePolicy", ""), want: "has no dead-letter queue"},
		"dead letters' dead letters":  {change: func(*fake) {}, deadLetters: true, want: "is to be a dead-letter queue and has one itself"},
		"no tag":                      {change: func(f *fake) { f.tags = nil }, want: "has no tag domicile:schema"},
		"another version": {
			change: func(f *fake) { f.tags["domicile:schema"] = "2" }, want: `has the schema version "2", this program expects "1"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			tt.change(f)
			_, err := sqsqueue.Open(t.Context(), sqsqueue.Config{Client: f.client(), Name: "events.fifo", DeadLetters: tt.deadLetters})
			got := ""
			if problem, ok := errors.AsType[*sqsqueue.SchemaError](err); ok {
				got = problem.Problem
				if problem.Remedy == "" || problem.Queue != "events.fifo" || !strings.Contains(err.Error(), problem.Remedy) {
					t.Errorf("%+v says not what to do", problem)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || (err != nil) != (tt.want != "") {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if n := len(f.requests("GetQueueUrl")); n != 1 {
				t.Errorf("the queue was looked for %d times", n)
			}
		})
	}
	for name, cfg := range map[string]sqsqueue.Config{
		"no client": {URL: fakeURL}, "no queue": {Client: newFake().client()}, "two": {Client: newFake().client(), URL: fakeURL, Name: "x.fifo"},
	} {
		if _, err := sqsqueue.New(cfg); err == nil {
			t.Errorf("%s passed", name)
		}
	}
}
