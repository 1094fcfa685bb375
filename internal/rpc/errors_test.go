package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/store"
)

// The table of the design: what each reason means over HTTP.
var statuses = map[string]int{
	"WRONG_REGION": 421, "TENANT_UNKNOWN": 404, "TENANT_MISMATCH": 400, "MISROUTED": 421, "STALE_EPOCH": 421,
	"REGION_UNAVAILABLE": 503, "NO_LAWFUL_REGION": 503, "REGION_DRAINING": 503, "VERSION_UNAVAILABLE": 404, "RATE_LIMITED": 429,
	"STORAGE_FULL": 503, "OVERLOADED": 503, "INVALID_ARGUMENT": 400, "CREDENTIAL_MISSING": 401, "CREDENTIAL_INVALID": 401,
	"PERMISSION_DENIED": 403, "NOT_FOUND": 404, "ALREADY_EXISTS": 409, "ETAG_MISMATCH": 412, "IDEMPOTENCY_MISMATCH": 422,
	"OUTCOME_UNKNOWN": 409, "WRITE_LOST": 409, "TOKEN_INVALID": 400, "TOO_LARGE": 413, "DEADLINE_EXCEEDED": 504, "UNSUPPORTED": 415,
	"INTERNAL": 500,
}

func TestEachReasonHasItsStatus(t *testing.T) {
	t.Parallel()
	got := make(map[string]int)
	for number := range errorsv1.Reason_name {
		if number != 0 {
			got[rpc.ReasonName(errorsv1.Reason(number))] = rpc.HTTPStatus(errorsv1.Reason(number))
		}
	}
	if diff := cmp.Diff(statuses, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestToFault(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		want errorsv1.Reason
	}{
		{"a fault inside", fmt.Errorf("doing: %w", fault.New(errorsv1.Reason_REASON_NOT_FOUND, "x")), errorsv1.Reason_REASON_NOT_FOUND},
		{"a fault without a reason", &fault.Error{}, errorsv1.Reason_REASON_INTERNAL},
		{"a full store", fmt.Errorf("committing: %w", store.ErrFull), errorsv1.Reason_REASON_STORAGE_FULL},
		{"a store that does not answer", fmt.Errorf("reading: %w", store.ErrUnavailable), errorsv1.Reason_REASON_REGION_UNAVAILABLE},
		{"a large item", fmt.Errorf("committing: %w", store.ErrTooLarge), errorsv1.Reason_REASON_TOO_LARGE},
		{"a deadline", fmt.Errorf("waiting: %w", context.DeadlineExceeded), errorsv1.Reason_REASON_DEADLINE_EXCEEDED},
		{"a cancellation", context.Canceled, errorsv1.Reason_REASON_DEADLINE_EXCEEDED},
		{"a body over the limit", &http.MaxBytesError{Limit: 3}, errorsv1.Reason_REASON_TOO_LARGE},
		{"a handler's code", connect.NewError(connect.CodeNotFound, errors.New("canary")), errorsv1.Reason_REASON_NOT_FOUND},
		{"our own error, back", rpc.ToConnect(fault.New(errorsv1.Reason_REASON_WRITE_LOST, "x")), errorsv1.Reason_REASON_WRITE_LOST},
		{"anything else", errors.New("canary"), errorsv1.Reason_REASON_INTERNAL},
	} {
		got := rpc.ToFault(tt.err)
		if got.Reason != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got.Reason, tt.want)
		}
		if strings.Contains(rpc.ToConnect(tt.err).Message(), "canary") {
			t.Errorf("%s: the text is sent", tt.name)
		}
	}
}
