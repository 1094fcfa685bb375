package lambda

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/deployment"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/queue/sqsqueue"
	"github.com/domicile-api/domicile/internal/replication"
)

// Apply is the function on a queue of a region. It is deployed twice, under two roles: on the queue of events it applies projections and
// settings and has no access to what tenants at home keep; on the queue of sealed copies, where there is one, it stores these as they are
// and can open none.
type Apply struct {
	worker *app.Worker
	logger *slog.Logger
	queue  string
	// source is how the ARN of that queue ends.
	source string
}

// sealedFunction is how the name of the function ends that is on the queue of sealed copies: it decides which tables are opened.
const sealedFunction = "-sealed"

// NewApply makes the function; AWS_LAMBDA_FUNCTION_NAME says which of the two it is. It reads the directory.
func NewApply(ctx context.Context, env Environment, services ...domicile.Service) (*Apply, error) {
	part, name := app.ApplyEvents, replication.QueueEvents
	if function, _ := env("AWS_LAMBDA_FUNCTION_NAME"); strings.HasSuffix(function, sealedFunction) {
		part, name = app.ApplySealed, replication.QueueSealed
	}
	called, _ := env("DOMICILE_DEPLOYMENT")
	names, err := deployment.New(called)
	if err != nil {
		return nil, fmt.Errorf("DOMICILE_DEPLOYMENT: %w", err)
	}
	worker, logger, err := open(ctx, env, part, services)
	if err != nil {
		return nil, err
	}
	return &Apply{worker: worker, logger: logger, queue: name, source: ":" + names.Queue(name)}, nil
}

// Handle applies a batch in its order. Messages that could not be applied are named, with all that come after them in their groups; the
// others are deleted by Lambda.
func (a *Apply) Handle(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
	messages := make([]queue.Message, len(e.Records))
	for i := range e.Records {
		if arn := e.Records[i].EventSourceARN; !strings.HasSuffix(arn, a.source) {
			// Signed for another queue, none would be authentic here, and be deleted.
			return events.SQSEventResponse{}, fmt.Errorf("the messages are of %s, and the function is for the queue %s: is its name right?", arn, a.source[1:])
		}
		m, err := messageOf(&e.Records[i])
		if err != nil {
			return events.SQSEventResponse{}, err // All come again: there is nothing to tell them apart by.
		}
		messages[i] = m
	}
	again, err := a.worker.Apply(ctx, a.queue, messages)
	if err != nil {
		return events.SQSEventResponse{}, fmt.Errorf("applying %d messages: %w", len(messages), err)
	}
	var answer events.SQSEventResponse
	for _, i := range again {
		answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: messages[i].ID})
	}
	if len(again) > 0 {
		a.logger.WarnContext(ctx, "messages come again", slog.Int("of", len(messages)), slog.Int("again", len(again)))
	}
	return answer, nil
}

func messageOf(m *events.SQSMessage) (queue.Message, error) {
	return sqsqueue.Delivery{
		ID: m.MessageId, Receipt: m.ReceiptHandle, Attributes: m.Attributes,
		Body: m.MessageAttributes[sqsqueue.BodyAttribute].BinaryValue, Text: m.Body,
	}.Message()
}
