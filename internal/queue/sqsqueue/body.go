package sqsqueue

import (
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/domicile-api/domicile/internal/queue"
)

const (
	// BodyAttribute is the name of the message attribute, of the type Binary, that has a message's body: SQS takes only text of certain
	// characters as a message's own body, and base64 there would make it a third larger than what is paid for here.
	BodyAttribute = "body"
	// bodyText is what a message has as its own body, which SQS does not allow to be empty.
	bodyText = "-"
	// entryOverhead is what SQS counts of a message besides its body: the text, and the attribute's name and type.
	entryOverhead = len(bodyText) + len(BodyAttribute) + len("Binary")
)

// Delivery is a message as SQS hands it out, to who receives it and in the event of a function. For m of the type events.SQSMessage of
// aws-lambda-go it is {m.MessageId, m.ReceiptHandle, m.Attributes, m.MessageAttributes[BodyAttribute].BinaryValue, m.Body}.
type Delivery struct {
	// ID and Receipt are the message's id and receipt handle.
	ID, Receipt string
	// Attributes are its system attributes, of which MessageGroupId, ApproximateReceiveCount and SentTimestamp are needed.
	Attributes map[string]string
	// Body is the binary value of the message attribute BodyAttribute; nil when there is none.
	Body []byte
	// Text is the message's own body. It counts where there is no message attribute: what somebody else put into the queue is handed on to
	// who knows what to do with a body that is not one, and does not stop its group here.
	Text string
}

// Message returns the message as the port has it.
func (d Delivery) Message() (queue.Message, error) {
	receives, err := d.number(types.MessageSystemAttributeNameApproximateReceiveCount)
	if err != nil {
		return queue.Message{}, err
	}
	sent, err := d.number(types.MessageSystemAttributeNameSentTimestamp)
	if err != nil {
		return queue.Message{}, err
	}
	body := d.Body
	if body == nil {
		body = []byte(d.Text)
	}
	return queue.Message{
		ID: d.ID, Receipt: d.Receipt, Group: d.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)],
		Body: body, Receives: int(receives), Sent: time.UnixMilli(sent).UTC(),
	}, nil
}

func (d Delivery) number(name types.MessageSystemAttributeName) (int64, error) {
	n, err := strconv.ParseInt(d.Attributes[string(name)], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("sqsqueue: a message came with no good attribute %s: %w", name, err)
	}
	return n, nil
}

// deliveryOf makes a Delivery of what was received.
func deliveryOf(m *types.Message) Delivery {
	d := Delivery{Attributes: m.Attributes, Body: m.MessageAttributes[BodyAttribute].BinaryValue}
	if m.MessageId != nil {
		d.ID = *m.MessageId
	}
	if m.ReceiptHandle != nil {
		d.Receipt = *m.ReceiptHandle
	}
	if m.Body != nil {
		d.Text = *m.Body
	}
	return d
}

// attributesOf are the message attributes of a body.
func attributesOf(body []byte) map[string]types.MessageAttributeValue {
	binary := "Binary"
	return map[string]types.MessageAttributeValue{BodyAttribute: {DataType: &binary, BinaryValue: body}}
}
