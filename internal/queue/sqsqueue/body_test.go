package sqsqueue_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/queue/sqsqueue"
)

func TestDelivery(t *testing.T) {
	t.Parallel()
	attributes := func(receives, sent string) map[string]string {
		return map[string]string{"MessageGroupId": "g", "ApproximateReceiveCount": receives, "SentTimestamp": sent}
	}
	want := queue.Message{
		ID: "id", Group: "g", Receipt: "r", Receives: 2, Sent: time.Date(2026, 3, 4, 5, 6, 7, 890e6, time.UTC), Body: []byte{0, 0xff},
	}
	foreign := want
	foreign.Body = []byte("text")
	for name, tt := range map[string]struct {
		delivery sqsqueue.Delivery
		want     queue.Message
		fails    bool
	}{
		"ours":          {delivery: sqsqueue.Delivery{Attributes: attributes("2", "1772600767890"), Body: []byte{0, 0xff}, Text: "-"}, want: want},
		"another's":     {delivery: sqsqueue.Delivery{Attributes: attributes("2", "1772600767890"), Text: "text"}, want: foreign},
		"no count":      {delivery: sqsqueue.Delivery{Attributes: attributes("", "1772600767890")}, fails: true},
		"no time":       {delivery: sqsqueue.Delivery{Attributes: attributes("2", "today")}, fails: true},
		"no attributes": {fails: true},
	} {
		tt.delivery.ID, tt.delivery.Receipt = "id", "r"
		got, err := tt.delivery.Message()
		if diff := cmp.Diff(tt.want, got); diff != "" || (err != nil) != tt.fails {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}
