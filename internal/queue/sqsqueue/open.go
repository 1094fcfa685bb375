package sqsqueue

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/domicile-api/domicile/internal/queue"
)

const (
	// schemaTag is the tag of a queue that has the version of what this package expects of it and of its messages.
	schemaTag     = "domicile:schema"
	schemaVersion = "1"
	// minMaximumSize is what the queue's attribute MaximumMessageSize must be at the least, in bytes, for the largest Send.
	minMaximumSize = queue.MaxMessageBytes + queue.MaxBatch*entryOverhead

	remedyDeploy = "deploy the region's data stack, or correct the deployment's name, the account or the region"
)

// check looks whether the queue is as the port needs it.
func (q *Queue) check(ctx context.Context) error {
	_, err := run(ctx, q, func(ctx context.Context) (struct{}, error) {
		attributes, err := q.attributes(ctx, types.QueueAttributeNameAll)
		if err != nil {
			return struct{}{}, err
		}
		if err := q.checkAttributes(attributes); err != nil {
			return struct{}{}, err
		}
		url, err := q.address(ctx)
		if err != nil {
			return struct{}{}, err
		}
		tags, err := q.cfg.Client.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: &url}, q.options(attemptTimeout))
		if err != nil {
			return struct{}{}, q.failure("reading the tags of the queue", err)
		}
		return struct{}{}, q.checkSchema(tags.Tags)
	}, nil)
	return err
}

func (q *Queue) checkAttributes(attributes map[string]string) error {
	value := func(name types.QueueAttributeName) string { return attributes[string(name)] }
	isSet := func(name types.QueueAttributeName) bool { return strings.EqualFold(value(name), "true") }
	size, err := strconv.Atoi(value(types.QueueAttributeNameMaximumMessageSize))
	wait := value(types.QueueAttributeNameReceiveMessageWaitTimeSeconds)
	switch {
	case !isSet(types.QueueAttributeNameFifoQueue):
		return q.refused("is not a FIFO queue", "a queue cannot be changed into one: delete it and "+remedyDeploy)
	case isSet(types.QueueAttributeNameContentBasedDeduplication):
		// Equal bodies under different ids would still be told apart, but a sender that forgot the id would not be refused.
		return q.refused("has content-based deduplication", "set its attribute ContentBasedDeduplication to false")
	case err != nil || size < minMaximumSize:
		return q.refused("does not take messages as large as they may be",
			fmt.Sprintf("set its attribute MaximumMessageSize to 1048576; it is %q", value(types.QueueAttributeNameMaximumMessageSize)))
	case wait != "" && wait != "0":
		return q.refused("waits by itself", "set its attribute ReceiveMessageWaitTimeSeconds to 0: each call says how long it waits")
	case q.cfg.DeadLetters == (value(types.QueueAttributeNameRedrivePolicy) != ""):
		if q.cfg.DeadLetters {
			return q.refused("is to be a dead-letter queue and has one itself", "remove its redrive policy")
		}
		return q.refused("has no dead-letter queue", "set its attribute RedrivePolicy: a message that fails always would stop its group forever")
	}
	if value(types.QueueAttributeNameFifoThroughputLimit) != "perMessageGroupId" ||
		value(types.QueueAttributeNameDeduplicationScope) != "messageGroup" {
		q.cfg.Logger.Warn("the queue is limited to 300 calls a second: it has no high throughput",
			slog.String("remedy", "set DeduplicationScope to messageGroup and FifoThroughputLimit to perMessageGroupId"))
	}
	return nil
}

func (q *Queue) checkSchema(tags map[string]string) error {
	switch got, ok := tags[schemaTag]; {
	case !ok:
		return q.refused("has no tag "+schemaTag, "it was not made by this project's infrastructure; "+remedyDeploy)
	case got != schemaVersion:
		return q.refused(fmt.Sprintf("has the schema version %q, this program expects %q", got, schemaVersion),
			"run the release that belongs to it, or deploy this release's data stack")
	default:
		return nil
	}
}

func (q *Queue) refused(problem, remedy string) error {
	return &SchemaError{Queue: q.cfg.URL + q.cfg.Name, Problem: problem, Remedy: remedy}
}
