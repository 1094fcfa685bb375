package dynamotest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
)

// Call is a request that a client sent.
type Call struct {
	// Op is the operation's name, e.g. "GetItem", and N how many requests for it there were before.
	Op string
	N  int
	// Body is the request in DynamoDB's JSON.
	Body string
	// At is when it was sent.
	At time.Time
}

// Answer is what a client gets. The zero Answer is an empty success.
type Answer struct {
	// Code is the name of an error, e.g. "ThrottlingException"; "" for success. Status is 400, 500 with InternalServerError, or given.
	Code   string
	Status int
	// Body is the answer, or what an error has besides its code, in JSON; default: {}.
	Body string
	// Lost makes the client lose the connection with this error instead. Reached says that the request got to Transport.Next before.
	Lost    error
	Reached bool
	// Hang lets the request wait until its context ends.
	Hang bool
}

// Canceled is the answer for a transaction with these reasons, "None" where an operation was fine. An item in JSON may follow a code after
// a space.
func Canceled(reasons ...string) *Answer {
	parts := make([]string, 0, len(reasons))
	for _, r := range reasons {
		code, item, has := strings.Cut(r, " ")
		part := fmt.Sprintf(`{"Code":%q}`, code)
		if has {
			part = fmt.Sprintf(`{"Code":%q,"Item":%s}`, code, item)
		}
		parts = append(parts, part)
	}
	return &Answer{
		Code: "TransactionCanceledException",
		Body: `{"message":"canceled","CancellationReasons":[` + strings.Join(parts, ",") + `]}`,
	}
}

// Transport answers a client's requests in DynamoDB's place, and notes them. It is an http.RoundTripper.
type Transport struct {
	// Answer says how a request is answered; nil, or an answer of nil, lets it through to Next.
	Answer func(c Call) *Answer
	// Next gets what Answer lets through; default: http.DefaultTransport.
	Next http.RoundTripper

	mu    sync.Mutex
	calls []Call
	count map[string]int
}

// Client returns a client over the transport, with the SDK's default retries and without an endpoint.
func (t *Transport) Client() *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region: Region, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), HTTPClient: &http.Client{Transport: t},
	})
}

// Streams returns a client of streams over the transport.
func (t *Transport) Streams() *dynamodbstreams.Client {
	return dynamodbstreams.New(dynamodbstreams.Options{
		Region: Region, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), HTTPClient: &http.Client{Transport: t},
	})
}

// Over puts the transport under a client that has an endpoint.
func (t *Transport) Over(table Table) Table {
	o, so := table.Client.Options(), table.Streams.Options()
	o.HTTPClient, so.HTTPClient = &http.Client{Transport: t}, &http.Client{Transport: t}
	return Table{Name: table.Name, Client: dynamodb.New(o), Streams: dynamodbstreams.New(so)}
}

// Calls returns the requests so far.
func (t *Transport) Calls() []Call {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Call(nil), t.calls...)
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("reading a request: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	c := t.note(r, body)
	var a *Answer
	if t.Answer != nil {
		a = t.Answer(c)
	}
	if a == nil {
		return t.pass(r)
	}
	if a.Reached {
		answer, err := t.pass(r)
		if err != nil {
			return nil, err
		}
		if err := answer.Body.Close(); err != nil {
			return nil, fmt.Errorf("closing an answer: %w", err)
		}
	}
	switch {
	case a.Hang:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case a.Lost != nil:
		return nil, a.Lost
	default:
		return a.response(r)
	}
}

// note keeps a request.
func (t *Transport) note(r *http.Request, body []byte) Call {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if t.count == nil {
		t.count = make(map[string]int)
	}
	c := Call{Op: op, N: t.count[op], Body: string(body), At: time.Now()}
	t.count[op]++
	t.calls = append(t.calls, c)
	return c
}

func (t *Transport) pass(r *http.Request) (*http.Response, error) {
	next := t.Next
	if next == nil {
		next = http.DefaultTransport
	}
	answer, err := next.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("passing a request on: %w", err)
	}
	return answer, nil
}

func (a *Answer) response(r *http.Request) (*http.Response, error) {
	fields := map[string]any{}
	if a.Body != "" {
		if err := json.Unmarshal([]byte(a.Body), &fields); err != nil {
			return nil, fmt.Errorf("an answer that is no JSON: %w", err)
		}
	}
	status := http.StatusOK
	if a.Code != "" {
		fields["__type"] = "com.amazonaws.dynamodb.v20120810#" + a.Code
		status = http.StatusBadRequest
		if a.Code == "InternalServerError" {
			status = http.StatusInternalServerError
		}
	}
	if a.Status != 0 {
		status = a.Status
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("writing an answer: %w", err)
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header:        http.Header{"Content-Type": {"application/x-amz-json-1.0"}, "X-Amzn-Requestid": {"test"}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}, nil
}
