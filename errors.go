package domicile

import (
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
)

// NewError returns an error that a handler answers with: the reason decides the status in each protocol, and the message is sent to
// the caller. The message says what is wrong in one sentence; it must not repeat what the caller sent, nor hold anything above
// GLOBAL. Any other error of a handler is answered without its text.
func NewError(reason errorsv1.Reason, message string) error {
	return fault.New(reason, "%s", message)
}
