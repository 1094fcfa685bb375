package lambda

import (
	"context"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/dynamostore"
)

// Relay is the function on the stream of a region's regional table: it sends what its tenants wrote to the queues of the regions that may have
// it. The stream is a doorbell: what is sent is read from the outboxes.
type Relay struct {
	worker *app.Worker
	logger *slog.Logger
}

// NewRelay makes the function. It reads the directory.
func NewRelay(ctx context.Context, env Environment, services ...domicile.Service) (*Relay, error) {
	worker, logger, err := open(ctx, env, app.RelayPart, services)
	if err != nil {
		return nil, err
	}
	return &Relay{worker, logger}, nil
}

// Handle relays a batch. A destination that cannot be reached is no failure of it: what is left is marked in the table, and swept. When
// nothing could be marked either, the whole batch is to come again.
func (r *Relay) Handle(ctx context.Context, e events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	changes := make([]store.Change, 0, len(e.Records))
	for i := range e.Records {
		keys := e.Records[i].Change.Keys
		c, ok := dynamostore.ChangeOf(binary(keys["pk"]), binary(keys["sk"]), e.Records[i].EventName == string(events.DynamoDBOperationTypeRemove))
		if !ok {
			r.logger.ErrorContext(ctx, "a record of the stream has other keys than the table's; is the source right?",
				slog.String("event", e.Records[i].EventID))
			continue
		}
		changes = append(changes, c)
	}
	if err := r.worker.Relay(ctx, changes); err != nil {
		r.logger.ErrorContext(ctx, "a batch could not be relayed, it comes again", slog.Int("records", len(e.Records)), slog.Any("error", err))
		return events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{
			{ItemIdentifier: e.Records[0].Change.SequenceNumber},
		}}, nil
	}
	return events.DynamoDBEventResponse{}, nil
}

// binary is the value of an attribute of that type; nil of any other.
func binary(v events.DynamoDBAttributeValue) []byte {
	if v.DataType() != events.DataTypeBinary {
		return nil
	}
	return v.Binary()
}
