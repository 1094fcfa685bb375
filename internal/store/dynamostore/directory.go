package dynamostore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/domicile-api/domicile/internal/store"
)

// DirectoryInterval is how often a follower of the directory reads the logs on AWS, and a Directory says that others may have written.
//
// Together with what replication takes, which is a second or two, it keeps a revocation's way to every region below five seconds. It
// is also what following costs: a process that follows w writers makes w consistent queries an interval, each of one read unit when
// nothing is new. With six writers and a second that is 15.8 million read units a month and process, about two US dollars.
const DirectoryInterval = time.Second

// directoryAttempt bounds an attempt: the directory's own calls have two to five seconds, and a connection into the void must leave some
// of it to the next one.
const directoryAttempt = 2 * time.Second

// DirectoryConfig is what a Directory is made with.
type DirectoryConfig struct {
	// Config says where the table is, in the region's own replica; Streams and what is about shards are not used. The default of
	// AttemptTimeout is 2 s.
	Config

	// Interval is how often Changes says that other regions or processes may have written; default: DirectoryInterval.
	Interval time.Duration
}

// Directory is the replica of the directory's global table in one region: directory.Table.
//
//   - A commit has one operation, and is one request. Nothing is a transaction, since those do not span the replicas of a table that
//     replicates asynchronously.
//   - A put leaves the commit's token in the item (attribute attempt), or a random one. So a put that is refused because of its own
//     earlier effect, whose answer was lost, is known for what it is, within a call and when the commit is sent again: it
//     succeeded. If the item is another's by then although an attempt was left without an answer, nobody can say what came first;
//     the error is an *UnavailableError with OutcomeUnknown, and sending the commit once more brings the answer.
//   - Reads are consistent, which in such a table means with writes of the same region. Other regions' items come when they come.
//   - Changes is not the table's stream, of which a shard has two readers and the directory has more followers: it tells of what this
//     process committed, and at each interval that there may be more.
//
// All methods are safe for concurrent use.
type Directory struct {
	table    *Store
	interval time.Duration

	mu    sync.Mutex
	feeds map[*feed]struct{}
}

// attrAttempt names the commit that put an item. Readers of items pass over it.
const attrAttempt = "attempt"

// NewDirectory returns a replica without asking AWS anything; see New.
func NewDirectory(cfg DirectoryConfig) (*Directory, error) {
	cfg.Streams = nil
	if cfg.AttemptTimeout <= 0 {
		cfg.AttemptTimeout = directoryAttempt
	}
	table, err := New(cfg.Config)
	if err != nil {
		return nil, err
	}
	if cfg.Interval <= 0 {
		cfg.Interval = DirectoryInterval
	}
	return &Directory{table: table, interval: cfg.Interval, feeds: make(map[*feed]struct{})}, nil
}

// OpenDirectory returns a replica that was looked at: it exists, with the keys and the schema version that this release needs, and the
// process may read it; see Open. That DynamoDB removes what has ended is not looked at: all replicas have one setting, and what has
// ended is invisible in any case.
func OpenDirectory(ctx context.Context, cfg DirectoryConfig) (*Directory, error) {
	d, err := NewDirectory(cfg)
	if err != nil {
		return nil, err
	}
	if err := d.checkSchema(ctx); err != nil {
		return nil, fmt.Errorf("opening the directory's table: %w", err)
	}
	return d, nil
}

func (d *Directory) checkSchema(ctx context.Context) error {
	table, err := d.table.describe(ctx)
	if err != nil {
		return err
	}
	if problem := schemaProblem(table); problem != "" {
		return &SchemaError{Table: d.table.cfg.Table, Problem: problem}
	}
	return d.table.checkTag(ctx, table.TableArn)
}

// Get implements directory.Table with one request.
func (d *Directory) Get(ctx context.Context, key store.Key) (store.Item, error) {
	return d.table.Get(ctx, key)
}

// Query implements directory.Table with a request for each megabyte that DynamoDB reads.
func (d *Directory) Query(ctx context.Context, q store.Query) (store.Page, error) {
	return d.table.Query(ctx, q)
}

// Walk implements store.Walker; see Store.Walk.
func (d *Directory) Walk(ctx context.Context, fn func(store.Item) error) error {
	return d.table.Walk(ctx, fn)
}

// Commit implements directory.Table with one request. A token needs a put with a condition that does not hold any more after its own
// effect, which a put if absent or if older is; any other commit under a token is refused with store.ErrInvalid.
func (d *Directory) Commit(ctx context.Context, c store.Commit) error {
	if err := errors.Join(c.Validate(), ctx.Err()); err != nil {
		return err
	}
	if len(c.Ops) != 1 {
		return fmt.Errorf("%w: a global table commits one item at a time", store.ErrInvalid)
	}
	op := c.Ops[0]
	if c.Token != "" && (op.Kind != store.Put || !settled(op, d.table.now())) {
		return fmt.Errorf("%w: in a global table a token protects a put if absent or if older, and nothing else", store.ErrInvalid)
	}
	var err error
	if op.Kind == store.Put {
		err = d.put(ctx, op, c.Token)
	} else {
		err = d.table.commitOne(ctx, op)
	}
	if err == nil && op.Kind != store.Check {
		d.ring(store.Change{Key: op.Item.Key, Deleted: op.Kind == store.Delete})
	}
	return err
}

// put puts an item under its condition, and knows its own work when it meets it.
func (d *Directory) put(ctx context.Context, op store.Op, attempt string) error {
	if attempt == "" {
		attempt = rand.Text()
	}
	now := d.table.now()
	e := conditionAt(op.If, now)
	item := marshalItem(op.Item)
	item[attrAttempt] = textValue(attempt)
	in := &dynamodb.PutItemInput{
		TableName: &d.table.cfg.Table, Item: item, ReturnValuesOnConditionCheckFailure: returnOld,
		ConditionExpression: e.text, ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
	}
	r := request{op: "commit", effect: again, send: func(ctx context.Context) error {
		_, err := d.table.cfg.Client.PutItem(ctx, in, single)
		return err
	}}
	if settled(op, now) {
		r.effect = once
	}
	t, err := d.table.call(ctx, r)
	refusal, refused := errors.AsType[*types.ConditionalCheckFailedException](err)
	switch {
	case err == nil || isUnavailable(err):
		return err
	case refused && text(refusal.Item, attrAttempt) == attempt:
		return sameItem(item, refusal.Item)
	case t.doubt:
		return d.table.unavailable(ctx, t, err)
	case refused:
		stored, err := d.table.storedVersion(refusal.Item, now)
		if err != nil {
			return err
		}
		return refusedOne(stored)
	default:
		return d.table.explain(r.op, err)
	}
}

// sameItem checks that an item that was put under a commit's token is what the commit puts.
func sameItem(want, stored attributes) error {
	if len(want) == len(stored) && string(raw(want, attrVersion)) == string(raw(stored, attrVersion)) &&
		string(raw(want, attrValue)) == string(raw(stored, attrValue)) {
		return nil
	}
	return fmt.Errorf("%w: the token names another commit", store.ErrInvalid)
}

// raw returns the bytes of an attribute.
func raw(attrs attributes, name string) []byte {
	if v, ok := attrs[name].(*types.AttributeValueMemberB); ok {
		return v.Value
	}
	return nil
}
