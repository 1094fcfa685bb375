package lambdahost

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrThrottled says that as many invocations are under way as the function may have at once; Lambda answers TooManyRequestsException.
var ErrThrottled = errors.New("lambdahost: the function has as many invocations under way as it may")

// ErrClosed says that the function was closed, before the invocation or during it.
var ErrClosed = errors.New("lambdahost: the function is closed")

// ErrNotJSON says that an event is no JSON, which Lambda answers with InvalidRequestContentException.
var ErrNotJSON = errors.New("lambdahost: the event is not valid JSON")

// TooLargeError says that an event is larger than Lambda takes; it answers RequestEntityTooLargeException, status 413. The function has
// not been called.
type TooLargeError struct {
	// Bytes is the size of the event, Limit the most that Lambda takes.
	Bytes, Limit int
}

// Error implements error.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("lambdahost: an event of %d bytes; at most %d", e.Bytes, e.Limit)
}

// Cause says why an invocation failed.
type Cause int

const (
	// Handled is an error that the function returned, or a panic that its runtime reported.
	Handled Cause = iota + 1
	// TimedOut says that the function had not answered when its time was over; the instance was killed.
	TimedOut
	// OutOfMemory says that the instance took more memory than the function has; it was killed.
	OutOfMemory
	// Exited says that the instance ended before it answered.
	Exited
	// InitFailed says that no instance came as far as asking for its first event.
	InitFailed
	// AnswerTooLarge says that the answer was larger than Lambda takes.
	AnswerTooLarge
)

// String implements fmt.Stringer.
func (c Cause) String() string {
	switch c {
	case Handled:
		return "function error"
	case TimedOut:
		return "time-out"
	case OutOfMemory:
		return "out of memory"
	case Exited:
		return "exit"
	case InitFailed:
		return "init failed"
	case AnswerTooLarge:
		return "answer too large"
	default:
		return fmt.Sprintf("Cause(%d)", int(c))
	}
}

// FunctionError says that the function was called and failed: what Lambda answers with the header X-Amz-Function-Error.
type FunctionError struct {
	// Cause is what happened.
	Cause Cause
	// RequestID is the invocation's.
	RequestID string
	// Type is the errorType, as "errorString" or "Runtime.ExitError", Message the errorMessage.
	Type, Message string
	// StackTrace is the stackTrace as the runtime gave it, nil if it gave none.
	StackTrace json.RawMessage
}

// Error implements error.
func (e *FunctionError) Error() string {
	return fmt.Sprintf("lambdahost: %s: %s: %s", e.Cause, e.Type, e.Message)
}

// unhandled is a failure that the host has seen, in Lambda's words.
func unhandled(cause Cause, requestID, errorType, message string) *FunctionError {
	return &FunctionError{
		Cause: cause, RequestID: requestID, Type: errorType, Message: fmt.Sprintf("RequestId: %s Error: %s", requestID, message),
	}
}

// reported reads the body of a runtime's POST to …/error; what is no JSON becomes the message.
func reported(cause Cause, requestID, header string, body []byte) *FunctionError {
	e := &FunctionError{Cause: cause, RequestID: requestID, Type: header}
	var report struct {
		Type       string          `json:"errorType"`    //nolint:tagliatelle // Lambda's name
		Message    string          `json:"errorMessage"` //nolint:tagliatelle // Lambda's name
		StackTrace json.RawMessage `json:"stackTrace"`   //nolint:tagliatelle // Lambda's name
	}
	if err := json.Unmarshal(body, &report); err != nil {
		e.Message = string(body)
		return e
	}
	if report.Type != "" {
		e.Type = report.Type
	}
	e.Message, e.StackTrace = report.Message, report.StackTrace
	return e
}
