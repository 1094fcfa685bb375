package mount

import (
	"context"
	"errors"
	"log/slog"

	"buf.build/go/protovalidate"
	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/trace"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/rpc/exchange"
	"github.com/domicile-api/domicile/internal/rpc/undecoded"
)

// mapping is the one interceptor in which the errors of handlers and of the interceptors below it get their code. What is internal is
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
	f := rpc.ToFault(understood(err))
	if f.Reason == errorsv1.Reason_REASON_INTERNAL {
		f = m.report(ctx, procedure, f)
	}
	x := exchange.From(ctx)
	x.Failure.Store(f)
	out := rpc.ToConnect(f)
	if token := x.Token.Load(); token != nil {
		out.Meta().Set(rpc.HeaderConsistency, *token)
	}
	return out
}

// understood finds the errors of the libraries of this package in what Connect or a handler makes of them, and returns what they mean in
// the domain: a message of a stream that does not decode, and one that breaks the contract's rules.
func understood(err error) error {
	if own, ok := errors.AsType[*undecoded.Error](err); ok {
		return own.Fault()
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if invalid, ok := errors.AsType[*protovalidate.ValidationError](err); ok {
		return invalidFault(invalid)
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
