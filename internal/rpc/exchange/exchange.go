// Package exchange is what the layers of one request tell each other besides the answer itself: libraries in between keep only a code
// and a text.
package exchange

import (
	"context"
	"sync/atomic"

	"github.com/domicile-api/domicile/internal/fault"
)

// Exchange is one request's. Its zero value says nothing.
type Exchange struct {
	// Reached says that the request was decoded and came to the interceptors. A library's complaint about a request that did
	// not is the caller's mistake, not an internal error.
	Reached atomic.Bool
	// Get says that the request came by GET, which what transcodes REST hides.
	Get bool
	// Failure is why the call is refused, when this project refuses it.
	Failure atomic.Pointer[fault.Error]
	// Token is the consistency token of a failed call, when there is one.
	Token atomic.Pointer[string]
}

type key struct{}

// With returns a context that has the exchange.
func With(ctx context.Context, x *Exchange) context.Context {
	return context.WithValue(ctx, key{}, x)
}

// From returns the exchange of a context. It never returns nil: without one in the context, what is noted is lost.
func From(ctx context.Context) *Exchange {
	if x, ok := ctx.Value(key{}).(*Exchange); ok {
		return x
	}
	return &Exchange{}
}
