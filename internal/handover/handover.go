// Package handover passes a call from a region's edge to the guard of its services within the process. Only code of this module can
// import it, so a value that it finds in a context is the edge's word: it needs no signature.
package handover

import (
	"context"

	"github.com/domicile-api/domicile/internal/call"
)

type contextKey struct{}

// With returns a context that hands c over.
func With(ctx context.Context, c *call.Call) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// From returns the call that ctx hands over, or nil.
func From(ctx context.Context) *call.Call {
	c, _ := ctx.Value(contextKey{}).(*call.Call)
	return c
}
