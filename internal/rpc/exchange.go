package rpc

import (
	"context"
	"sync/atomic"

	"github.com/domicile-api/domicile/internal/fault"
)

// exchange is what the layers of one request tell each other besides the answer itself: libraries in between keep only a code
// and a text.
type exchange struct {
	// reached says that the request was decoded and came to the interceptors. A library's complaint about a request that did
	// not is the caller's mistake, not an internal error.
	reached atomic.Bool
	// get says that the request came by GET, which what transcodes REST hides.
	get bool
	// failure is why the call is refused, when this project refuses it.
	failure atomic.Pointer[fault.Error]
	// token is the consistency token of a failed call, when there is one.
	token atomic.Pointer[string]
}

type exchangeKey struct{}

func withExchange(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// exchangeFrom never returns nil: without one in the context, what is noted is lost.
func exchangeFrom(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return &exchange{}
}
