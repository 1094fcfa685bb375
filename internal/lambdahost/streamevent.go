package lambdahost

import (
	"encoding/json"
	"fmt"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// record turns a record of the stream into one of an event.
func (s *StreamSource) record(r types.Record) (streamRecord, error) {
	if r.Dynamodb == nil {
		return streamRecord{}, fmt.Errorf("the record %s has no change", aws.ToString(r.EventID))
	}
	change := events.DynamoDBStreamRecord{
		SequenceNumber: aws.ToString(r.Dynamodb.SequenceNumber), SizeBytes: aws.ToInt64(r.Dynamodb.SizeBytes),
		StreamViewType:              string(r.Dynamodb.StreamViewType),
		ApproximateCreationDateTime: events.SecondsEpochTime{Time: aws.ToTime(r.Dynamodb.ApproximateCreationDateTime)},
	}
	for _, part := range []struct {
		to   *map[string]events.DynamoDBAttributeValue
		from map[string]types.AttributeValue
	}{{&change.Keys, r.Dynamodb.Keys}, {&change.NewImage, r.Dynamodb.NewImage}, {&change.OldImage, r.Dynamodb.OldImage}} {
		values, err := attributeMap(part.from)
		if err != nil {
			return streamRecord{}, fmt.Errorf("the record %s: %w", change.SequenceNumber, err)
		}
		*part.to = values
	}
	record := events.DynamoDBEventRecord{
		AWSRegion: s.region, Change: change, EventID: aws.ToString(r.EventID), EventName: string(r.EventName), EventSource: "aws:dynamodb",
		EventVersion: aws.ToString(r.EventVersion), EventSourceArn: s.cfg.StreamARN,
	}
	if r.UserIdentity != nil {
		record.UserIdentity = &events.DynamoDBUserIdentity{
			Type: aws.ToString(r.UserIdentity.Type), PrincipalID: aws.ToString(r.UserIdentity.PrincipalId),
		}
	}
	text, err := json.Marshal(record)
	if err != nil {
		return streamRecord{}, fmt.Errorf("the record %s: %w", change.SequenceNumber, err)
	}
	return streamRecord{sequence: change.SequenceNumber, created: change.ApproximateCreationDateTime.Time, json: text}, nil
}

func attributeMap(from map[string]types.AttributeValue) (map[string]events.DynamoDBAttributeValue, error) {
	to := make(map[string]events.DynamoDBAttributeValue, len(from))
	for name, value := range from {
		converted, err := attribute(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		to[name] = converted
	}
	return to, nil
}

func attributeList(from []types.AttributeValue) ([]events.DynamoDBAttributeValue, error) {
	to := make([]events.DynamoDBAttributeValue, len(from))
	for i, value := range from {
		converted, err := attribute(value)
		if err != nil {
			return nil, err
		}
		to[i] = converted
	}
	return to, nil
}

func attribute(from types.AttributeValue) (events.DynamoDBAttributeValue, error) {
	switch v := from.(type) {
	case *types.AttributeValueMemberB:
		return events.NewBinaryAttribute(v.Value), nil
	case *types.AttributeValueMemberBOOL:
		return events.NewBooleanAttribute(v.Value), nil
	case *types.AttributeValueMemberBS:
		return events.NewBinarySetAttribute(v.Value), nil
	case *types.AttributeValueMemberL:
		list, err := attributeList(v.Value)
		return events.NewListAttribute(list), err
	case *types.AttributeValueMemberM:
		members, err := attributeMap(v.Value)
		return events.NewMapAttribute(members), err
	case *types.AttributeValueMemberN:
		return events.NewNumberAttribute(v.Value), nil
	case *types.AttributeValueMemberNS:
		return events.NewNumberSetAttribute(v.Value), nil
	case *types.AttributeValueMemberNULL:
		return events.NewNullAttribute(), nil
	case *types.AttributeValueMemberS:
		return events.NewStringAttribute(v.Value), nil
	case *types.AttributeValueMemberSS:
		return events.NewStringSetAttribute(v.Value), nil
	default:
		return events.DynamoDBAttributeValue{}, fmt.Errorf("an attribute of an unknown kind %T", from)
	}
}
