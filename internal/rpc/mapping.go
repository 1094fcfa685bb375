package rpc

import (
	"context"
	"errors"
	"log/slog"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/trace"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
)

// mapping is the one place where the errors of handlers and of the interceptors below it get their code. What is internal is
// logged here with its cause, once, and sent without.
type mapping struct {
	serverSide

	logger *slog.Logger
}

// WrapUnary implements connect.Interceptor.
func (m mapping) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		response, err := next(ctx, request)
		if err != nil {
			return nil, m.sent(ctx, request.Spec().Procedure, err)
		}
		return response, nil
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (m mapping) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		if err := next(ctx, conn); err != nil {
			return m.sent(ctx, conn.Spec().Procedure, err)
		}
		return nil
	}
}

func (m mapping) sent(ctx context.Context, procedure string, err error) error {
	f := ToFault(decoded(err))
	if f.Reason == errorsv1.Reason_REASON_INTERNAL {
		f = m.report(ctx, procedure, f)
	}
	x := exchangeFrom(ctx)
	x.failure.Store(f)
	out := ToConnect(f)
	if token := x.token.Load(); token != nil {
		out.Meta().Set(HeaderConsistency, *token)
	}
	return out
}

// decoded finds the decoding error in what Connect makes of it when a stream's message does not decode.
func decoded(err error) error {
	if own, ok := errors.AsType[*decodeError](err); ok {
		return own.fault()
	}
	return err
}

// report logs an internal error and gives the caller the trace by which it is found.
func (m mapping) report(ctx context.Context, procedure string, f *fault.Error) *fault.Error {
	attrs := []slog.Attr{slog.String("procedure", procedure)}
	if c := call.From(ctx); c != nil {
		attrs = append(attrs, slog.String("tenant", string(c.Tenant)))
	}
	span := trace.SpanContextFromContext(ctx)
	if span.HasTraceID() {
		attrs = append(attrs, slog.String("trace_id", span.TraceID().String()))
		f = f.With("trace_id", span.TraceID().String())
	}
	if f.Cause != nil {
		attrs = append(attrs, slog.Any("error", f.Cause))
	}
	if thrown, ok := errors.AsType[*panicError](f); ok {
		attrs = append(attrs, slog.String("stack", string(thrown.stack)))
	}
	m.logger.LogAttrs(ctx, slog.LevelError, "internal error", attrs...)
	return f
}
