package dynamostore

import (
	"errors"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/internal/store/dynamostore/dynamotest"
)

// describing answers what Open asks; each part may be replaced.
func describing(replace map[string]*dynamotest.Answer) *dynamotest.Transport {
	return &dynamotest.Transport{Answer: func(c dynamotest.Call) *dynamotest.Answer {
		if a, ok := replace[c.Op]; ok {
			return a
		}
		return &dynamotest.Answer{Body: map[string]string{
			"DescribeTable": `{"Table":{"TableStatus":"ACTIVE","TableArn":"arn","LatestStreamArn":"arn","KeySchema":[` +
				`{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}],"AttributeDefinitions":[` +
				`{"AttributeName":"sk","AttributeType":"B"},{"AttributeName":"pk","AttributeType":"B"}]}}`,
			"DescribeTimeToLive": `{"TimeToLiveDescription":{"TimeToLiveStatus":"ENABLED","AttributeName":"ttl"}}`,
			"ListTagsOfResource": `{"Tags":[{"Key":"other","Value":"x"},{"Key":"domicile:schema","Value":"1"}]}`,
		}[c.Op]}
	}}
}

func answer(body string) *dynamotest.Answer { return &dynamotest.Answer{Body: body} }

func TestOpenRefusesAnotherSchema(t *testing.T) {
	t.Parallel()
	keys := `"AttributeDefinitions":[{"AttributeName":"sk","AttributeType":"B"},{"AttributeName":"pk","AttributeType":"B"}],`
	for _, tt := range []struct {
		problem, op string
		answer      *dynamotest.Answer
	}{
		{"does not exist", "DescribeTable", &dynamotest.Answer{Code: "ResourceNotFoundException"}},
		{"its status is CREATING", "DescribeTable", answer(`{"Table":{"TableStatus":"CREATING"}}`)},
		{"other keys", "DescribeTable", answer(`{"Table":{"TableStatus":"ACTIVE","KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}]}}`)},
		{"other keys", "DescribeTable", answer(`{"Table":{"TableStatus":"ACTIVE",` + keys + `"KeySchema":[` +
			`{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sort","KeyType":"RANGE"}]}}`)},
		{"both binary", "DescribeTable", answer(`{"Table":{"TableStatus":"ACTIVE","AttributeDefinitions":[` +
			`{"AttributeName":"sk","AttributeType":"S"},{"AttributeName":"pk","AttributeType":"B"}],"KeySchema":[` +
			`{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}]}}`)},
		{"has no stream", "DescribeTable", answer(`{"Table":{"TableStatus":"ACTIVE",` + keys + `"KeySchema":[` +
			`{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}]}}`)},
		{"does not remove expired items", "DescribeTimeToLive", answer(`{"TimeToLiveDescription":{"TimeToLiveStatus":"DISABLED"}}`)},
		{"does not remove expired items", "DescribeTimeToLive",
			answer(`{"TimeToLiveDescription":{"TimeToLiveStatus":"ENABLED","AttributeName":"expires"}}`)},
		{`has the schema version "2"`, "ListTagsOfResource", answer(`{"Tags":[{"Key":"domicile:schema","Value":"2"}]}`)},
		{"has no tag domicile:schema", "ListTagsOfResource", answer(`{"Tags":[{"Key":"other","Value":"1"}]}`)},
	} {
		t.Run(tt.problem, func(t *testing.T) {
			t.Parallel()
			transport := describing(map[string]*dynamotest.Answer{tt.op: tt.answer})
			_, err := Open(t.Context(), Config{Table: "table", Client: transport.Client(), Streams: transport.Streams()})
			schema, ok := errors.AsType[*SchemaError](err)
			if !ok || !strings.Contains(schema.Problem, tt.problem) || !strings.Contains(err.Error(), "deploy the infrastructure") {
				t.Errorf("%v; want a SchemaError that says: %s", err, tt.problem)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	transport := describing(nil)
	if _, err := Open(t.Context(), Config{Table: "table", Client: transport.Client(), Streams: transport.Streams()}); err != nil {
		t.Error(err)
	}
	for _, op := range []string{"DescribeTable", "DescribeTimeToLive", "ListTagsOfResource"} {
		transport := describing(map[string]*dynamotest.Answer{op: {Code: "AccessDeniedException"}})
		_, err := Open(t.Context(), Config{Table: "table", Client: transport.Client()})
		if _, ok := errors.AsType[*AccessError](err); !ok {
			t.Errorf("%s denied: %v; want an AccessError", op, err)
		}
	}
	if _, err := New(Config{Table: "table"}); err == nil {
		t.Error("a store without a client")
	}
	// For a function that starts, nothing is asked.
	transport = describing(nil)
	if _, err := New(Config{Table: "table", Client: transport.Client()}); err != nil || len(transport.Calls()) > 0 {
		t.Errorf("%v after %d calls", err, len(transport.Calls()))
	}
}
