package dynamostore_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/domicile-api/domicile/internal/store/dynamostore"
)

// accident is what becomes of a request.
type accident int

const (
	none          accident = iota
	throttled              // DynamoDB refuses it for now
	lostRequest            // the connection is lost before it arrives
	lostAnswer             // it takes effect, and the connection is lost
	failedAnswer           // it takes effect, and the answer says that something failed
	rivalThenLost          // another writer takes the key first, and the connection is lost
	silence                // it takes effect, and nobody answers
)

// smallDynamo is a transport that answers single-item requests as DynamoDB does, from memory. It knows the conditions of this package.
type smallDynamo struct {
	// next decides what becomes of the n-th request, from 1; nil: nothing.
	next func(n int, target string) accident

	mu      sync.Mutex
	targets []string
	items   map[string]attributes
}

// attributes are an item in DynamoDB's JSON.
type attributes map[string]map[string]any

func newDirectory(t *testing.T, next func(n int, target string) accident) (*dynamostore.Directory, *smallDynamo) {
	t.Helper()
	s := &smallDynamo{next: next, items: make(map[string]attributes)}
	d, err := dynamostore.NewDirectory(dynamostore.DirectoryConfig{Config: dynamostore.Config{
		Table: "domicile-directory", RetryFor: 2 * time.Second, MinPause: time.Millisecond, MaxPause: 2 * time.Millisecond,
		Client: dynamodb.New(dynamodb.Options{
			Region: "eu-central-1", HTTPClient: &http.Client{Transport: s}, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
			BaseEndpoint: aws.String("http://dynamodb.test"),
		}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return d, s
}

// asked returns the operations that were requested.
func (s *smallDynamo) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.targets)
}

var errLost = errors.New("connection reset by peer")

func (s *smallDynamo) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	_, target, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets = append(s.targets, target)
	what := none
	if s.next != nil {
		what = s.next(len(s.targets), target)
	}
	switch what { //nolint:exhaustive // The others take effect first.
	case throttled:
		return answer(http.StatusBadRequest, map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException"}), nil
	case lostRequest:
		return nil, errLost
	case rivalThenLost:
		s.rival(body)
		return nil, errLost
	}
	status, out := s.do(target, body)
	switch what {
	case silence:
		s.mu.Unlock()
		<-r.Context().Done()
		s.mu.Lock()
		return nil, r.Context().Err()
	case lostAnswer:
		return nil, errLost
	case failedAnswer:
		return answer(http.StatusInternalServerError, map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError"}), nil
	default:
		return answer(status, out), nil
	}
}

func answer(status int, body map[string]any) *http.Response {
	data, _ := json.Marshal(body) // What it is made of always encodes.
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, Body: io.NopCloser(bytes.NewReader(data)),
	}
}

// input is what requests have.
type input struct {
	Item                      attributes `json:"Item"`                      //nolint:tagliatelle // DynamoDB's names, here and below.
	Key                       attributes `json:"Key"`                       //nolint:tagliatelle // As above.
	ConditionExpression       string     `json:"ConditionExpression"`       //nolint:tagliatelle // As above.
	ExpressionAttributeValues attributes `json:"ExpressionAttributeValues"` //nolint:tagliatelle // As above.
	ScanIndexForward          *bool      `json:"ScanIndexForward"`          //nolint:tagliatelle // As above.
	Limit                     int        `json:"Limit"`                     //nolint:tagliatelle // As above.
}

func (s *smallDynamo) do(target string, body []byte) (int, map[string]any) {
	var in input
	if err := json.Unmarshal(body, &in); err != nil {
		return http.StatusBadRequest, map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#SerializationException"}
	}
	switch target {
	case "PutItem":
		id := keyOf(in.Item)
		stored, present := s.items[id]
		if !in.holds(stored, present) {
			return http.StatusBadRequest, map[string]any{
				"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "Item": stored,
			}
		}
		s.items[id] = in.Item
	case "DeleteItem":
		delete(s.items, keyOf(in.Key))
	case "GetItem":
		if stored, ok := s.items[keyOf(in.Key)]; ok {
			return http.StatusOK, map[string]any{"Item": stored}
		}
	case "Query":
		return http.StatusOK, map[string]any{"Items": s.query(in)}
	default: // A global table has no other requests for its items.
		return http.StatusBadRequest, map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#ValidationException"}
	}
	return http.StatusOK, map[string]any{}
}

// query answers a partition from a bound on; sort keys of one length are in the order of their base 64.
func (s *smallDynamo) query(in input) []attributes {
	found := []attributes{}
	for _, id := range slices.Sorted(maps.Keys(s.items)) {
		item := s.items[id]
		from, bound := in.ExpressionAttributeValues[":from"]["B"].(string)
		if item["pk"]["B"] == in.ExpressionAttributeValues[":pk"]["B"] && (!bound || item["sk"]["B"].(string) >= from) {
			found = append(found, item)
		}
	}
	if in.ScanIndexForward != nil && !*in.ScanIndexForward {
		slices.Reverse(found)
	}
	return found[:min(len(found), in.Limit)]
}

// holds evaluates the conditions of items that do not end.
func (in *input) holds(stored attributes, present bool) bool {
	older := stored["version"]["B"]
	wanted := in.ExpressionAttributeValues[":version"]["B"]
	switch {
	case in.ConditionExpression == "":
		return true
	case strings.Contains(in.ConditionExpression, "#version <"):
		return !present || older.(string) < wanted.(string)
	case strings.Contains(in.ConditionExpression, "#version ="):
		return present && older == wanted
	default:
		return !present
	}
}

// rival puts what a request would put, as another commit.
func (s *smallDynamo) rival(body []byte) {
	var in input
	if json.Unmarshal(body, &in) == nil {
		in.Item["attempt"] = map[string]any{"S": "a rival's"}
		s.items[keyOf(in.Item)] = in.Item
	}
}

func keyOf(a attributes) string {
	return a["pk"]["B"].(string) + " " + a["sk"]["B"].(string)
}
