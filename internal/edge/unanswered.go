package edge

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/rpc"
)

// fault says why a forwarded call has no answer.
//
// What matters to the client is whether it may repeat the call. It may if nothing was sent, if the method only reads, and if an
// idempotency key makes a repetition harmless: then the region is unavailable, 503, which clients retry by themselves. A write
// without a key that was sent may have been executed: OUTCOME_UNKNOWN, 409, which nobody retries by itself.
func (a *attempt) fault(err error) error {
	var bodyErr *connect.Error
	switch {
	case errors.As(err, &bodyErr): // rpc.LimitBody's: the client's body was at fault
		return bodyErr
	case a.in.Context().Err() != nil:
		a.rec.visit.gone = true
		return fault.Wrap(errorsv1.Reason_REASON_DEADLINE_EXCEEDED, err, "the caller went away")
	case a.late():
		return fault.Wrap(errorsv1.Reason_REASON_DEADLINE_EXCEEDED, err, "the call's deadline passed")
	}
	method := a.rec.visit.method
	region := string(a.rec.visit.target)
	repeatable := !a.sent.Load() || !method.Writes || forwarded(a.in.Header, rpc.HeaderIdempotencyKey) != ""
	if !repeatable {
		return fault.Wrap(errorsv1.Reason_REASON_OUTCOME_UNKNOWN, err,
			"the home region did not answer, and may have executed the call").With("home_region", region).With("retry_safe", "false")
	}
	f := fault.Wrap(errorsv1.Reason_REASON_REGION_UNAVAILABLE, err, "the region that answers this call does not answer").
		With("home_region", region).With("retry_safe", "true")
	f.RetryAfter = a.edge.cfg.RetryAfter
	return f
}

// bodyFault says why a client's body could not be read.
func bodyFault(r *http.Request, err error) error {
	if coded, ok := errors.AsType[*connect.Error](err); ok {
		return coded
	}
	if r.Context().Err() == nil {
		return fault.Wrap(errorsv1.Reason_REASON_INVALID_ARGUMENT, err, "the request's body ends before its end")
	}
	return fault.Wrap(errorsv1.Reason_REASON_DEADLINE_EXCEEDED, context.Cause(r.Context()), "the caller went away")
}
