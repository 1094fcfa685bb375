package domiciletest

import (
	"context"
	"net/http"
	"time"

	"connectrpc.com/connect"
)

// newHTTPClient makes a client of its own, so that no test keeps connections to another test's platform.
func newHTTPClient() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}
}

// NewH2CClient makes a client that speaks HTTP/2 without TLS, which gRPC needs.
func NewH2CClient() *http.Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{Protocols: p}}
}

// bearer sends a credential with each call.
func bearer(key string) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			r.Header().Set("Authorization", "Bearer "+key)
			return next(ctx, r)
		}
	}
}

// Bearer is a client option that sends an API key or an operator's key with each call.
func Bearer(key string) connect.ClientOption { return connect.WithInterceptors(bearer(key)) }
