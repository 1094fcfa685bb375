package repair

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// scanPage is how many items are in memory at a time. An entity has at most 160 KiB.
const scanPage = 200

// cursor goes over what is compared with a lane in the order of the ids: its entities, then idempotency records.
type cursor struct {
	table store.Store
	// low and high bound the ids; an empty high does not.
	low, high string
	records   *window
	// spans are what is yet to be read.
	spans []span
	items []store.Item
	// record says that the items are idempotency records.
	record bool
}

// span is a range of a partition.
type span struct {
	partition, from, to string
	// record says that the partition has idempotency records.
	record bool
}

// newCursor returns a cursor at the first entity whose id is at least from and, if to is not empty, below it. Without a window it
// leaves out idempotency records.
func newCursor(table store.Store, tenant ident.TenantID, lane ident.Lane, from, to string, within *window) *cursor {
	c := &cursor{table: table, low: from, high: to, records: within}
	first, end := keyspace.Entities(from, to)
	if first < end {
		c.spans = append(c.spans, span{partition: keyspace.Lane(tenant, lane), from: first, to: end})
	}
	if within == nil {
		return c
	}
	if s, some := records(tenant, lane, from, to); some {
		c.spans = append(c.spans, s)
	}
	return c
}

// next returns the next item and its id; false at the end.
func (c *cursor) next(ctx context.Context) (store.Item, string, bool, error) {
	for {
		for len(c.items) > 0 {
			item := c.items[0]
			c.items = c.items[1:]
			if id, ok := c.idOf(item); ok {
				return item, id, true, nil
			}
		}
		if len(c.spans) == 0 {
			return store.Item{}, "", false, nil
		}
		s := &c.spans[0]
		page, err := c.table.Query(ctx, store.Query{Partition: s.partition, From: s.from, To: s.to, Limit: scanPage})
		if err != nil {
			return store.Item{}, "", false, fmt.Errorf("reading a lane: %w", err)
		}
		c.items, c.record = page.Items, s.record
		if n := len(c.items); n > 0 && page.More {
			s.from = c.items[n-1].Key.Sort + "\x00"
		} else {
			c.spans = c.spans[1:]
		}
	}
}

// idOf returns the id of an item; false when it is not compared.
func (c *cursor) idOf(item store.Item) (string, bool) {
	if !c.record {
		return strings.CutPrefix(item.Key.Sort, keyspace.EntityPrefix)
	}
	id := recordID(item.Key)
	return id, id != "" && id >= c.low && (c.high == "" || id < c.high) && c.records.has(item.Expires)
}

// copies goes over what a region has of a stream's entities.
type copies struct {
	cursor *cursor
	feed   replicationv1.Feed
}

// next returns what is here of the next entity; nil at the end.
func (c *copies) next(ctx context.Context) (*held, error) {
	for {
		item, id, ok, err := c.cursor.next(ctx)
		if err != nil || !ok {
			return nil, err
		}
		h, err := copyOf(c.feed, item, id)
		if err != nil || h != nil {
			return h, err
		}
	}
}

// copyOf reads what an item of a copy says; nil when it says that the entity is gone.
func copyOf(feed replicationv1.Feed, item store.Item, id string) (*held, error) {
	h := &held{id: id, version: item.Version}
	if feed == replicationv1.Feed_FEED_STANDBY { // Also an idempotency record.
		return h, nil
	}
	var replica storagev1.Replica
	if err := proto.Unmarshal(item.Value, &replica); err != nil {
		return nil, fmt.Errorf("decoding a replica: %w", err)
	}
	if replica.GetDeleted() {
		return nil, nil //nolint:nilnil // said above
	}
	h.scope, h.withheld = replica.GetScope(), replica.GetWithheld()
	return h, nil
}
