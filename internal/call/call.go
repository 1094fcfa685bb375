// Package call carries, in a context, what is known about the call being answered: who calls, for which tenant, under which
// ownership, and what its commit was. The guard makes it, the interceptors and repositories read it.
package call

import (
	"context"

	"github.com/domicile-api/domicile/internal/ident"
)

// Kind tells tenants' credentials from operators'.
type Kind uint8

// The kinds of principal.
const (
	Anonymous Kind = iota
	TenantKey
	OperatorKey
)

// Principal is who proved a credential.
type Principal struct {
	Kind  Kind
	KeyID string
}

// Write is where a commit lies in its tenant's streams; a consistency token and the Domicile-* answer headers are made of it.
type Write struct {
	Epoch ident.Epoch
	Lane  ident.Lane
	Seq   ident.Seq
}

// Call is one call. Its fields are set before the handler runs; Commit and Replay are set by the repository.
// One goroutine answers a call, so there is no lock.
type Call struct {
	// Procedure is the full method name with slashes, e.g. "/domicile.profile.v1.ProfileService/GetUser".
	Procedure string
	// Tenant is empty for an operator's call that names none.
	Tenant       ident.TenantID
	Epoch        ident.Epoch
	Home         ident.RegionID
	Jurisdiction ident.Jurisdiction
	// Region answers; Edge is where the call came in.
	Region, Edge ident.RegionID
	Principal    Principal
	// Operation is set when the call is a mutation with an idempotency key.
	Operation *Operation
	// Committed is the last write that the call made, or that the first call made if this one is a repetition.
	Committed *Write
	// Replayed says that the answer is the stored answer of an earlier call.
	Replayed bool
	// Seen is how far the streams are that the answer shows; the token of the answer covers it, and Committed.
	Seen ident.Positions
	// NotHere says that the region's replica cannot answer after all: the edge takes the call home, whatever was answered.
	NotHere bool
}

// Operation is a mutation that an idempotency key names.
type Operation struct {
	// KeyHash is SHA-256 of the tenant (or operator) and the key.
	KeyHash [32]byte
	// RequestHash is SHA-256 of the procedure and the request's deterministic serialization.
	RequestHash [32]byte
}

type contextKey struct{}

// With returns a context that carries c.
func With(ctx context.Context, c *Call) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// From returns the call that ctx carries, or nil.
func From(ctx context.Context) *Call {
	c, _ := ctx.Value(contextKey{}).(*Call)
	return c
}
