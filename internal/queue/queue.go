// Package queue is the port to a region's queues. It promises what Amazon SQS FIFO queues keep and no more, so that the embedded
// queue and AWS are interchangeable; queuetest is the suite that every adapter passes.
//
// A queue is first in, first out within a message group, and nothing is promised across groups. A message that was received is in
// flight: nobody else receives it, nor any other message of its group, until it is deleted or its visibility time-out ends; then
// it is received again, before the later ones. After MaxReceives receptions that did not end in a deletion it moves to the dead-letter
// queue, with its group, and the group goes on. Delivery is at least once.
//
// What Send accepted is durable, as is every other effect. A message with the deduplication id of one that was accepted in the last
// DeduplicationWindow is accepted and not delivered, whether the first is still there or not. An id names its group as well, for some
// queues remember ids by the group and some for all together.
//
// List, Redrive and Drop are what operators do with a queue, and need no more of it than this.
package queue

import (
	"context"
	"errors"
	"time"
)

// Limits of every adapter.
const (
	// MaxBatch is how many messages Send takes, Receive returns, and Delete and Extend name at the most.
	MaxBatch = 10
	// MaxMessageBytes bounds a body, and the sum of the bodies of a Send.
	MaxMessageBytes = 256 << 10
	// MaxNameBytes bounds a message group and a deduplication id. Both are ASCII letters, digits and punctuation, and not empty.
	MaxNameBytes = 128
	// DeduplicationWindow is how long a deduplication id is remembered.
	DeduplicationWindow = 5 * time.Minute
	// MaxWait bounds how long Receive waits.
	MaxWait = 20 * time.Second
	// MaxVisibility bounds a visibility time-out, and how long a message is in flight altogether, however often it is extended.
	MaxVisibility = 12 * time.Hour
)

// Outgoing is a message to be sent.
type Outgoing struct {
	Group         string
	Deduplication string
	// Body is not empty.
	Body []byte
}

// Message is a message that was received.
type Message struct {
	// ID is the queue's own name of the message; it stays the same when the message is received again or becomes a dead letter.
	ID    string
	Group string
	Body  []byte
	// Receipt names this reception, for Delete and Extend.
	Receipt string
	// Receives is how often the message was received, this time included.
	Receives int
	// Sent is when Send accepted it.
	Sent time.Time
}

// Receive says how messages are wanted. A queue may round its times up to whole seconds.
type Receive struct {
	// Max is how many at the most, 1 to MaxBatch.
	Max int
	// Visibility is how long they are in flight, above zero.
	Visibility time.Duration
	// Wait is how long to wait when there is none; zero: not at all.
	Wait time.Duration
}

// Depth is how full a queue is. It may be some seconds old, and approximate.
type Depth struct {
	// Waiting can be received, or are behind one in flight; InFlight were received.
	Waiting, InFlight int
	// Oldest is when the oldest message was sent; zero when there is none, and always where the queue cannot tell, as SQS cannot.
	Oldest time.Time
}

// Queue is one queue. All methods are safe for concurrent use.
type Queue interface {
	// Send puts at most MaxBatch messages into the queue, those of a group in their order. It returns an error for each message that was not
	// accepted, nil for the others; a call that failed as a whole returns err and its messages may have been accepted.
	// When a message of a group is not accepted, the later ones of that group in the same call fail as well, and all of them are to be sent
	// again, under the same deduplication ids. A queue that breaks down in the middle of a batch may have taken the later ones nevertheless, for
	// SQS takes back nothing; then the one that was not accepted comes behind them. What a call refuses with ErrInvalid never does that.
	Send(ctx context.Context, messages []Outgoing) (failed []error, err error)
	// Receive returns messages that nobody else has in flight. Several of one group come in their order. None is no error.
	Receive(ctx context.Context, r Receive) ([]Message, error)
	// Delete removes received messages. An error for each receipt that is ErrStale, nil for the others. To delete what is deleted succeeds.
	Delete(ctx context.Context, receipts []string) (failed []error, err error)
	// Extend makes the visibility time-out of messages in flight end after so long from now, which a queue may round up to whole seconds; zero
	// makes them visible at once. An error for each receipt that is ErrStale, or ErrInvalid where the message would be in flight for too long
	// altogether; nil for the others.
	Extend(ctx context.Context, receipts []string, visibility time.Duration) (failed []error, err error)
	// Depth says how full the queue is.
	Depth(ctx context.Context) (Depth, error)
}

// Errors of every adapter.
var (
	// ErrStale says that a receipt is not of the message's last reception, or its visibility time-out has ended. A queue may know that surely
	// only of what this process received from it: with a receipt that became stale elsewhere, a call may succeed and do nothing.
	ErrStale = errors.New("queue: the receipt is not good any more")
	// ErrInvalid says that a call breaks a rule of the port.
	ErrInvalid = errors.New("queue: invalid request")
	// ErrTooLarge says that a body is beyond MaxMessageBytes.
	ErrTooLarge = errors.New("queue: too large")
	// ErrFull says that there is no space, or that too many messages are in flight.
	ErrFull = errors.New("queue: no space left")
	// ErrClosed says that the queue was closed.
	ErrClosed = errors.New("queue: closed")
	// ErrDenied says that a policy, the credentials or the queue's encryption key do not allow the call. To try again does not help.
	ErrDenied = errors.New("queue: not allowed")
	// ErrUnavailable says that the queue did not answer, or failed, or had too many calls, for as long as was tried. What the call asked for may
	// have happened.
	ErrUnavailable = errors.New("queue: unavailable")
)
