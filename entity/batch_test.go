package entity

import (
	"testing"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/store"
)

// A mutation that fits into no batch at all is refused: as one that waits for the next it would wait for ever.
func TestAMutationThatNeverFitsIsRefused(t *testing.T) {
	t.Parallel()
	b := &batch{ops: make([]store.Op, 1), claimed: make(map[store.Key]struct{})}
	m := &mutation{ops: make([]store.Op, store.MaxOps-1)}
	if err := b.add(t.Context(), m); !fault.Is(err, errorsv1.Reason_REASON_TOO_LARGE) {
		t.Errorf("%d operations: %v", len(m.ops), err)
	}
}
