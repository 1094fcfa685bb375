package tenancy

import (
	"bytes"
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/residency"
)

// refuseRepetition ends a write whose idempotency key another call has used meanwhile. The interceptor looks the key up again
// before it answers a failure, and then answers what the other call stored.
func refuseRepetition(ctx context.Context, v directory.View) error {
	op := operation(ctx)
	if op == nil {
		return nil
	}
	switch rep, err := v.Repetition(ctx, op.KeyHash[:]); {
	case err != nil:
		return err
	case rep != nil:
		return fault.New(errorsv1.Reason_REASON_IDEMPOTENCY_MISMATCH, "the idempotency key is in use")
	}
	return nil
}

// repetition is what the record keeps for a repetition of the call; nil when the call has no idempotency key. A secret is
// never kept.
func repetition(ctx context.Context, answer proto.Message) (*directoryv1.Repetition, error) {
	op := operation(ctx)
	if op == nil {
		return nil, nil //nolint:nilnil // A record without a repetition.
	}
	stored, err := proto.Marshal(residency.Strip(answer, policyv1.DataClass_DATA_CLASS_SECRET))
	if err != nil {
		return nil, fmt.Errorf("keeping the answer: %w", err)
	}
	return &directoryv1.Repetition{KeyHash: op.KeyHash[:], RequestHash: op.RequestHash[:], Answer: stored}, nil
}

// Repetitions looks a repetition up in one region's log; a *directory.Reader whose control region is the region that writes.
type Repetitions interface {
	Repetition(ctx context.Context, keyHash []byte) (*directoryv1.Repetition, error)
}

// Replayer is the idempotency.Replayer of calls that write to the directory.
type Replayer struct{ Log Repetitions }

// Replay returns the answer that the directory keeps for the call's idempotency key.
func (r Replayer) Replay(ctx context.Context, c *call.Call) (answer []byte, found bool, err error) {
	if c.Operation == nil {
		return nil, false, nil
	}
	rep, err := r.Log.Repetition(ctx, c.Operation.KeyHash[:])
	if err != nil || rep == nil {
		return nil, false, err
	}
	if !bytes.Equal(rep.GetRequestHash(), c.Operation.RequestHash[:]) {
		return nil, false, fault.New(errorsv1.Reason_REASON_IDEMPOTENCY_MISMATCH, "the idempotency key was used for another request")
	}
	c.Replayed = true
	return rep.GetAnswer(), true, nil
}
