package lambda

import (
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
)

// Messages of another queue go back to it: taken for letters to this one they would be forged, and deleted.
func TestAnotherQueue(t *testing.T) {
	t.Parallel()
	a := &Apply{queue: "events", source: ":domicile-events.fifo"}
	for _, arn := range []string{
		"arn:aws:sqs:eu-central-1:000000000000:domicile-sealed.fifo", "arn:aws:sqs:eu-central-1:000000000000:domicile-events-dead.fifo",
		"arn:aws:sqs:eu-central-1:000000000000:other-domicile-events.fifo", "",
	} {
		got, err := a.Handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{{MessageId: "1", EventSourceARN: arn}}})
		if err == nil || !strings.Contains(err.Error(), "domicile-events.fifo") || len(got.BatchItemFailures) > 0 {
			t.Errorf("%q: %v, %v", arn, got, err)
		}
	}
}
