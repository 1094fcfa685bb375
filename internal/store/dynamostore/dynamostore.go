// Package dynamostore keeps the port internal/store on Amazon DynamoDB: a Store is one table of one region.
//
// # What it promises
//
// All of the port. Reads are strongly consistent. A get is one request, a commit one, a page one for each megabyte that DynamoDB reads
// for it; nothing scans a table but Walk. A commit of one operation without a token is a conditional write (or read), which costs half
// of a transaction; every other one is a transaction. An item that has ended is nowhere to be seen, whether or not DynamoDB has
// removed it yet: conditions, gets, queries and walks compare its expiry with Config.Clock.
//
// Throttling, conflicts between transactions, internal errors and lost connections are tried again within the context's deadline, pauses
// having full jitter. What is tried again takes effect once: a transaction carries a client request token, made from the commit's token
// or else a random one; a single conditional write is sent again only if its condition cannot hold after its own effect. When time is up,
// *UnavailableError says what DynamoDB answered last and whether the commit may have taken effect. *SchemaError says that the table
// is not as this release needs it, *AccessError that AWS let nobody in. None of them loses a write that was acknowledged.
//
// A commit's token holds for the ten minutes for which DynamoDB remembers it, by its clock and not by Config.Clock, and for this table
// alone. Two things cost such a commit more than one request: a condition that meets an item which has ended and is still there (it is
// removed, and the commit sent again), and a repetition in a later minute. VersionIs, in a commit with a token, may hold of an item for
// the rest of the minute in which that ended; namedCondition says why.
//
// # Layout
//
// The partition key is pk, the sort key sk: both binary, sk with one byte (1) before the port's sort key, since DynamoDB has no empty ones.
// Attributes: version (16 bytes, in the order of versions), value (as it was given: what is sealed stays sealed), tenant, class and
// jurisdiction (the tag, readable for an audit with any tool), ttl (the expiry in Unix seconds, rounded up, by which DynamoDB removes
// the item). The table's tag domicile:schema is the number of this layout.
//
// # Change feed
//
// Changes follows the table's stream from now on, Follow from saved Positions: each shard from its parent's end on, through splits. A
// stream keeps 24 hours and takes two readers a shard. A put of exactly what is stored is no change, and is not told.
package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"github.com/domicile-api/domicile/internal/store"
)

// Client is what a Store needs of *dynamodb.Client.
type Client interface {
	readClient
	writeClient
	describeClient
}

type readClient interface {
	GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	Query(ctx context.Context, in *dynamodb.QueryInput, o ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	Scan(ctx context.Context, in *dynamodb.ScanInput, o ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error)
}

type writeClient interface {
	PutItem(ctx context.Context, in *dynamodb.PutItemInput, o ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, o ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, o ...func(*dynamodb.Options)) (
		*dynamodb.TransactWriteItemsOutput, error)
}

type describeClient interface {
	DescribeTable(ctx context.Context, in *dynamodb.DescribeTableInput, o ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error)
	DescribeTimeToLive(ctx context.Context, in *dynamodb.DescribeTimeToLiveInput, o ...func(*dynamodb.Options)) (
		*dynamodb.DescribeTimeToLiveOutput, error)
	ListTagsOfResource(ctx context.Context, in *dynamodb.ListTagsOfResourceInput, o ...func(*dynamodb.Options)) (
		*dynamodb.ListTagsOfResourceOutput, error)
}

// StreamsClient is what a Store needs of *dynamodbstreams.Client.
type StreamsClient interface {
	DescribeStream(ctx context.Context, in *dynamodbstreams.DescribeStreamInput, o ...func(*dynamodbstreams.Options)) (
		*dynamodbstreams.DescribeStreamOutput, error)
	GetShardIterator(ctx context.Context, in *dynamodbstreams.GetShardIteratorInput, o ...func(*dynamodbstreams.Options)) (
		*dynamodbstreams.GetShardIteratorOutput, error)
	GetRecords(ctx context.Context, in *dynamodbstreams.GetRecordsInput, o ...func(*dynamodbstreams.Options)) (
		*dynamodbstreams.GetRecordsOutput, error)
}

// Config is what a Store is made with. Table and Client are required; a zero value elsewhere means the default.
type Config struct {
	// Table is the table's name.
	Table string
	// Client makes the requests. Its own retries are not used.
	Client Client
	// Streams reads the table's stream; without it there is no change feed.
	Streams StreamsClient
	// Clock tells when items end; default: time.Now.
	Clock func() time.Time
	// Logger gets what a change feed meets; default: none.
	Logger *slog.Logger

	// RetryFor bounds the attempts of a call whose context has no deadline; default: 20 s.
	RetryFor time.Duration
	// AttemptTimeout bounds each attempt; default: 5 s.
	AttemptTimeout time.Duration
	// MinPause bounds the pause after the first attempt; the bound doubles with each to MaxPause. Defaults: 25 ms, 1 s.
	MinPause, MaxPause time.Duration

	// PollPause is the pause after a read of a shard, and doubles to MaxPollPause while reads are empty; defaults: 200 ms, 1 s.
	PollPause, MaxPollPause time.Duration
	// PollInterval is the least time from one read of a shard to the next; default: 250 ms, which leaves a second reader its share of
	// the five reads a second that a shard allows.
	PollInterval time.Duration
	// ShardInterval is how often new shards are looked for although no known one ended; default: a minute.
	ShardInterval time.Duration
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{
		{&c.RetryFor, 20 * time.Second},
		{&c.AttemptTimeout, 5 * time.Second},
		{&c.MinPause, 25 * time.Millisecond},
		{&c.MaxPause, time.Second},
		{&c.PollPause, 200 * time.Millisecond},
		{&c.MaxPollPause, time.Second},
		{&c.PollInterval, 250 * time.Millisecond},
		{&c.ShardInterval, time.Minute},
	} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	return c
}

// Store is a table.
type Store struct {
	cfg Config
}

var (
	_ store.Store  = (*Store)(nil)
	_ store.Walker = (*Store)(nil)
)

// New returns a table without asking AWS anything: for a function that must start fast. What is wrong with the table shows when it is used.
func New(cfg Config) (*Store, error) {
	if cfg.Table == "" || cfg.Client == nil {
		return nil, errors.New("dynamostore: no table or no client given")
	}
	return &Store{cfg: cfg.withDefaults()}, nil
}

// Open returns a table that was looked at: it exists, with the keys, the expiry and the schema version that this release needs, and the
// process may read it. Otherwise the error is a *SchemaError, an *AccessError or an *UnavailableError.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.checkSchema(ctx); err != nil {
		return nil, fmt.Errorf("opening a table: %w", err)
	}
	return s, nil
}

// now is the time by which items end, in Unix seconds.
func (s *Store) now() int64 { return s.cfg.Clock().Unix() }
