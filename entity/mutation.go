package entity

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// Why the store refused a mutation. The typed layer turns them into what the caller may see.
var (
	// errChanged says that the entity is not as the mutation expects it.
	errChanged = errors.New("entity: changed meanwhile")
	// errTaken says that another entity has a unique value.
	errTaken = errors.New("entity: a unique value is taken")
	// errRepeated says that another call has committed under the idempotency key.
	errRepeated = errors.New("entity: the idempotency key has committed")
)

// The states of a mutation.
const (
	// waiting: not in a batch; its caller may withdraw it.
	waiting int32 = iota
	// committing: in a batch; its outcome is the batch's.
	committing
	// withdrawn: its caller went away before it was in a batch, so it had no effect.
	withdrawn
)

// mutation is one write of one entity on its way to the commit. Its caller fills it, then waits for done; the sequencer alone
// touches it in between, but for the state.
type mutation struct {
	tenant       ident.TenantID
	jurisdiction ident.Jurisdiction
	lane         ident.Lane
	epoch        ident.Epoch
	// ops are the entity's operation, then those of its lookup items. The sequencer sets the versions of what they put.
	ops []store.Op
	// outbox is the value of the write's outbox record.
	outbox []byte
	// operation names the idempotency key, if any, and record then makes the operation that stores the answer. It is called
	// with each number that the write is tried under, so it depends on nothing else.
	operation *call.Operation
	recordKey store.Key
	record    func(ctx context.Context, w call.Write) (store.Op, error)

	// span is where the caller's trace has come to; the first mutation of a batch lends it to the commit.
	span trace.SpanContext

	state atomic.Int32
	done  chan struct{}
	// version and err are the outcome, to be read when done is closed.
	version ident.Version
	err     error
}

// finish tells the waiting caller the outcome.
func (m *mutation) finish(v ident.Version, err error) {
	m.version, m.err = v, err
	close(m.done)
}

// wait returns the outcome. When ctx ends first, a mutation that is in no batch yet is withdrawn and had no effect; of one
// that is, the outcome is not known to this caller, and the batch goes on.
func (m *mutation) wait(ctx context.Context) (ident.Version, error) {
	select {
	case <-m.done:
		return m.version, m.err
	case <-ctx.Done():
	}
	if m.state.CompareAndSwap(waiting, withdrawn) {
		return ident.Version{}, fault.Wrap(errorsv1.Reason_REASON_DEADLINE_EXCEEDED, ctx.Err(), "the call ended before its write began")
	}
	select {
	case <-m.done: // known by now after all
		return m.version, m.err
	default:
		return ident.Version{}, fault.Wrap(errorsv1.Reason_REASON_OUTCOME_UNKNOWN, ctx.Err(), "the call ended during its write")
	}
}

// refusal says why the mutation was refused when the operations of which failed tells did not find what they expect: its own
// ops in their order, then its idempotency record if it has one. A repeated call is that before it is anything else.
func (m *mutation) refusal(failed []bool) error {
	if m.operation != nil && failed[len(m.ops)] {
		return errRepeated
	}
	if failed[0] {
		return errChanged
	}
	for _, f := range failed[1:len(m.ops)] {
		if f {
			return errTaken
		}
	}
	return nil
}

// answerable runs record, which calls the product's code, and turns a panic into an error of this mutation alone: the goroutine
// that runs it works for all callers of the lane.
func (m *mutation) answerable(ctx context.Context, w call.Write) (op store.Op, err error) {
	defer func() {
		if r := recover(); r != nil {
			// The panic's value may hold what the caller sent; its type is all that is safe to log.
			err = fmt.Errorf("entity: making the answer panicked with a %T", r)
		}
	}()
	return m.record(ctx, w)
}

// retryAfter is what an overloaded lane asks its callers to wait.
const retryAfter = time.Second

func overloaded(text string) error {
	f := fault.New(errorsv1.Reason_REASON_OVERLOADED, "%s", text)
	f.RetryAfter = retryAfter
	return f
}
