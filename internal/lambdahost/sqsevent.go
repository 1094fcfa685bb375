package lambdahost

import (
	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// sqsRecord is a message as a function sees it.
func sqsRecord(m types.Message, arn, region string) events.SQSMessage {
	return events.SQSMessage{
		MessageId: aws.ToString(m.MessageId), ReceiptHandle: aws.ToString(m.ReceiptHandle), Body: aws.ToString(m.Body),
		Md5OfBody: aws.ToString(m.MD5OfBody), Md5OfMessageAttributes: aws.ToString(m.MD5OfMessageAttributes),
		Attributes: m.Attributes, MessageAttributes: sqsAttributes(m.MessageAttributes),
		EventSourceARN: arn, EventSource: "aws:sqs", AWSRegion: region,
	}
}

func sqsAttributes(from map[string]types.MessageAttributeValue) map[string]events.SQSMessageAttribute {
	to := make(map[string]events.SQSMessageAttribute, len(from))
	for name, value := range from {
		to[name] = events.SQSMessageAttribute{
			StringValue: value.StringValue, BinaryValue: value.BinaryValue, DataType: aws.ToString(value.DataType),
			StringListValues: append([]string{}, value.StringListValues...), BinaryListValues: append([][]byte{}, value.BinaryListValues...),
		}
	}
	return to
}
