// Package peer is how the regions of a platform call each other: one port, the generated PeerService, and two adapters of it,
// InProcess for regions that share a process and Connect for those that do not. What it promises:
//
//   - A handler knows who calls: Caller(ctx) is proven, by the process or by a signature. What a region may do to another hangs on that
//     and on nothing that is in a message.
//   - Regions share no memory: requests, answers and errors are copies, in both adapters the same ones.
//   - A call is made once. One that got no answer is ErrUnreachable, and may have taken effect: every method may be called again.
//   - A queue that holds more than GLOBAL, and the keys of tenants, are reached from the same jurisdiction only; see Server.
//
// Faults is a network between regions that can be slow, cut and disorderly; dev and the scenarios run on it.
package peer

import (
	"context"
	"errors"
	"fmt"

	"github.com/domicile-api/domicile/gen/domicile/peer/v1/peerv1connect"
	"github.com/domicile-api/domicile/internal/ident"
)

// Network is what one region sees of the others.
type Network interface {
	// To returns the client of a region. It never is nil: calls to a region that there is not are ErrUnreachable.
	To(region ident.RegionID) peerv1connect.PeerServiceClient
}

// ErrUnreachable says that a region did not answer. The call may have taken effect there.
var ErrUnreachable = errors.New("peer: the region cannot be reached")

type callerKey struct{}

// WithCaller returns a context in which Caller is proven to be region. Adapters call it, and tests of handlers.
func WithCaller(ctx context.Context, region ident.RegionID) context.Context {
	return context.WithValue(ctx, callerKey{}, region)
}

// Caller returns the region that calls, inside a handler; false outside of one.
func Caller(ctx context.Context) (ident.RegionID, bool) {
	region, ok := ctx.Value(callerKey{}).(ident.RegionID)
	return region, ok
}

// ended is why a call whose own context is over has no answer; nil if it is not over.
func ended(ctx context.Context) error {
	switch err := ctx.Err(); {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w in time: %w", ErrUnreachable, err)
	default:
		return fmt.Errorf("peer: the call was given up: %w", err)
	}
}
