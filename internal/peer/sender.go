package peer

import (
	"context"
	"fmt"
	"time"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
)

// Sender puts messages into the queues of other regions.
type Sender struct {
	network Network
	clock   func() time.Time
	clocks  Clocks
}

// Clocks takes note of what other regions' clocks show; crdt.Peers is one.
type Clocks interface {
	// Observe says that a region's clock showed theirs at a moment between sent and received, both by the clock of this one.
	Observe(region ident.RegionID, sent, theirs, received time.Time)
}

// NewSender returns a sender.
func NewSender(network Network) *Sender { return &Sender{network: network} }

// Comparing makes the sender compare clock, this region's, with those of the regions that it sends to, and returns it.
func (s *Sender) Comparing(clock func() time.Time, clocks Clocks) *Sender {
	s.clock, s.clocks = clock, clocks
	return s
}

// Compare compares the clocks without sending anything.
func (s *Sender) Compare(ctx context.Context, to ident.RegionID) error {
	_, err := s.Send(ctx, to, "", nil)
	return err
}

// Send puts messages into a queue of region to, under the rules of queue.Queue: an error for each message that was not accepted,
// which is the queue's own where the port names it; err if the call failed as a whole, and then messages may have been accepted.
func (s *Sender) Send(ctx context.Context, to ident.RegionID, name string, messages []queue.Outgoing) (failed []error, err error) {
	request := &peerv1.SendRequest{Queue: name, Messages: make([]*peerv1.OutgoingMessage, 0, len(messages))}
	for _, m := range messages {
		request.Messages = append(request.Messages, &peerv1.OutgoingMessage{Group: m.Group, Deduplication: m.Deduplication, Body: m.Body})
	}
	var sent time.Time
	if s.clocks != nil {
		sent = s.clock()
	}
	answer, err := s.network.To(to).Send(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("sending to the queue %s of %s: %w", name, to, err)
	}
	if s.clocks != nil && answer.GetNow().IsValid() {
		s.clocks.Observe(to, sent, answer.GetNow().AsTime(), s.clock())
	}
	if len(answer.GetErrors()) != len(messages) {
		return nil, fmt.Errorf("sending to the queue %s of %s: %d results for %d messages", name, to, len(answer.GetErrors()), len(messages))
	}
	failed = make([]error, len(messages))
	for i, text := range answer.GetErrors() {
		failed[i] = errorOf(text)
	}
	return failed, nil
}
