package directory

import (
	"context"

	"github.com/domicile-api/domicile/internal/store"
)

// Table is a region's replica of the global table: the part of store.Store that such a table can keep.
//
// Items replicate one by one, in no order. Conditions and reads are those of the region's own replica, so an item has one
// writer region, which stands in its partition key. A commit has exactly one operation.
type Table interface {
	// Get returns an item, or store.ErrNotFound.
	Get(ctx context.Context, key store.Key) (store.Item, error)
	// Query returns a page of a partition.
	Query(ctx context.Context, q store.Query) (store.Page, error)
	// Commit applies one operation, with the errors of store.Store.
	Commit(ctx context.Context, c store.Commit) error
	// Changes is a doorbell: it says that something came, from here or from another region.
	Changes(ctx context.Context, fn func([]store.Change) error) error
}
