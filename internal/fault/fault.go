// Package fault has the platform's typed error: a reason of the closed list in proto/domicile/errors/v1, a text that is safe
// to send, and the cause, which is for logs only.
//
// A fault's message, metadata and violations never carry a class above GLOBAL and never echo what the caller sent. What is
// wrapped as Cause is never sent.
package fault

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
)

// Error is a refusal or failure with a reason.
type Error struct {
	// Reason decides the status in each protocol.
	Reason errorsv1.Reason
	// Message is one sentence for the caller: what is wrong, not what was sent.
	Message string
	// Metadata goes into the ErrorInfo detail, e.g. home_region. GLOBAL values only.
	Metadata map[string]string
	// Violations go into a BadRequest detail.
	Violations []Violation
	// RetryAfter is sent as Retry-After, rounded up to seconds; zero: not sent.
	RetryAfter time.Duration
	// Cause is what went wrong underneath. It is logged and never sent.
	Cause error
}

// Violation names a field that breaks the contract.
type Violation struct {
	// Field is the path of the field, e.g. "user.email".
	Field string
	// Rule is the id of the broken rule, e.g. "string.email".
	Rule string
	// Message says what the rule wants.
	Message string
}

// Error returns the reason and the message, and the cause when there is one.
func (e *Error) Error() string {
	text := Name(e.Reason) + ": " + e.Message
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New returns a fault with a constant or GLOBAL-only text.
func New(reason errorsv1.Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns a fault that has a cause.
func Wrap(reason errorsv1.Reason, cause error, format string, args ...any) *Error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// With returns a copy that has one more metadata entry. The value must be GLOBAL.
func (e *Error) With(key, value string) *Error {
	c := *e
	c.Metadata = make(map[string]string, len(e.Metadata)+1)
	maps.Copy(c.Metadata, e.Metadata)
	c.Metadata[key] = value
	return &c
}

// ReasonOf returns the reason of the first fault in err's chain; REASON_UNSPECIFIED if there is none.
func ReasonOf(err error) errorsv1.Reason {
	if f, ok := errors.AsType[*Error](err); ok {
		return f.Reason
	}
	return errorsv1.Reason_REASON_UNSPECIFIED
}

// Is tells whether err's chain has a fault of that reason.
func Is(err error, reason errorsv1.Reason) bool { return err != nil && ReasonOf(err) == reason }

// Name returns a reason as it is sent, e.g. "WRONG_REGION"; empty for REASON_UNSPECIFIED.
func Name(reason errorsv1.Reason) string {
	if reason == errorsv1.Reason_REASON_UNSPECIFIED {
		return ""
	}
	return strings.TrimPrefix(reason.String(), "REASON_")
}
