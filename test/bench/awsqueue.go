package main

import (
	"encoding/json"
	"strconv"
	"strings"
)

// sentMessage is a message that a process sent to a queue.
type sentMessage struct {
	caller, region string
	group          string
	text           string
	// attribute is the name of the one that has the content.
	attribute string
	content   []byte
}

// queueInput is what requests to SQS have, as far as they are answered.
type queueInput struct {
	QueueName string
	QueueURL  string `json:"QueueUrl"` //nolint:tagliatelle // SQS's names, here and below.
	Entries   []struct {
		ID                string `json:"Id"` //nolint:tagliatelle // As above.
		MessageBody       string
		MessageGroupID    string `json:"MessageGroupId"` //nolint:tagliatelle // As above.
		MessageAttributes map[string]struct{ BinaryValue []byte }
	}
}

// queue answers for SQS: queues are as the infrastructure makes them, empty, and keep what is sent for itself.
func (c *cloud) queue(call *awsCall, body []byte) any {
	var in queueInput
	_ = json.Unmarshal(body, &in) //nolint:musttag // The fields are called as SQS calls them. What the SDK sends is JSON.
	switch call.operation {
	case "GetQueueUrl":
		return object{"QueueUrl": "https://sqs." + call.region + ".amazonaws.com/" + account + "/" + in.QueueName}
	case "GetQueueAttributes":
		attributes := map[string]string{
			"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId", "MaximumMessageSize": "1048576",
			"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0", "ApproximateNumberOfMessagesDelayed": "0",
		}
		if !strings.Contains(in.QueueURL, "-dead.fifo") {
			attributes["RedrivePolicy"] = "{}"
		}
		return object{"Attributes": attributes}
	case "ListQueueTags":
		return object{"Tags": map[string]string{schemaTag: "1"}}
	case "SendMessageBatch":
		return c.send(call, &in)
	default:
		return object{}
	}
}

func (c *cloud) send(call *awsCall, in *queueInput) object {
	c.mu.Lock()
	defer c.mu.Unlock()
	successful := make([]object, 0, len(in.Entries))
	for _, e := range in.Entries {
		successful = append(successful, object{
			"Id": e.ID, "MessageId": "m" + strconv.Itoa(len(c.sent)), "MD5OfMessageBody": "", "SequenceNumber": strconv.Itoa(len(c.sent)),
		})
		m := sentMessage{caller: call.caller, region: call.region, group: e.MessageGroupID, text: e.MessageBody}
		for name, a := range e.MessageAttributes {
			m.attribute, m.content = name, a.BinaryValue
		}
		c.sent = append(c.sent, m)
	}
	return object{"Successful": successful, "Failed": []object{}}
}
