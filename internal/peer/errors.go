package peer

import (
	"context"
	"errors"
	"fmt"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

// errorMetadata names, in a fault's metadata, the error of a port that the caller knows how to treat.
const errorMetadata = "peer_error"

// otherFailure stands in a SendResponse for an error that has no name.
const otherFailure = "failed"

// known are the ports' errors that travel between regions by name. The first that matches counts, so those that are a special case of
// another stand before it.
//
//nolint:gochecknoglobals // an immutable table
var known = []struct {
	name   string
	err    error
	reason errorsv1.Reason
}{
	{"key_conflict", seal.ErrConflict, errorsv1.Reason_REASON_ALREADY_EXISTS},
	{"key_purged", seal.ErrPurged, errorsv1.Reason_REASON_NOT_FOUND},
	{"key_not_lawful", seal.ErrNotLawful, errorsv1.Reason_REASON_PERMISSION_DENIED},
	{"cannot_open", seal.ErrCannotOpen, errorsv1.Reason_REASON_INVALID_ARGUMENT},
	{"queue_full", queue.ErrFull, errorsv1.Reason_REASON_STORAGE_FULL},
	{"store_full", store.ErrFull, errorsv1.Reason_REASON_STORAGE_FULL},
	{"too_large", queue.ErrTooLarge, errorsv1.Reason_REASON_TOO_LARGE},
	{"invalid", queue.ErrInvalid, errorsv1.Reason_REASON_INVALID_ARGUMENT},
	{"closed", queue.ErrClosed, errorsv1.Reason_REASON_REGION_UNAVAILABLE},
}

// nameOf returns how an error of a port is called; otherFailure if it has no name, "" for nil.
func nameOf(err error) string {
	if err == nil {
		return ""
	}
	for _, k := range known {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return otherFailure
}

var errOther = errors.New("peer: the region could not do it; its log says why")

// errorOf is the reverse of nameOf.
func errorOf(name string) error {
	if name == "" {
		return nil
	}
	for _, k := range known {
		if k.name == name {
			return k.err
		}
	}
	return errOther
}

// outgoing is what leaves a region for an error of its handler: a reason, a text that is safe, and the name of the port's error.
func outgoing(err error) *fault.Error {
	if fault.ReasonOf(err) != errorsv1.Reason_REASON_UNSPECIFIED {
		return rpc.ToFault(err)
	}
	for _, k := range known {
		if errors.Is(err, k.err) {
			return fault.Wrap(k.reason, err, "the region refused: %s", k.name).With(errorMetadata, k.name)
		}
	}
	return rpc.ToFault(err)
}

// incoming is what a caller gets for a fault that another region has answered: an error that is both the fault and, where it has a
// name, the port's error. A region that had no time to answer did not answer.
func incoming(f *fault.Error) error {
	if f.Reason == errorsv1.Reason_REASON_DEADLINE_EXCEEDED {
		return fmt.Errorf("%w in time: %w: %w", ErrUnreachable, context.DeadlineExceeded, f)
	}
	if name := f.Metadata[errorMetadata]; name != "" {
		return fmt.Errorf("%w: %w", errorOf(name), f)
	}
	return f
}

// carry is what becomes of an error on its way to another region: the same in both adapters.
func carry(err error) error {
	if err == nil {
		return nil
	}
	return incoming(rpc.ToFault(rpc.ToConnect(outgoing(err))))
}
