//go:build aws

package lambdahost_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/domicile-api/domicile/internal/lambdahost"
)

const awsRegion = "eu-west-1"

func awsConfig(t *testing.T) aws.Config {
	t.Helper()
	if os.Getenv("AWS_ENDPOINT_URL") == "" {
		t.Fatal("AWS_ENDPOINT_URL is not set; it must name a LocalStack")
	}
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion(awsRegion))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// newQueue makes a FIFO queue, with dead letters after two receptions, and removes it at the end.
func newQueue(t *testing.T, client *sqs.Client) (url, arn, deadURL string) {
	t.Helper()
	name := fmt.Sprintf("lambdahost-%d", time.Now().UnixNano())
	deadURL, deadARN := createQueue(t, client, name+"-dead.fifo", map[string]string{"FifoQueue": "true"})
	url, arn = createQueue(t, client, name+".fifo", map[string]string{
		"FifoQueue": "true", "VisibilityTimeout": "2", "RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":2}`, deadARN),
	})
	return url, arn, deadURL
}

func createQueue(t *testing.T, client *sqs.Client, name string, attributes map[string]string) (url, arn string) {
	t.Helper()
	created, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := client.DeleteQueue(context.WithoutCancel(t.Context()), &sqs.DeleteQueueInput{QueueUrl: created.QueueUrl}); err != nil {
			t.Error(err)
		}
	})
	got, err := client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: created.QueueUrl, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
	})
	if err != nil {
		t.Fatal(err)
	}
	return *created.QueueUrl, got.Attributes["QueueArn"]
}

func send(t *testing.T, client *sqs.Client, url, group string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		_, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{
			QueueUrl: aws.String(url), MessageBody: aws.String(body), MessageGroupId: aws.String(group), MessageDeduplicationId: aws.String("d-" + body),
			MessageAttributes: map[string]types.MessageAttributeValue{
				"bytes": {DataType: aws.String("Binary"), BinaryValue: []byte{0, 255}}, "text": {DataType: aws.String("String"), StringValue: aws.String(body)},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// serve runs a source until the test has seen what it waits for.
func serve(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- run(ctx) }()
	return func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	}
}

func TestSQSOnLocalStack(t *testing.T) {
	t.Parallel()
	client := sqs.NewFromConfig(awsConfig(t))
	url, arn, deadURL := newQueue(t, client)
	groups := []string{"a", "b", "c"}
	for _, g := range groups {
		for n := range 15 {
			send(t, client, url, g, g+strconv.Itoa(n))
		}
	}
	raw := make(chan []byte, 1)
	handled := make(chan string, 100)
	function := invokerFunc(func(_ context.Context, event []byte) ([]byte, error) {
		select {
		case raw <- event:
		default:
		}
		var e events.SQSEvent
		if err := json.Unmarshal(event, &e); err != nil {
			return nil, err
		}
		var response events.SQSEventResponse
		failed := map[string]bool{}
		for _, r := range e.Records {
			if g := r.Attributes["MessageGroupId"]; failed[g] || r.Body == "b3" {
				failed[g] = true
				response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: r.MessageId})
				continue
			}
			handled <- r.Body
		}
		return json.Marshal(response)
	})
	source, err := lambdahost.NewSQSSource(lambdahost.SQSConfig{
		Client: client, Function: function, QueueURL: url, QueueARN: arn, MaxConcurrency: 3, ReportBatchItemFailures: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := serve(t, source.Run)
	dead := make(chan string, 100)
	stopDead := serve(t, func(ctx context.Context) error { return drain(ctx, client, deadURL, dead) })
	got, died := map[string][]string{}, map[string][]string{}
	for range 15 * len(groups) {
		select {
		case body := <-handled:
			got[body[:1]] = append(got[body[:1]], body)
		case body := <-dead:
			died[body[:1]] = append(died[body[:1]], body)
		case <-time.After(time.Minute):
			t.Fatalf("nothing came for a minute after %q, dead %q", got, died)
		}
	}
	stop()
	stopDead()
	checkSQSShape(t, await(t, raw), arn)
	for _, g := range []string{"a", "c"} {
		want := make([]string, 15)
		for n := range want {
			want[n] = g + strconv.Itoa(n)
		}
		if diff := cmp.Diff(want, got[g]); diff != "" {
			t.Error(diff)
		}
	}
	// What was received behind the poison message as often as it was dies with it; what came later is handled.
	if len(died["b"]) == 0 || died["b"][0] != "b3" || len(died) != 1 || !slices.Equal(got["b"][:3], []string{"b0", "b1", "b2"}) {
		t.Errorf("handled %q, dead %q", got["b"], died)
	}
}

// drain passes the messages of a queue on until ctx ends.
func drain(ctx context.Context, client *sqs.Client, url string, to chan<- string) error {
	for {
		out, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: aws.String(url), WaitTimeSeconds: 5, MaxNumberOfMessages: 10, VisibilityTimeout: 600})
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end
		}
		if err != nil {
			return err
		}
		for _, m := range out.Messages {
			to <- *m.Body
			if _, err := client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: aws.String(url), ReceiptHandle: m.ReceiptHandle}); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// checkSQSShape looks at what stands in an event of AWS, name by name.
func checkSQSShape(t *testing.T, raw []byte, arn string) {
	t.Helper()
	var event struct {
		Records []map[string]any `json:"Records"` //nolint:tagliatelle // AWS's name
	}
	if err := json.Unmarshal(raw, &event); err != nil {
		t.Fatal(err)
	}
	r := event.Records[0]
	attributes, _ := r["attributes"].(map[string]any)
	for _, name := range []string{"MessageGroupId", "ApproximateReceiveCount", "SentTimestamp", "SequenceNumber", "MessageDeduplicationId", "SenderId", "ApproximateFirstReceiveTimestamp"} {
		if text, ok := attributes[name].(string); !ok || text == "" {
			t.Errorf("the attribute %s is %v", name, attributes[name])
		}
	}
	body, _ := r["body"].(string)
	want := map[string]any{
		"eventSource": "aws:sqs", "eventSourceARN": arn, "awsRegion": awsRegion, "body": body,
		"messageAttributes": map[string]any{
			"bytes": map[string]any{"binaryValue": "AP8=", "dataType": "Binary", "stringListValues": []any{}, "binaryListValues": []any{}},
			"text":  map[string]any{"stringValue": body, "dataType": "String", "stringListValues": []any{}, "binaryListValues": []any{}},
		},
	}
	given := cmpopts.IgnoreMapEntries(func(name string, _ any) bool {
		return slices.Contains([]string{"messageId", "receiptHandle", "md5OfBody", "md5OfMessageAttributes", "attributes"}, name)
	})
	if diff := cmp.Diff(want, r, given); diff != "" {
		t.Error(diff)
	}
	if len(r) != 10 {
		t.Errorf("%d members: %v", len(r), r)
	}
}

// newStream makes a table with a stream of keys, and removes it at the end.
func newStream(t *testing.T, client *dynamodb.Client) (table, arn string) {
	t.Helper()
	table = fmt.Sprintf("lambdahost-%d", time.Now().UnixNano())
	binary := func(name string) dynamodbtypes.AttributeDefinition {
		return dynamodbtypes.AttributeDefinition{AttributeName: aws.String(name), AttributeType: dynamodbtypes.ScalarAttributeTypeB}
	}
	created, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String(table), BillingMode: dynamodbtypes.BillingModePayPerRequest, AttributeDefinitions: []dynamodbtypes.AttributeDefinition{binary("pk"), binary("sk")},
		KeySchema: []dynamodbtypes.KeySchemaElement{
			{AttributeName: aws.String("pk"), KeyType: dynamodbtypes.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: dynamodbtypes.KeyTypeRange},
		},
		StreamSpecification: &dynamodbtypes.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: dynamodbtypes.StreamViewTypeKeysOnly},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := client.DeleteTable(context.WithoutCancel(t.Context()), &dynamodb.DeleteTableInput{TableName: aws.String(table)}); err != nil {
			t.Error(err)
		}
	})
	return table, *created.TableDescription.LatestStreamArn
}

func put(t *testing.T, client *dynamodb.Client, table string, n byte) {
	t.Helper()
	_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(table), Item: map[string]dynamodbtypes.AttributeValue{
		"pk": &dynamodbtypes.AttributeValueMemberB{Value: []byte{n}}, "sk": &dynamodbtypes.AttributeValueMemberB{Value: []byte{0xff, n}},
		"value": &dynamodbtypes.AttributeValueMemberS{Value: "not in the stream"},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStreamOnLocalStack(t *testing.T) {
	t.Parallel()
	cfg := awsConfig(t)
	tables := dynamodb.NewFromConfig(cfg)
	table, arn := newStream(t, tables)
	for n := range byte(25) {
		put(t, tables, table, n)
	}
	var mu sync.Mutex
	var raw []byte
	handled := make(chan byte, 200)
	function := invokerFunc(func(_ context.Context, event []byte) ([]byte, error) {
		var e events.DynamoDBEvent
		if err := json.Unmarshal(event, &e); err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		raw = event
		for _, r := range e.Records {
			if r.Change.Keys["pk"].Binary()[0] == 7 {
				return nil, &lambdahost.FunctionError{Cause: lambdahost.Handled, Type: "errorString", Message: "poison"}
			}
		}
		for _, r := range e.Records {
			handled <- r.Change.Keys["pk"].Binary()[0]
		}
		return nil, nil
	})
	discarded := make(chan lambdahost.Discarded, 10)
	source, err := lambdahost.NewStreamSource(lambdahost.StreamConfig{
		Client: dynamodbstreams.NewFromConfig(cfg), Function: function, StreamARN: arn, BatchSize: 10, BisectOnError: true, MaxAttempts: 2,
		OnFailure: func(_ context.Context, d lambdahost.Discarded) { discarded <- d },
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := serve(t, source.Run)
	for n := range byte(25) {
		if n == 7 {
			continue
		}
		if got := await(t, handled); got != n {
			t.Errorf("%d came, want %d", got, n)
		}
	}
	if d := await(t, discarded); d.Records != 1 || d.First != d.Last || d.Condition != "RetryAttemptsExhausted" || d.StreamARN != arn || d.ShardID == "" {
		t.Errorf("given up: %+v", d)
	}
	put(t, tables, table, 100) // While it reads.
	if got := await(t, handled); got != 100 {
		t.Errorf("%d came, want 100", got)
	}
	stop()
	checkStreamShape(t, raw, arn)
}

func checkStreamShape(t *testing.T, raw []byte, arn string) {
	t.Helper()
	var event struct {
		Records []map[string]any `json:"Records"` //nolint:tagliatelle // AWS's name
	}
	if err := json.Unmarshal(raw, &event); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"awsRegion": awsRegion, "eventName": "INSERT", "eventSource": "aws:dynamodb", "eventSourceARN": arn, "eventVersion": "1.1",
		"dynamodb": map[string]any{"Keys": map[string]any{"pk": map[string]any{"B": "ZA=="}, "sk": map[string]any{"B": "/2Q="}}, "StreamViewType": "KEYS_ONLY"},
	}
	given := cmpopts.IgnoreMapEntries(func(name string, v any) bool {
		text, _ := v.(string)
		number, _ := v.(float64)
		switch name {
		case "eventID", "SequenceNumber":
			return text != ""
		case "SizeBytes", "ApproximateCreationDateTime":
			return number > 0
		default:
			return false
		}
	})
	if diff := cmp.Diff(want, event.Records[0], given); diff != "" {
		t.Errorf("%s: %s", diff, raw)
	}
}

// A stream that is read from its end shows what is written from then on.
func TestLatestOnLocalStack(t *testing.T) {
	t.Parallel()
	cfg := awsConfig(t)
	tables := dynamodb.NewFromConfig(cfg)
	table, arn := newStream(t, tables)
	put(t, tables, table, 1)
	begun := make(chan struct{}, 100)
	client := &watchedStreams{Client: dynamodbstreams.NewFromConfig(cfg), read: begun}
	keys := make(chan string, 10)
	source, err := lambdahost.NewStreamSource(lambdahost.StreamConfig{
		Client: client, StreamARN: arn, Latest: true, Function: invokerFunc(func(_ context.Context, event []byte) ([]byte, error) {
			keys <- string(event)
			return nil, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := serve(t, source.Run)
	await(t, begun)
	put(t, tables, table, 2)
	if got := await(t, keys); !strings.Contains(got, `"Ag=="`) || strings.Contains(got, `"AQ=="`) {
		t.Errorf("got %s", got)
	}
	stop()
}

// watchedStreams tells when a read has succeeded.
type watchedStreams struct {
	*dynamodbstreams.Client

	read chan struct{}
}

func (w *watchedStreams) GetRecords(ctx context.Context, in *dynamodbstreams.GetRecordsInput, o ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetRecordsOutput, error) {
	out, err := w.Client.GetRecords(ctx, in, o...)
	if err == nil {
		select {
		case w.read <- struct{}{}:
		default:
		}
	}
	return out, err
}
