package client

import (
	"context"
	"errors"
	"net/url"
	"sync"

	"connectrpc.com/connect"
)

// interceptor is the client for Connect, gRPC and gRPC-Web.
type interceptor struct{ client *Client }

// WrapUnary implements connect.Interceptor.
func (i interceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if !request.Spec().IsClient || !i.client.oursHost(request.Peer().Addr) {
			return next(ctx, request)
		}
		return i.call(ctx, request, next)
	}
}

func (i interceptor) call(ctx context.Context, request connect.AnyRequest, next connect.UnaryFunc) (connect.AnyResponse, error) {
	c, header := i.client, request.Header()
	s := c.sessions.of(header, request.Peer().Addr)
	own := len(header.Values(headerConsistency)) == 0
	if c.setKey(header, request.Spec().IdempotencyLevel == connect.IdempotencyNoSideEffects) {
		defer header.Del(headerKey) // It is this call's; the caller may send the request once more, as another.
	}
	if own {
		defer header.Del(headerConsistency)
	}
	var response connect.AnyResponse
	var err error
	c.attempts(ctx, s, true, func(home *url.URL) *failure {
		w := &way{home: home}
		var sent []string
		if own {
			header.Del(headerConsistency)
			sent = s.send(header)
		}
		response, err = next(withWay(ctx, w), request)
		if err == nil {
			s.keep(sent, response.Header())
			return nil
		}
		var from *url.URL
		if w.through {
			from = w.from
		}
		f := connectFailure(from, err, c.cfg.Clock())
		if coded, ok := errors.AsType[*connect.Error](err); ok {
			s.settle(f, sent, coded.Meta())
		}
		return f
	})
	return response, err
}

// WrapStreamingClient implements connect.Interceptor.
func (i interceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		if !i.client.oursHost(conn.Peer().Addr) {
			return conn
		}
		return &streamConn{StreamingClientConn: conn, client: i.client}
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (interceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// streamConn is a stream with tokens: those of the request go with its headers, which the first message sends, and those of the answer
// come with its headers.
type streamConn struct {
	connect.StreamingClientConn

	client *Client
	begin  sync.Once
	answer sync.Once
	s      *session
	sent   []string
}

// Send implements connect.StreamingClientConn.
func (c *streamConn) Send(message any) error {
	c.begin.Do(c.open)
	return c.StreamingClientConn.Send(message) //nolint:wrapcheck // a plain delegate
}

// CloseRequest implements connect.StreamingClientConn.
func (c *streamConn) CloseRequest() error {
	c.begin.Do(c.open)
	return c.StreamingClientConn.CloseRequest() //nolint:wrapcheck // a plain delegate
}

// Receive implements connect.StreamingClientConn.
func (c *streamConn) Receive(message any) error {
	err := c.StreamingClientConn.Receive(message)
	c.answer.Do(func() {
		c.begin.Do(c.open) // Whoever receives before anything was sent has not sent tokens either.
		c.s.keep(c.sent, c.ResponseHeader())
	})
	return err //nolint:wrapcheck // a plain delegate
}

func (c *streamConn) open() {
	c.s = c.client.sessions.of(c.RequestHeader(), c.Peer().Addr)
	c.sent = c.s.send(c.RequestHeader())
}
