package sqsqueue_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/domicile-api/domicile/internal/queue/sqsqueue"
)

const fakeURL = "https://sqs.eu-central-1.amazonaws.com/111122223333/events.fifo"

// fake answers for SQS: one queue, of which the API reference says what it does. It knows no limits and takes every receipt.
type fake struct {
	mu       sync.Mutex
	messages []*fakeMessage
	known    map[string]bool         // by group and deduplication id
	attempts map[string]*fakeAnswer  // by id
	calls    []fakeRequest           // in their order
	before   map[string]func() error // by operation: called before, may fail
	// change may change or lose an answer; n counts the requests of the operation, from 1.
	change     func(operation string, n int, r *http.Response) (*http.Response, error)
	attributes map[string]string
	tags       map[string]string
}

type fakeMessage struct {
	id, group, receipt string
	body               []byte
	receives           int
	sent, visible      time.Time
}

type fakeAnswer struct{ messages []map[string]any }

// fakeRequest is a request, with the fields of all operations.
type fakeRequest struct {
	operation               string
	at                      time.Time
	QueueUrl, QueueName     string
	MaxNumberOfMessages     int
	VisibilityTimeout       int
	WaitTimeSeconds         int
	ReceiveRequestAttemptId string
	MessageAttributeNames   []string
	AttributeNames          []string
	Entries                 []fakeEntry
}

type fakeEntry struct {
	Id, MessageBody, MessageGroupId, MessageDeduplicationId, ReceiptHandle string
	VisibilityTimeout                                                      *int
	MessageAttributes                                                      map[string]struct {
		DataType    string
		BinaryValue []byte
	}
}

func newFake() *fake {
	return &fake{
		known: map[string]bool{}, attempts: map[string]*fakeAnswer{}, before: map[string]func() error{},
		attributes: map[string]string{
			"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId", "MaximumMessageSize": "1048576",
			"RedrivePolicy": "{}", "ContentBasedDeduplication": "false", "ReceiveMessageWaitTimeSeconds": "0",
		},
		tags: map[string]string{"domicile:schema": "1"},
	}
}

// client returns an SDK client of the fake.
func (f *fake) client() *sqs.Client {
	return sqs.New(sqs.Options{
		Region: "eu-central-1", HTTPClient: f, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
}

// open returns a queue of the fake.
func (f *fake) open(t *testing.T) *sqsqueue.Queue {
	t.Helper()
	return open(t, sqsqueue.Config{Client: f.client(), URL: fakeURL})
}

// Do answers a request of the SDK.
func (f *fake) Do(r *http.Request) (*http.Response, error) {
	in := fakeRequest{operation: strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS."), at: time.Now()}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil { //nolint:musttag // the fields are named as SQS names them
		return nil, err
	}
	f.mu.Lock()
	f.calls = append(f.calls, in)
	n := f.countLocked(in.operation)
	before := f.before[in.operation]
	f.mu.Unlock()
	if before != nil {
		if err := before(); err != nil {
			return nil, err
		}
	}
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	f.mu.Lock()
	answer := f.answer(&in)
	f.mu.Unlock()
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	response := respond(http.StatusOK, string(text))
	if f.change != nil {
		return f.change(in.operation, n, response)
	}
	return response, nil
}

func respond(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}, "X-Amzn-Requestid": {"r-1"}},
		Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)),
	}
}

// refuse is an answer with an error.
func refuse(status int, code string) *http.Response {
	return respond(status, `{"__type": "com.amazonaws.sqs#`+code+`", "message": "secret words"}`)
}

func (f *fake) answer(in *fakeRequest) any {
	switch in.operation {
	case "SendMessageBatch":
		return f.send(in)
	case "ReceiveMessage":
		return f.receive(in)
	case "GetQueueUrl":
		return map[string]any{"QueueUrl": fakeURL}
	case "ListQueueTags":
		return map[string]any{"Tags": f.tags}
	case "GetQueueAttributes":
		return map[string]any{"Attributes": f.attributes}
	}
	successful := make([]map[string]string, 0, len(in.Entries))
	for _, e := range in.Entries {
		f.release(in.operation, e)
		successful = append(successful, map[string]string{"Id": e.Id})
	}
	return map[string]any{"Successful": successful}
}

func (f *fake) send(in *fakeRequest) any {
	successful := make([]map[string]string, 0, len(in.Entries))
	for _, e := range in.Entries {
		successful = append(successful, map[string]string{"Id": e.Id, "MessageId": "m"})
		if key := e.MessageGroupId + " " + e.MessageDeduplicationId; !f.known[key] {
			f.known[key] = true
			id := "message-" + strconv.Itoa(len(f.known))
			m := &fakeMessage{id: id, group: e.MessageGroupId, body: e.MessageAttributes[sqsqueue.BodyAttribute].BinaryValue, sent: time.Now()}
			f.messages = append(f.messages, m)
		}
	}
	return map[string]any{"Successful": successful}
}

func (f *fake) receive(in *fakeRequest) any {
	if known, ok := f.attempts[in.ReceiveRequestAttemptId]; ok {
		return map[string]any{"Messages": known.messages}
	}
	now, blocked := time.Now(), map[string]bool{}
	answer := &fakeAnswer{messages: []map[string]any{}}
	for _, m := range f.messages {
		if m.visible.After(now) {
			blocked[m.group] = true
		}
	}
	for _, m := range f.messages {
		if blocked[m.group] || len(answer.messages) == in.MaxNumberOfMessages {
			continue
		}
		m.receives++
		m.receipt = fmt.Sprint(m.id, " ", m.receives)
		m.visible = now.Add(time.Duration(in.VisibilityTimeout) * time.Second)
		answer.messages = append(answer.messages, map[string]any{
			"MessageId": m.id, "ReceiptHandle": m.receipt, "Body": "-",
			"Attributes": map[string]string{
				"MessageGroupId": m.group, "ApproximateReceiveCount": strconv.Itoa(m.receives), "SentTimestamp": strconv.FormatInt(m.sent.UnixMilli(), 10),
			},
			"MessageAttributes": map[string]any{sqsqueue.BodyAttribute: map[string]any{"DataType": "Binary", "BinaryValue": m.body}},
		})
	}
	f.attempts[in.ReceiveRequestAttemptId] = answer
	return map[string]any{"Messages": answer.messages}
}

func (f *fake) release(operation string, e fakeEntry) {
	for i, m := range f.messages {
		if m.receipt != e.ReceiptHandle {
			continue
		}
		if operation == "DeleteMessageBatch" {
			f.messages = append(f.messages[:i:i], f.messages[i+1:]...)
			return
		}
		m.visible = time.Now().Add(time.Duration(*e.VisibilityTimeout) * time.Second)
	}
}

// requests returns the requests of an operation.
func (f *fake) requests(operation string) []fakeRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []fakeRequest
	for _, c := range f.calls {
		if c.operation == operation {
			all = append(all, c)
		}
	}
	return all
}

func (f *fake) countLocked(operation string) (n int) {
	for _, c := range f.calls {
		if c.operation == operation {
			n++
		}
	}
	return n
}

// bodies returns what is in the queue, in its order.
func (f *fake) bodies() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]string, len(f.messages))
	for i, m := range f.messages {
		all[i] = string(m.body)
	}
	return all
}
