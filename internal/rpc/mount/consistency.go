package mount

import (
	"context"

	"connectrpc.com/connect"

	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/consistency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/rpc/exchange"
)

// Tokens reads and makes consistency tokens; consistency.Tokens is one.
type Tokens interface {
	// Floor returns what the answer's token must cover at the least, from the request's headers.
	Floor(ctx context.Context, c *call.Call, h consistency.Headers) (ident.Positions, error)
	// Cover returns the answer's token: for the floor, what the answer shows (c.Seen) and what was written (c.Committed). False: there
	// is nothing to say.
	Cover(c *call.Call, floor ident.Positions) (token string, ok bool)
}

// sessions gives each answer to a tenant's call a consistency token that covers those of the request, what the answer shows, and what
// the call, or the call that it repeats, wrote. It stands outside of repetition, which answers repeated calls.
//
// An error has a token too if the handler gave it: what it tells was seen. Where a protocol sends no headers with errors, it is a
// trailer. A stream's token goes out before its first message, so it covers the request's tokens alone.
type sessions struct {
	serverSide

	tokens Tokens
}

// WrapUnary implements connect.Interceptor.
func (s sessions) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		c := call.From(ctx)
		if c == nil || c.Tenant == "" {
			return next(ctx, request)
		}
		floor, err := s.tokens.Floor(ctx, c, request.Header())
		if err != nil {
			return nil, err
		}
		response, err := next(ctx, request)
		token, ok := s.tokens.Cover(c, floor)
		switch {
		case !ok:
		case err != nil:
			exchange.From(ctx).Token.Store(&token)
		default:
			response.Header().Set(rpc.HeaderConsistency, token)
		}
		return response, err
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (s sessions) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		c := call.From(ctx)
		if c == nil || c.Tenant == "" {
			return next(ctx, conn)
		}
		floor, err := s.tokens.Floor(ctx, c, conn.RequestHeader())
		if err != nil {
			return err
		}
		// Nothing was seen or written yet.
		if token, ok := s.tokens.Cover(&call.Call{Tenant: c.Tenant}, floor); ok {
			conn.ResponseHeader().Set(rpc.HeaderConsistency, token)
		}
		return next(ctx, conn)
	}
}
