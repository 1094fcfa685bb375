//go:build aws

package aws_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/domicile-api/domicile/internal/ident"
)

func (d *deployed) id(region string) ident.RegionID { return ident.RegionID(region) }

// show puts a message that was received back in sight.
func show(ctx context.Context, client *sqs.Client, url string, m sqstypes.Message) error {
	_, err := client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0})
	if err != nil {
		return fmt.Errorf("putting a message back: %w", err)
	}
	return nil
}

// contentOf is all that a message has in it: the platform puts its own into an attribute.
func contentOf(m sqstypes.Message) []byte {
	content := []byte(aws.ToString(m.Body))
	for name, a := range m.MessageAttributes {
		content = append(append(append(content, name...), a.BinaryValue...), aws.ToString(a.StringValue)...)
	}
	for name, value := range m.Attributes {
		content = append(append(content, name...), value...)
	}
	return content
}

// inSight counts the messages that a queue would deliver.
func (d *deployed) inSight(t testing.TB, region, name string) (n int) {
	t.Helper()
	d.browse(t, region, name, func(sqstypes.Message) { n++ })
	return n
}

// lying waits until a message about something lies in a queue.
func (s *stack) lying(t *testing.T, region, queue, about string) {
	t.Helper()
	eventually(t, "a message about "+about+" lies in a queue of "+region, func() error {
		n := 0
		s.browse(t, region, s.names.Queue(queue), func(m sqstypes.Message) {
			if contains(contentOf(m), about) {
				n++
			}
		})
		if n == 0 {
			return errors.New("there is none")
		}
		return nil
	})
}

// kill looks at all messages of a queue, which receives them, until they are dead letters.
func (s *stack) kill(t *testing.T, region, queue string) {
	t.Helper()
	eventually(t, "the messages are dead letters", func() error {
		if n := s.inSight(t, region, s.names.Queue(queue)); n > 0 {
			return fmt.Errorf("%d are not", n)
		}
		if s.inSight(t, region, s.names.DeadQueue(queue)) == 0 {
			return errors.New("there are none")
		}
		return nil
	})
}

// proof shows that the search finds what lies in clear: in a table, a queue and among dead letters.
func (s *stack) proof(t *testing.T) {
	t.Helper()
	const planted = "planted-in-clear"
	key := map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberB{Value: []byte("t/planted")}, "sk": &types.AttributeValueMemberB{Value: []byte("x")},
	}
	table := s.names.Table("replica")
	item := map[string]types.AttributeValue{"pk": key["pk"], "sk": key["sk"], "v": &types.AttributeValueMemberB{Value: []byte("<" + planted + ">")}}
	client := s.in(dublin)
	if _, err := client.dynamo.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item}); err != nil {
		t.Fatal(err)
	}
	dead, err := queueURL(t.Context(), client.sqs, s.names.DeadQueue("events"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &dead, MessageBody: aws.String("<" + planted + ">"), MessageGroupId: aws.String("planted"), MessageDeduplicationId: aws.String("planted"),
	})
	if err != nil {
		t.Fatal(err)
	}
	hits, _ := s.search(t, planted)
	places := make(map[string]bool)
	for _, h := range hits {
		places[h.region+" "+h.place] = true
	}
	if !places[dublin+" replica"] || !places[dublin+" "+s.names.DeadQueue("events")] {
		t.Errorf("the search finds what was planted in %v only", places)
	}
	if err := audited(t.Context(), s.control.OperationsURL(), s.operator); err == nil {
		t.Error("the platform's own audit does not find a row of no class")
	}
	_, err = client.dynamo.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: key})
	_, purge := client.sqs.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &dead})
	if err := errors.Join(err, purge); err != nil {
		t.Fatal(err)
	}
}
