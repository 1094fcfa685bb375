// Package idempotency makes a repeated mutation answer what the first one answered.
//
// It promises: of all calls that carry one idempotency key within Lifetime, at most one commits; each repetition of it gets the first
// call's answer, and a call that has the key but is another request is refused. There is no in-flight marker: equal calls race
// to the commit, whose condition is that no record of the key is there, and the losers replay what the winner stored. Failures
// are not stored, so a call that failed can be repeated.
//
// A stored answer is sealed under the tenant's key, bound to the record, and is made without SECRET fields by whoever stores it.
package idempotency

import (
	"context"
	"time"

	"github.com/domicile-api/domicile/internal/call"
)

// Lifetime is how long a record is kept. A repetition after it is a new call.
const Lifetime = 24 * time.Hour

// Replayer looks up what an idempotency key stands for.
//
// The interceptor of mutations calls it before the handler, and again before it answers any failure: an equal call may have
// committed meanwhile.
type Replayer interface {
	// Replay returns the stored answer of c.Operation, a serialized message of the procedure's response type, and sets c.Replayed and
	// c.Committed. found is false, and c unchanged, when no call with this key has committed or c has no operation. It fails with
	// a fault of IDEMPOTENCY_MISMATCH when the key was used for another request.
	Replay(ctx context.Context, c *call.Call) (answer []byte, found bool, err error)
}
