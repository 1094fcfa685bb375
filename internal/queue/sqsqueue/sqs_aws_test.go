//go:build aws

package sqsqueue_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/queue/sqsqueue"
)

// forgetful is a transport that loses each third answer to a request of some operations, but no more than maxLost of one call: all calls count
// together, and one whose repetitions are in step with the others would get no answer at all.
type forgetful struct {
	operations []string
	requests   atomic.Int64
	lost       atomic.Int64
}

const maxLost = 5

func (f *forgetful) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	var attempt int
	if _, err := fmt.Sscanf(r.Header.Get("Amz-Sdk-Request"), "attempt=%d", &attempt); err != nil {
		return nil, fmt.Errorf("which attempt is this request: %w", err)
	}
	for _, operation := range f.operations {
		if r.Header.Get("X-Amz-Target") == "AmazonSQS."+operation && f.requests.Add(1)%3 == 0 && attempt <= maxLost {
			f.lost.Add(1)
			_, _ = io.Copy(io.Discard, response.Body)
			return nil, errors.Join(errLost, response.Body.Close())
		}
	}
	return response, nil
}

// A queue is the same over a network that loses answers. LocalStack takes no notice of attempt ids, and lets an old receipt extend a later
// reception: of these calls none is lost here.
func TestConformanceWithLostAnswers(t *testing.T) {
	t.Parallel()
	transport := &forgetful{operations: []string{"SendMessageBatch", "DeleteMessageBatch"}}
	t.Cleanup(func() {
		if transport.lost.Load() < 100 {
			t.Errorf("%d answers were lost", transport.lost.Load())
		}
	})
	runSuite(t, newClient(t, transport))
}

// Open looks at real queues.
func TestOpenQueues(t *testing.T) {
	t.Parallel()
	client := newClient(t, nil)
	name := func() string { return "test-" + strings.ToLower(rand.Text()) + ".fifo" }
	dead := newQueue(t, client, name(), nil)
	policy := redrivePolicy(t, client, dead, 3)
	standard := strings.TrimSuffix(name(), ".fifo")
	for what, tt := range map[string]struct{ url, name, want string }{
		"a good one":          {url: newQueue(t, client, name(), map[string]string{"RedrivePolicy": policy})},
		"missing":             {name: name(), want: "does not exist"},
		"missing, by its URL": {url: dead[:strings.LastIndex(dead, "/")+1] + name(), want: "does not exist"},
		"no dead letters":     {url: newQueue(t, client, name(), nil), want: "has no dead-letter queue"},
		"small messages": {
			url: newQueue(t, client, name(), map[string]string{"RedrivePolicy": policy, "MaximumMessageSize": "262144"}), want: "does not take messages as large as they may be",
		},
		"a standard queue": {
			url:  newQueue(t, client, standard, map[string]string{"FifoQueue": "", "DeduplicationScope": "", "FifoThroughputLimit": ""}),
			want: "is not a FIFO queue",
		},
		"another schema": {url: newVersion(t, client, name(), policy, "2"), want: `has the schema version "2", this program expects "1"`},
	} {
		q, err := sqsqueue.Open(t.Context(), sqsqueue.Config{Client: client, URL: tt.url, Name: tt.name})
		got := ""
		if problem, ok := errors.AsType[*sqsqueue.SchemaError](err); ok {
			got = problem.Problem
		}
		if got != tt.want || (err != nil) != (tt.want != "") {
			t.Errorf("%s: %v, want %q", what, err, tt.want)
		}
		if q != nil {
			_ = q.Close()
		}
	}
}

func newVersion(t *testing.T, client *sqs.Client, name, policy, version string) string {
	t.Helper()
	url := newQueue(t, client, name, map[string]string{"RedrivePolicy": policy})
	if _, err := client.TagQueue(t.Context(), &sqs.TagQueueInput{QueueUrl: &url, Tags: map[string]string{"domicile:schema": version}}); err != nil {
		t.Fatal(err)
	}
	return url
}

// The largest message fits a queue with the size that it needs, and not one that is a byte smaller.
func TestLargestMessage(t *testing.T) {
	t.Parallel()
	client := newClient(t, nil)
	needed := queue.MaxMessageBytes + len("-"+"body"+"Binary")
	for maximum, want := range map[int]string{needed: "", needed - 1: "invalid"} {
		name := "test-" + strings.ToLower(rand.Text()) + ".fifo"
		url := newQueue(t, client, name, map[string]string{"MaximumMessageSize": strconv.Itoa(maximum)})
		q, err := sqsqueue.New(sqsqueue.Config{Client: client, URL: url})
		if err != nil {
			t.Fatal(err)
		}
		failed, err := q.Send(t.Context(), []queue.Outgoing{{Group: "a", Deduplication: "1", Body: bytes.Repeat([]byte{0xff}, queue.MaxMessageBytes)}})
		if err := errors.Join(errors.Join(failed...), err, q.Close()); kindName(err) != want {
			t.Errorf("at %d bytes: %v, want %q", maximum, err, want)
		}
	}
}

// What others put into the queue is handed on, and is not in the way.
func TestForeignMessages(t *testing.T) {
	t.Parallel()
	client := newClient(t, nil)
	url := newQueue(t, client, "test-"+strings.ToLower(rand.Text())+".fifo", nil)
	q := open(t, sqsqueue.Config{Client: client, URL: url, DeadLetters: true})
	group, id, text := "a", "1", "from the console"
	in := &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &text, MessageGroupId: &group, MessageDeduplicationId: &id}
	if _, err := client.SendMessage(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	send(t, q, outgoing("a", "ours")...)
	got, err := q.Receive(t.Context(), queue.Receive{Max: 10, Visibility: time.Minute, Wait: time.Second})
	if diff := cmp.Diff([]string{text, "ours"}, bodiesOf(got)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
