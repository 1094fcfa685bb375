package lambdahost_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/lambdahost"
)

const queueARN = "arn:aws:sqs:eu-west-1:000000000000:events.fifo"

// fifo is a FIFO queue by its documentation: a group of which a message is in flight gives none.
type fifo struct {
	mu       sync.Mutex
	messages []*fifoMessage
	sent     int
	failing  int
}

type fifoMessage struct {
	id, group, body string
	receives        int
	visible         time.Time
}

const visibility = 30 * time.Second

func (q *fifo) send(group string, bodies ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, body := range bodies {
		q.sent++
		q.messages = append(q.messages, &fifoMessage{id: "m" + strconv.Itoa(q.sent), group: group, body: body})
	}
}

func (q *fifo) left() (bodies []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.messages {
		bodies = append(bodies, m.body)
	}
	return bodies
}

func (q *fifo) take(limit int) (out []types.Message, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failing > 0 {
		q.failing--
		return nil, errors.New("the queue is away")
	}
	blocked := map[string]bool{}
	for _, m := range q.messages {
		blocked[m.group] = blocked[m.group] || m.visible.After(time.Now())
	}
	for _, m := range q.messages {
		if blocked[m.group] || len(out) == limit {
			continue
		}
		m.receives++
		m.visible = time.Now().Add(visibility)
		out = append(out, types.Message{
			MessageId: aws.String(m.id), ReceiptHandle: aws.String(fmt.Sprint(m.id, "/", m.receives)), Body: aws.String(m.body),
			Attributes: map[string]string{"MessageGroupId": m.group, "ApproximateReceiveCount": strconv.Itoa(m.receives)},
		})
	}
	return out, nil
}

func (q *fifo) ReceiveMessage(ctx context.Context, in *sqs.ReceiveMessageInput, _ ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error) {
	for until := time.Now().Add(time.Duration(in.WaitTimeSeconds) * time.Second); ; {
		out, err := q.take(int(in.MaxNumberOfMessages))
		if err != nil || len(out) > 0 || !time.Now().Before(until) {
			return &sqs.ReceiveMessageOutput{Messages: out}, err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *fifo) DeleteMessageBatch(_ context.Context, in *sqs.DeleteMessageBatchInput, _ ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range in.Entries {
		q.messages = slices.DeleteFunc(q.messages, func(m *fifoMessage) bool {
			return fmt.Sprint(m.id, "/", m.receives) == *e.ReceiptHandle && m.id == *e.Id
		})
	}
	return &sqs.DeleteMessageBatchOutput{}, nil
}

// worker is a function for messages: it takes each but those that fail says, and reports as a function for a FIFO queue should.
type worker struct {
	fail func(body string) bool

	mu      sync.Mutex
	calls   int
	handled []string
	batches [][]string
	inHand  map[string]bool
	overlap bool
}

func (w *worker) Invoke(_ context.Context, raw []byte) ([]byte, error) {
	var event events.SQSEvent
	if err := json.Unmarshal(raw, &event); err != nil {
		return nil, err
	}
	groups := w.begin(event)
	time.Sleep(100 * time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	for g := range groups {
		delete(w.inHand, g)
	}
	var response events.SQSEventResponse
	var batch []string
	failed := map[string]bool{}
	for _, r := range event.Records {
		group := r.Attributes["MessageGroupId"]
		batch = append(batch, r.Body)
		if failed[group] || w.fail(r.Body) {
			failed[group] = true
			response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: r.MessageId})
			continue
		}
		w.handled = append(w.handled, r.Body)
	}
	w.batches = append(w.batches, batch)
	return json.Marshal(response)
}

func (w *worker) begin(event events.SQSEvent) map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	groups := map[string]bool{}
	for _, r := range event.Records {
		groups[r.Attributes["MessageGroupId"]] = true
	}
	if w.inHand == nil {
		w.inHand = map[string]bool{}
	}
	for g := range groups {
		w.overlap = w.overlap || w.inHand[g]
		w.inHand[g] = true
	}
	return groups
}

// runSQS runs a source in a bubble for a while.
func runSQS(t *testing.T, cfg lambdahost.SQSConfig, d time.Duration) {
	t.Helper()
	cfg.QueueURL, cfg.QueueARN = "http://localhost/events.fifo", queueARN
	s, err := lambdahost.NewSQSSource(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestSQSOrderAndGroups(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, w := &fifo{failing: 2}, &worker{fail: func(string) bool { return false }}
		for i := range 30 {
			for _, g := range []string{"a", "b", "c"} {
				q.send(g, g+strconv.Itoa(i))
			}
		}
		runSQS(t, lambdahost.SQSConfig{Client: q, Function: w, MaxConcurrency: 4}, time.Minute)
		if left := q.left(); len(left) > 0 || w.overlap {
			t.Errorf("left: %q; a group in two batches at once: %v", left, w.overlap)
		}
		for _, g := range []string{"a", "b", "c"} {
			var got []string
			want := make([]string, 30)
			for i := range want {
				want[i] = g + strconv.Itoa(i)
			}
			for _, body := range w.handled {
				if body[:1] == g {
					got = append(got, body)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}
		for _, b := range w.batches {
			if len(b) > lambdahost.MaxSQSBatch {
				t.Errorf("a batch of %d", len(b))
			}
		}
	})
}

// A source that ends does not break its polls off: what they are still given is handled.
func TestSQSEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, w := &fifo{}, &worker{fail: func(string) bool { return false }}
		time.AfterFunc(1500*time.Millisecond, func() { q.send("a", "late") })
		runSQS(t, lambdahost.SQSConfig{Client: q, Function: w}, time.Second)
		if diff := cmp.Diff([]string{"late"}, w.handled); diff != "" || len(q.left()) > 0 {
			t.Errorf("left: %q; %s", q.left(), diff)
		}
	})
}

// One poison message holds its own group up, and no other.
func TestSQSPoison(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, w := &fifo{}, &worker{fail: func(body string) bool { return body == "a1" }}
		q.send("a", "a0", "a1", "a2")
		q.send("b", "b0", "b1")
		runSQS(t, lambdahost.SQSConfig{Client: q, Function: w, ReportBatchItemFailures: true}, 20*time.Second)
		if diff := cmp.Diff([]string{"a0", "b0", "b1"}, w.handled); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"a1", "a2"}, q.left()); diff != "" {
			t.Error(diff)
		}
		// After the visibility time-out it comes again, and with it what waits behind it.
		w.fail = func(string) bool { return false }
		runSQS(t, lambdahost.SQSConfig{Client: q, Function: w, ReportBatchItemFailures: true}, 20*time.Second)
		if diff := cmp.Diff([]string{"a0", "b0", "b1", "a1", "a2"}, w.handled); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSQSFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer string
		err    error
		report bool
		left   int
	}{
		"success":                   {answer: `null`, report: true},
		"an empty answer":           {report: true},
		"an empty string":           {answer: `""`, report: true},
		"an empty object":           {answer: `{}`, report: true},
		"a null list":               {answer: `{"batchItemFailures":null}`, report: true},
		"an empty list":             {answer: `{"batchItemFailures":[]}`, report: true},
		"one failed":                {answer: `{"batchItemFailures":[{"itemIdentifier":"m2"}]}`, report: true, left: 1},
		"a function error":          {err: &lambdahost.FunctionError{Cause: lambdahost.TimedOut}, report: true, left: 2},
		"no JSON":                   {answer: `{`, report: true, left: 2},
		"an empty identifier":       {answer: `{"batchItemFailures":[{"itemIdentifier":""}]}`, report: true, left: 2},
		"a null identifier":         {answer: `{"batchItemFailures":[{"itemIdentifier":null}]}`, report: true, left: 2},
		"a wrong key":               {answer: `{"batchItemFailures":[{"ItemIdentifier":"m2"}]}`, report: true, left: 2},
		"an unknown identifier":     {answer: `{"batchItemFailures":[{"itemIdentifier":"m9"}]}`, report: true, left: 2},
		"a failure nobody asks for": {answer: `{"batchItemFailures":[{"itemIdentifier":"m2"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := &fifo{}
				q.send("a", "a0", "a1")
				runSQS(t, lambdahost.SQSConfig{Client: q, ReportBatchItemFailures: tt.report, Function: invokerFunc(func(context.Context, []byte) ([]byte, error) {
					return []byte(tt.answer), tt.err
				})}, visibility/2)
				if left := q.left(); len(left) != tt.left {
					t.Errorf("left: %q, want %d", left, tt.left)
				}
			})
		})
	}
}

// An event is at most 6 MB; what is behind a failure in another event of the same reception is not handled before it.
func TestSQSLargeMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		body := func(name string) string { return name + strings.Repeat("x", 1<<20) }
		q, w := &fifo{}, &worker{fail: func(b string) bool { return strings.HasPrefix(b, "a2") }}
		for i := range 5 {
			q.send("a", body("a"+strconv.Itoa(i)))
			q.send("b", body("b"+strconv.Itoa(i)))
		}
		runSQS(t, lambdahost.SQSConfig{Client: q, Function: w, ReportBatchItemFailures: true, MaxConcurrency: 1}, visibility/2)
		names := func(bodies []string) []string {
			all := make([]string, len(bodies))
			for i, b := range bodies {
				all[i] = b[:2]
			}
			return all
		}
		if diff := cmp.Diff([]string{"a0", "b0", "a1", "b1", "b2", "b3", "b4"}, names(w.handled)); diff != "" || len(w.batches) != 2 {
			t.Errorf("%d batches: %s", len(w.batches), diff)
		}
		if diff := cmp.Diff([]string{"a2", "a3", "a4"}, names(q.left())); diff != "" {
			t.Error(diff)
		}
	})
}

// A throttled batch is tried again while it is in hand, not only when it becomes visible again.
func TestSQSThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &fifo{}
		q.send("a", "a0")
		calls := 0
		runSQS(t, lambdahost.SQSConfig{Client: q, MaxConcurrency: 1, Function: invokerFunc(func(context.Context, []byte) ([]byte, error) {
			if calls++; calls < 5 {
				return nil, lambdahost.ErrThrottled
			}
			return []byte("null"), nil
		})}, visibility/2)
		if left := q.left(); len(left) > 0 || calls != 5 {
			t.Errorf("left: %q after %d calls", left, calls)
		}
	})
}

// A batch in hand is finished when polling ends.
func TestSQSFinishesWhatItBegan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &fifo{}
		q.send("a", "a0")
		runSQS(t, lambdahost.SQSConfig{Client: q, Function: invokerFunc(func(ctx context.Context, _ []byte) ([]byte, error) {
			time.Sleep(5 * time.Second)
			return []byte("null"), ctx.Err()
		})}, time.Second)
		if left := q.left(); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
}

func TestSQSConfigThatIsRefused(t *testing.T) {
	t.Parallel()
	ok := lambdahost.SQSConfig{Client: &fifo{}, Function: answering(""), QueueURL: "http://localhost/q.fifo", QueueARN: queueARN}
	for name, change := range map[string]func(*lambdahost.SQSConfig){
		"no client": func(c *lambdahost.SQSConfig) { c.Client = nil }, "no function": func(c *lambdahost.SQSConfig) { c.Function = nil },
		"no URL": func(c *lambdahost.SQSConfig) { c.QueueURL = "" }, "no ARN": func(c *lambdahost.SQSConfig) { c.QueueARN = "events.fifo" },
		"a large batch": func(c *lambdahost.SQSConfig) { c.BatchSize = 11 },
	} {
		cfg := ok
		change(&cfg)
		if _, err := lambdahost.NewSQSSource(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
