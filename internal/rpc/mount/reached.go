package mount

import (
	"context"
	"net/http"

	"connectrpc.com/connect"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/rpc/exchange"
)

// reached is the outermost interceptor. It notes that the request was decoded, and names the procedure in the call: for a call
// that came from another region, which procedure it is only shows here.
//
// A call without the guard's word is refused, and so is one that this region's edge took for another procedure: then what the
// edge decided is not about this one.
func reached() connect.Interceptor {
	return gate{admit: func(ctx context.Context, spec connect.Spec, _ http.Header) error {
		exchange.From(ctx).Reached.Store(true)
		c := call.From(ctx)
		if c == nil || c.Procedure != "" && c.Procedure != spec.Procedure {
			return fault.New(errorsv1.Reason_REASON_MISROUTED, "the call was not routed to this method by an edge")
		}
		c.Procedure = spec.Procedure
		return nil
	}}
}
