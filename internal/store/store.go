// Package store is the port to a region's durable tables. It promises what DynamoDB can keep and no more, so that the
// embedded engine and AWS are interchangeable; storetest is the suite that every adapter passes.
//
// A table is a set of items keyed by (partition, sort). Partitions are unordered; within one, items are ordered by the bytes
// of the sort key. A commit is a transaction over any partitions of one table: all or nothing, serializable with every other
// commit, durable when it returns. Reads are consistent: they show each commit that returned before they began, and nothing
// that a crash could still take back.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/domicile-api/domicile/internal/ident"
)

// Limits of every adapter. They are DynamoDB's, less what an item takes beside its key and value: names of attributes, version, tag,
// expiry.
const (
	// MaxOps is how many operations a commit has at the most.
	MaxOps = 100
	// MaxCommitBytes bounds the keys and values of a commit: 4 MiB, less 1 KiB an operation.
	MaxCommitBytes = 4<<20 - MaxOps<<10
	// MaxItemBytes bounds the key and value of one item: 400 KiB, less 1 KiB.
	MaxItemBytes = 399 << 10
	// MaxPartitionBytes and MaxSortBytes bound the parts of a key.
	MaxPartitionBytes = 2048
	// MaxSortBytes bounds a sort key. DynamoDB's 1024 have one for what makes an empty sort key possible.
	MaxSortBytes = 1023
	// MaxTagBytes bounds the tenant and jurisdiction of a tag together.
	MaxTagBytes = 512
	// MaxPage is how many items a page has at the most.
	MaxPage = 1000
	// MaxTokenBytes bounds a commit's token.
	MaxTokenBytes = 36
	// TokenLife is how long a commit's token protects it.
	TokenLife = 10 * time.Minute
)

// Key names an item. Both parts are bytes in a string; Partition is not empty, Sort may be.
type Key struct {
	Partition, Sort string
}

// Class is the highest data class of what an item holds; PII and REGIONAL parts of it are sealed.
type Class uint8

// The data classes, in the order of their restriction. The numbers are those of domicile.policy.v1.DataClass.
const (
	ClassGlobal   Class = 1
	ClassRegional Class = 2
	ClassPII      Class = 3
)

// Tag says whose an item is and how far it may go, so that an audit can walk any store.
type Tag struct {
	Tenant       ident.TenantID
	Class        Class
	Jurisdiction ident.Jurisdiction
}

// Item is what a table holds under a key.
type Item struct {
	Key     Key
	Version ident.Version
	Tag     Tag
	// Expires is when the item stops being visible, to the second; zero: never. It is removed some time after.
	Expires time.Time
	Value   []byte
}

// Condition is what must hold of the stored item for an operation to take effect. An expired item counts as absent.
type Condition struct {
	kind    ConditionKind
	version ident.Version
}

// ConditionKind is what a condition asks of the stored item.
type ConditionKind uint8

// The kinds of condition, one for each function that makes a Condition.
const (
	KindAlways ConditionKind = iota
	KindAbsent
	KindVersionIs
	KindOlderThan
)

// Always holds.
func Always() Condition { return Condition{} }

// Absent holds when there is no item.
func Absent() Condition { return Condition{kind: KindAbsent} }

// VersionIs holds when there is an item of exactly this version.
func VersionIs(v ident.Version) Condition { return Condition{kind: KindVersionIs, version: v} }

// OlderThan holds when there is no item, or one whose version is older than v.
func OlderThan(v ident.Version) Condition { return Condition{kind: KindOlderThan, version: v} }

// Kind returns what the condition asks, for an adapter that has its engine evaluate it.
func (c Condition) Kind() ConditionKind { return c.kind }

// Version returns what VersionIs or OlderThan compares with; the zero version for the other kinds.
func (c Condition) Version() ident.Version { return c.version }

// Holds evaluates the condition on the stored item's version; present is false when there is no item.
func (c Condition) Holds(present bool, stored ident.Version) bool {
	switch c.kind {
	case KindAbsent:
		return !present
	case KindVersionIs:
		return present && stored == c.version
	case KindOlderThan:
		return !present || stored.Compare(c.version) < 0
	default:
		return true
	}
}

// OpKind is what an operation does.
type OpKind uint8

// The kinds of operation.
const (
	// Put writes the item whole.
	Put OpKind = iota + 1
	// Delete removes the item; its Value and Tag are not read.
	Delete
	// Check changes nothing; it only adds its condition to the commit.
	Check
)

// Op is one operation of a commit. Only Key is read of the Item of a Delete or Check.
type Op struct {
	Kind OpKind
	Item Item
	If   Condition
}

// Commit is a transaction: at most MaxOps operations, at most one on an item.
type Commit struct {
	Ops []Op
	// Token names the commit for TokenLife: the same commit sent again with the same token, because its outcome was not
	// known, takes effect once and answers success; another commit with the same token is ErrInvalid. A commit that failed
	// leaves no token behind. Empty: no such protection. At most 36 bytes.
	Token string
}

// Query asks for the items of a partition in ascending or descending order of sort keys.
type Query struct {
	Partition string
	// From (inclusive) and To (exclusive) bound the sort keys; an empty To is unbounded.
	From, To   string
	Descending bool
	// Limit is how many items are answered at the most; 0 means MaxPage.
	Limit int
}

// Page is an answer to a Query.
type Page struct {
	Items []Item
	// More says that items follow. Ask again From the last key + "\x00" (or To the last key when descending).
	More bool
}

// Change says that an item was put or deleted. The change feed is a doorbell: read the item to know what it is now.
type Change struct {
	Key     Key
	Deleted bool
}

// Store is one table of one region. All methods are safe for concurrent use.
type Store interface {
	// Get returns an item, or ErrNotFound.
	Get(ctx context.Context, key Key) (Item, error)
	// Query returns a page of a partition. A partition that does not exist is empty.
	Query(ctx context.Context, q Query) (Page, error)
	// Commit applies a transaction. It fails with a *ConditionError when conditions do not hold, ErrTooLarge or ErrInvalid
	// when a limit or rule of the port is broken, ErrFull when there is no space; in these cases nothing took effect.
	// Any other error leaves the outcome unknown: send the same commit with the same token, or read.
	Commit(ctx context.Context, c Commit) error
	// Changes calls fn with batches of changes, at least once, unordered across items, until ctx ends, whose error it then
	// returns. A batch that fn refuses is delivered again.
	//
	// An empty batch says: changes that you were not told of may have been committed, read the state you need. The first batch
	// is always empty; what is committed from then on is delivered. Another comes when a consumer was so slow that the store
	// gave up keeping changes for it.
	Changes(ctx context.Context, fn func([]Change) error) error
}

// Walker is a table that can be looked at whole. It is for audits: nothing that answers a call walks a table.
type Walker interface {
	// Walk calls fn with every item that is there from the beginning of the walk to its end, once, in no order that means anything,
	// and perhaps with ones that come or go meanwhile. It ends with fn's error, or ctx's.
	Walk(ctx context.Context, fn func(Item) error) error
}

// Errors of every adapter.
var (
	// ErrNotFound says that there is no item under a key.
	ErrNotFound = errors.New("store: no such item")
	// ErrFull says that there is no space; nothing took effect and reads go on.
	ErrFull = errors.New("store: no space left")
	// ErrTooLarge says that an item, key or commit is beyond a limit of the port.
	ErrTooLarge = errors.New("store: too large")
	// ErrInvalid says that a commit or query breaks a rule of the port.
	ErrInvalid = errors.New("store: invalid request")
	// ErrUnavailable says that the store did not answer, or let nobody in. Of a commit, see Store.Commit: its outcome is not known.
	ErrUnavailable = errors.New("store: unavailable")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("store: closed")
)

// ConditionError says which operations of a commit had conditions that do not hold. Nothing of the commit took effect.
type ConditionError struct {
	// Failed has, for each operation in the order of the commit, whether its condition failed.
	Failed []bool
	// Stored has, for each failed operation, the version that the item has; the zero version when there is none.
	Stored []ident.Version
}

// Error names the first failed operation.
func (e *ConditionError) Error() string {
	for i, f := range e.Failed {
		if f {
			return fmt.Sprintf("store: condition of operation %d of %d does not hold", i+1, len(e.Failed))
		}
	}
	return "store: condition does not hold"
}

// Validate checks a commit against the limits and rules of the port. Every adapter calls it before anything else.
func (c Commit) Validate() error {
	if len(c.Ops) == 0 || len(c.Ops) > MaxOps {
		return fmt.Errorf("%w: a commit has 1 to %d operations, not %d", ErrInvalid, MaxOps, len(c.Ops))
	}
	if len(c.Token) > MaxTokenBytes {
		return fmt.Errorf("%w: a commit token has at most %d bytes", ErrInvalid, MaxTokenBytes)
	}
	seen := make(map[Key]struct{}, len(c.Ops))
	total := 0
	for _, op := range c.Ops {
		k := op.Item.Key
		if err := k.Validate(); err != nil {
			return err
		}
		if _, twice := seen[k]; twice {
			return fmt.Errorf("%w: two operations on one item", ErrInvalid)
		}
		seen[k] = struct{}{}
		size, err := op.validate()
		if err != nil {
			return err
		}
		total += size
	}
	if total > MaxCommitBytes {
		return fmt.Errorf("%w: a commit has at most %d bytes", ErrTooLarge, MaxCommitBytes)
	}
	return nil
}

// validate checks all of an operation but its key, and returns the size of its item.
func (o Op) validate() (size int, err error) {
	size = len(o.Item.Key.Partition) + len(o.Item.Key.Sort)
	switch o.Kind {
	case Put:
		size += len(o.Item.Value)
		if o.Item.Tag.Class < ClassGlobal || o.Item.Tag.Class > ClassPII {
			return 0, fmt.Errorf("%w: an item without a data class", ErrInvalid)
		}
		if err := o.Item.Tag.validate(); err != nil {
			return 0, err
		}
	case Delete:
	case Check:
		if o.If == Always() {
			return 0, fmt.Errorf("%w: a check without a condition", ErrInvalid)
		}
	default:
		return 0, fmt.Errorf("%w: unknown kind of operation", ErrInvalid)
	}
	if size > MaxItemBytes {
		return 0, fmt.Errorf("%w: an item has at most %d bytes", ErrTooLarge, MaxItemBytes)
	}
	return size, nil
}

// validate checks the names in a tag. They are text, so that an auditor can read them with any tool.
func (t Tag) validate() error {
	switch {
	case len(t.Tenant)+len(t.Jurisdiction) > MaxTagBytes:
		return fmt.Errorf("%w: a tag has at most %d bytes", ErrTooLarge, MaxTagBytes)
	case !utf8.ValidString(string(t.Tenant)), !utf8.ValidString(string(t.Jurisdiction)):
		return fmt.Errorf("%w: a tag that is not text", ErrInvalid)
	}
	return nil
}

// Validate checks a key against the limits of the port.
func (k Key) Validate() error {
	switch {
	case k.Partition == "":
		return fmt.Errorf("%w: an empty partition key", ErrInvalid)
	case len(k.Partition) > MaxPartitionBytes, len(k.Sort) > MaxSortBytes:
		return fmt.Errorf("%w: a partition key has at most %d bytes, a sort key %d", ErrTooLarge, MaxPartitionBytes, MaxSortBytes)
	}
	return nil
}

// Validate checks a query and returns its effective limit.
func (q Query) Validate() (limit int, err error) {
	if err := (Key{Partition: q.Partition}).Validate(); err != nil {
		return 0, err
	}
	if len(q.From) > MaxSortBytes+1 || len(q.To) > MaxSortBytes+1 { // One more: the bound of a page that goes on after the longest sort key.
		return 0, fmt.Errorf("%w: a sort key has at most %d bytes", ErrTooLarge, MaxSortBytes)
	}
	if q.Limit < 0 || q.Limit > MaxPage {
		return 0, fmt.Errorf("%w: a page has at most %d items", ErrInvalid, MaxPage)
	}
	if q.Limit == 0 {
		return MaxPage, nil
	}
	return q.Limit, nil
}
