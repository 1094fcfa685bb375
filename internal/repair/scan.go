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

// cursor goes over the entities of a lane in the order of their ids.
type cursor struct {
	table     store.Store
	partition string
	from, to  string
	items     []store.Item
	more      bool
}

// newCursor returns a cursor at the first entity whose id is at least from and, if to is not empty, below it.
func newCursor(table store.Store, tenant ident.TenantID, lane ident.Lane, from, to string) *cursor {
	c := &cursor{table: table, partition: keyspace.Lane(tenant, lane), more: true}
	c.from, c.to = keyspace.Entities(from, to)
	return c
}

// next returns the next item and its entity's id; false at the end.
func (c *cursor) next(ctx context.Context) (store.Item, string, bool, error) {
	for len(c.items) == 0 {
		if !c.more || c.from >= c.to {
			return store.Item{}, "", false, nil
		}
		page, err := c.table.Query(ctx, store.Query{Partition: c.partition, From: c.from, To: c.to, Limit: scanPage})
		if err != nil {
			return store.Item{}, "", false, fmt.Errorf("reading a lane: %w", err)
		}
		c.items, c.more = page.Items, page.More
		if n := len(c.items); n > 0 {
			c.from = c.items[n-1].Key.Sort + "\x00"
		} else {
			c.more = false
		}
	}
	item := c.items[0]
	c.items = c.items[1:]
	return item, strings.TrimPrefix(item.Key.Sort, keyspace.EntityPrefix), true, nil
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
	if feed == replicationv1.Feed_FEED_STANDBY {
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
