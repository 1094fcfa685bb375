package directory

import (
	"context"

	"github.com/domicile-api/domicile/internal/store"
)

// Table is a region's replica of the global table: the part of store.Store that such a table can keep, and that the directory relies
// on. tabletest is the suite that every adapter passes.
//
// Items replicate one by one, in no order. Conditions and reads are those of the region's own replica, so an item has one
// writer region, which stands in its partition key. A commit has exactly one operation.
type Table interface {
	// Get returns an item, or store.ErrNotFound. It shows each commit of this region that returned before.
	Get(ctx context.Context, key store.Key) (store.Item, error)
	// Query returns a page of a partition, with the promise of Get. A page that says that more follows is not empty.
	Query(ctx context.Context, q store.Query) (store.Page, error)
	// Commit applies one operation, with the errors of store.Store. The same put if absent, sent again under its token because its
	// outcome was not known, answers success and has no second effect while the item stands as it was put. A token need not protect
	// other operations, and an adapter may refuse it with store.ErrInvalid.
	Commit(ctx context.Context, c store.Commit) error
	// Changes is a doorbell. It says that something came: from here, and as far as the adapter is told, from other processes and
	// regions. A follower polls as well.
	Changes(ctx context.Context, fn func([]store.Change) error) error
}
