// Package storequeue keeps the port internal/queue over the port internal/store: the embedded queue shares its region's one engine,
// its group commit, its crash safety and whatever walks or erases tables.
//
// Messages, receptions and deduplication ids are items. A Send, a Receive, a Delete and an Extend are one commit each, and a
// message becomes a dead letter in one. In memory are the groups and the numbers of the messages, about 100 bytes for one that was
// received and 50 for one that was not; bodies are read when they are received. No lock is held during a commit: what a commit
// is about to change is marked in the index, and only the groups that it touches wait for it.
//
// A commit of unknown outcome is sent again until the store says what became of it, also when its caller has gone; the groups that it
// touches wait so long. One Queue at a time has a name of a table: to open it again takes it over, and the
// earlier one, which could not know what the later does, answers queue.ErrClosed from then on.
package storequeue

import (
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/store"
)

// defaultRetention is how long SQS keeps a message unless told otherwise.
const defaultRetention = 4 * 24 * time.Hour

// Config is what a queue is opened with. Store and Name are required.
type Config struct {
	// Store is the table that the queue lies in. Several queues may share one.
	Store store.Store
	// Name tells the queue from others of the table: 1 to 64 lower-case letters, digits, dashes, underscores and dots.
	Name string
	// DeadLetters gets what was received MaxReceives times and not deleted; nil: nothing does, and MaxReceives does not count. It is a queue of the
	// same Store.
	DeadLetters *Queue
	// MaxReceives is above zero where there are DeadLetters.
	MaxReceives int
	// Retention is how long a message is kept, from Send or from when it became a dead letter; default: 4 days.
	Retention time.Duration
	// Tag says what the item of a message with this body is tagged with; default: GLOBAL and no tenant.
	Tag func(body []byte) store.Tag
	// Sender says who sent a message with this body, for Waiting; all messages of a group have one sender. Default: nobody.
	Sender func(body []byte) string
	// Clock says when messages were sent and receptions end; default: time.Now. How long Receive waits is counted in real time.
	Clock func() time.Time
	// Random names messages, receptions and commits; default: crypto/rand.
	Random io.Reader
	// Logger gets what an operator should know; default: none.
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Store == nil {
		return Config{}, errors.New("storequeue: no store given")
	}
	if err := validateName(c.Name); err != nil {
		return Config{}, err
	}
	if c.DeadLetters != nil && (c.MaxReceives < 1 || c.DeadLetters.cfg.Store != c.Store || c.DeadLetters.cfg.Name == c.Name) {
		return Config{}, errors.New("storequeue: dead letters go to another queue of the same store, after one reception or more")
	}
	if c.Retention <= 0 {
		c.Retention = defaultRetention
	}
	if c.Tag == nil {
		c.Tag = func([]byte) store.Tag { return store.Tag{Class: store.ClassGlobal} }
	}
	if c.Sender == nil {
		c.Sender = func([]byte) string { return "" }
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = c.Logger.With(slog.String("queue", c.Name))
	return c, nil
}

// Queue is one queue of a table.
type Queue struct {
	cfg Config
	// fence is the check, in each commit, that nobody has opened the queue since.
	fence store.Op

	// ctx ends when the queue is closed; settling are the commits of unknown outcome.
	ctx      context.Context //nolint:containedctx // the life of what goes on without a caller
	cancel   context.CancelFunc
	settling sync.WaitGroup

	random sync.Mutex

	mu    sync.Mutex
	index *index
	// closed is why the queue answers no more.
	closed error
	// waiters are the channels of those who wait for messages.
	waiters *list.List
	// alarm goes off when the first reception ends, at alarmAt in Unix nanoseconds; zero: it is off.
	alarm   *time.Timer
	alarmAt int64
}

var _ queue.Queue = (*Queue)(nil)

// Open opens the queue, or makes it, and reads what is in it, in pages. Close it before its store.
func Open(ctx context.Context, cfg Config) (*Queue, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	maxReceives := 0
	if cfg.DeadLetters != nil {
		maxReceives = cfg.MaxReceives
	}
	q := &Queue{
		cfg: cfg, waiters: list.New(),
		index: newIndex(cfg.Retention, uint32(maxReceives)),
	}
	q.alarm = time.AfterFunc(time.Hour, q.ring)
	q.alarm.Stop()
	q.ctx, q.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := q.open(ctx); err != nil {
		q.cancel()
		return nil, fmt.Errorf("opening the queue %s: %w", cfg.Name, err)
	}
	return q, nil
}

// Close ends the queue: all that waits and all that is called afterwards fails with queue.ErrClosed. Its store stays open, and what
// was under way may still take effect.
func (q *Queue) Close() error {
	q.end(queue.ErrClosed)
	q.settling.Wait()
	return nil
}

func (q *Queue) end(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed == nil {
		q.closed = why
		q.alarm.Stop()
		q.cancel()
	}
}

// Depth implements queue.Queue.
func (q *Queue) Depth(ctx context.Context) (queue.Depth, error) {
	if err := ctx.Err(); err != nil {
		return queue.Depth{}, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil {
		return queue.Depth{}, q.closed
	}
	q.index.pass(q.now())
	d := queue.Depth{Waiting: q.index.stored - q.index.inFlight, InFlight: q.index.inFlight}
	if g := q.index.ages.top(); g != nil {
		d.Oldest = timeOf(g.entries[0].sent)
	}
	return d, nil
}

// Waiting returns how many messages of each sender are in the queue, in flight or not.
func (q *Queue) Waiting() map[string]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	counts := make(map[string]int)
	for _, g := range q.index.groups {
		if n := len(g.entries); n > 0 {
			counts[g.sender] += n
		}
	}
	return counts
}

// now is the time in Unix nanoseconds.
func (q *Queue) now() int64 { return q.cfg.Clock().UnixNano() }

func timeOf(nanos int64) time.Time { return time.Unix(0, nanos).UTC() }

// read fills b with random bytes.
func (q *Queue) read(b []byte) error {
	q.random.Lock()
	defer q.random.Unlock()
	if _, err := io.ReadFull(q.cfg.Random, b); err != nil {
		return fmt.Errorf("storequeue: reading random bytes: %w", err)
	}
	return nil
}
