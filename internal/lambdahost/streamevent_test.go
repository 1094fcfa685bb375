package lambdahost_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/lambdahost"
)

// A record has the shape of AWS's own example, and the types of package events read it.
func TestStreamEventShape(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stream{}
		sh := s.shard("s1", "")
		values := map[string]types.AttributeValue{
			"b": &types.AttributeValueMemberB{Value: []byte{0, 1, 42, 65}}, "bs": &types.AttributeValueMemberBS{Value: [][]byte{{0}, {1}}},
			"bool": &types.AttributeValueMemberBOOL{Value: true}, "n": &types.AttributeValueMemberN{Value: "3.5"}, "ns": &types.AttributeValueMemberNS{Value: []string{"1", "2"}},
			"null": &types.AttributeValueMemberNULL{Value: true}, "s": &types.AttributeValueMemberS{Value: "ü"}, "ss": &types.AttributeValueMemberSS{Value: []string{"x"}},
			"l": &types.AttributeValueMemberL{Value: []types.AttributeValue{&types.AttributeValueMemberS{Value: "in"}}},
			"m": &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"in": &types.AttributeValueMemberN{Value: "1"}}},
		}
		sh.records = []types.Record{{
			EventID: aws.String("e1"), EventName: types.OperationTypeRemove, EventVersion: aws.String("1.1"), EventSource: aws.String("aws:dynamodb"), AwsRegion: aws.String("elsewhere"),
			UserIdentity: &types.Identity{Type: aws.String("Service"), PrincipalId: aws.String("dynamodb.amazonaws.com")},
			Dynamodb: &types.StreamRecord{
				ApproximateCreationDateTime: aws.Time(time.Unix(1_480_642_020, 0)), SequenceNumber: aws.String("111"), SizeBytes: aws.Int64(26),
				StreamViewType: types.StreamViewTypeOldImage, OldImage: values,
				Keys: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberB{Value: []byte{1, 2}}, "sk": &types.AttributeValueMemberB{Value: []byte{255}}},
			},
		}}
		var raw []byte
		runStream(t, lambdahost.StreamConfig{Client: s, Function: invokerFunc(func(_ context.Context, event []byte) ([]byte, error) {
			raw = event
			return nil, nil
		})}, time.Second)
		const want = `{"Records":[{"awsRegion":"eu-west-1","eventID":"e1","eventName":"REMOVE","eventSource":"aws:dynamodb","eventVersion":"1.1",
			"eventSourceARN":"` + streamARN + `","userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},
			"dynamodb":{"ApproximateCreationDateTime":1480642020,"Keys":{"pk":{"B":"AQI="},"sk":{"B":"/w=="}},"SequenceNumber":"111","SizeBytes":26,
				"StreamViewType":"OLD_IMAGE","OldImage":{"b":{"B":"AAEqQQ=="},"bs":{"BS":["AA==","AQ=="]},"bool":{"BOOL":true},"n":{"N":"3.5"},"ns":{"NS":["1","2"]},
				"null":{"NULL":true},"s":{"S":"ü"},"ss":{"SS":["x"]},"l":{"L":[{"S":"in"}]},"m":{"M":{"in":{"N":"1"}}}}}}]}`
		var gotValue, wantValue any
		if err := json.Unmarshal(raw, &gotValue); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(want), &wantValue); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wantValue, gotValue); diff != "" {
			t.Error(diff)
		}
		var event events.DynamoDBEvent
		if err := json.Unmarshal(raw, &event); err != nil || string(event.Records[0].Change.Keys["pk"].Binary()) != "\x01\x02" {
			t.Errorf("it is not read: %v, %+v", err, event)
		}
	})
}
