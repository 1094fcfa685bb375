package edge

import (
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/rpc"
)

// Metrics counts what an edge does. All values of an Observation but the duration are of small closed sets, fit for labels; none is
// a tenant's or a caller's.
type Metrics interface {
	// Observe is called once a call, when its answer has ended.
	Observe(Observation)
}

// Observation is one call.
type Observation struct {
	// Procedure is the method called; empty if the path is none of the platform's.
	Procedure string
	// Protocol is how it was called.
	Protocol rpc.Protocol
	// Action is "local", "forward", "redirect", "refuse", "arrived" (from another edge) or "infrastructure".
	Action string
	// Target is the region that answers, or would; empty if that is not known.
	Target ident.RegionID
	// Reason is why the edge itself refused the call; unspecified if it did not.
	Reason errorsv1.Reason
	// Status is the HTTP status; 499 if the client went away before there was one.
	Status int
	// Duration is from the headers' arrival to the answer's end.
	Duration time.Duration
}
