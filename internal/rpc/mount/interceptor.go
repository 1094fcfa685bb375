package mount

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
)

// serverSide is embedded by interceptors, which all work on the server's side alone.
type serverSide struct{}

// WrapStreamingClient implements connect.Interceptor.
func (serverSide) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// gate is an interceptor that lets a call pass or refuses it, before its handler, by its method and headers alone.
type gate struct {
	serverSide

	admit func(ctx context.Context, spec connect.Spec, header http.Header) error
}

// WrapUnary implements connect.Interceptor.
func (g gate) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if err := g.admit(ctx, request.Spec(), request.Header()); err != nil {
			return nil, err
		}
		return next(ctx, request)
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (g gate) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		if err := g.admit(ctx, conn.Spec(), conn.RequestHeader()); err != nil {
			return err
		}
		return next(ctx, conn)
	}
}
