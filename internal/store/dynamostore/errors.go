package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/domicile-api/domicile/internal/store"
)

// SchemaError says that a table is not as this release needs it. Nothing took effect.
type SchemaError struct {
	Table string
	// Problem is what is wrong: the table is missing, has other keys, …
	Problem string
	// Err is what DynamoDB answered; nil when it described the table.
	Err error
}

// Error says what is wrong and what to do.
func (e *SchemaError) Error() string {
	return fmt.Sprintf("dynamostore: the table %s %s: deploy the infrastructure of this release to this region, then start again", e.Table, e.Problem)
}

// Unwrap returns what DynamoDB answered.
func (e *SchemaError) Unwrap() error { return e.Err }

// AccessError says that AWS did not let the process in: its role lacks a permission, or its credentials are absent, expired or wrong.
// Nothing took effect.
type AccessError struct {
	Table string
	// Code is AWS's name of the error; "" when no request could be signed.
	Code string
	Err  error
}

// Error says what was refused and what to look at.
func (e *AccessError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("dynamostore: no request to the table %s could be signed; look at the credentials of this process: %v", e.Table, e.Err)
	}
	return fmt.Sprintf("dynamostore: access to the table %s was refused (%s); look at the role and the credentials of this process: %v",
		e.Table, e.Code, e.Err)
}

// Unwrap returns what AWS or the SDK said, and store.ErrUnavailable.
func (e *AccessError) Unwrap() []error { return []error{e.Err, store.ErrUnavailable} }

// UnavailableError says that DynamoDB gave no final answer in the time there was: it throttled, had conflicts or an internal error, or the
// connection was lost.
type UnavailableError struct {
	// Op is what was asked, and Table of what.
	Op, Table string
	// Attempts is how often it was asked, and Elapsed how long all of that took.
	Attempts int
	Elapsed  time.Duration
	// OutcomeUnknown is set when a commit may have taken effect. When it is not set, nothing did.
	OutcomeUnknown bool
	// Err is what was said last.
	Err error
	// Ended is the error of the context that ended; nil when the store's own time was up.
	Ended error
}

// Error says what was tried and whether something may have taken effect.
func (e *UnavailableError) Error() string {
	outcome := "nothing took effect"
	if e.OutcomeUnknown {
		outcome = "it is not known whether it took effect"
	}
	return fmt.Sprintf("dynamostore: %s on the table %s had no final answer in %d attempts and %v, %s: %v",
		e.Op, e.Table, e.Attempts, e.Elapsed.Round(time.Millisecond), outcome, e.Err)
}

// Unwrap returns what was said last, store.ErrUnavailable, and the context's error.
func (e *UnavailableError) Unwrap() []error {
	if e.Ended == nil {
		return []error{e.Err, store.ErrUnavailable}
	}
	return []error{e.Err, store.ErrUnavailable, e.Ended}
}

// verdict is what one answer means for the attempts that follow.
type verdict uint8

const (
	// final: asking again would be answered the same.
	final verdict = iota
	// nothing: the request took no effect and may be made again.
	nothing
	// unknown: the request may have taken effect.
	unknown
)

// judge tells what a failed attempt means.
func judge(err error) verdict {
	if canceled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		return judgeReasons(canceled.CancellationReasons)
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return judgeCode(api.ErrorCode(), status(err))
	}
	if sent, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return judgeConnection(sent)
	}
	_, answered := errors.AsType[*smithyhttp.ResponseError](err)
	_, garbled := errors.AsType[*smithy.DeserializationError](err)
	_, cut := errors.AsType[*smithy.CanceledError](err)
	if answered || garbled || cut || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return unknown
	}
	return final // It was not sent.
}

// judgeReasons judges a canceled transaction. One that has conflicts as well as failed conditions is asked again: its conditions may
// have been judged against an item that another transaction was about to change.
func judgeReasons(reasons []types.CancellationReason) verdict {
	for _, r := range reasons {
		switch code(r) {
		case "TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError", "RequestLimitExceeded":
			return nothing
		}
	}
	return final
}

func judgeCode(code string, status int) verdict {
	switch code {
	case "ProvisionedThroughputExceededException", "ThrottlingException", "Throttling", "RequestLimitExceeded", "LimitExceededException",
		"TooManyRequestsException", "SlowDown", "TransactionConflictException", "ReplicatedWriteConflictException":
		return nothing
	case "TransactionInProgressException", "InternalServerError", "InternalServerErrorException", "InternalFailure", "ServiceUnavailable",
		"ServiceUnavailableException", "RequestTimeout", "RequestTimeoutException":
		return unknown
	}
	if status >= http.StatusInternalServerError {
		return unknown
	}
	return final
}

// judgeConnection tells a connection that was never made from one that was lost.
func judgeConnection(err error) verdict {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return nothing
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return nothing
	}
	return unknown
}

// status is the HTTP status of an error's answer; 0 when it had none.
func status(err error) int {
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return answer.HTTPStatusCode()
	}
	return 0
}

// explain gives a final error the type by which callers decide, and says what was being done.
func (s *Store) explain(op string, err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return s.explainLocal(op, err)
	}
	switch code := api.ErrorCode(); {
	case slices.Contains(accessCodes(), code):
		return &AccessError{Table: s.cfg.Table, Code: code, Err: err}
	case code == "ResourceNotFoundException", code == "TableNotFoundException":
		return &SchemaError{Table: s.cfg.Table, Problem: "does not exist, or is not ready", Err: err}
	case code == "ItemCollectionSizeLimitExceededException":
		return fmt.Errorf("%w: %s: %w", store.ErrFull, op, err)
	case code == "IdempotentParameterMismatchException":
		return fmt.Errorf("%w: the token names another commit: %w", store.ErrInvalid, err)
	case code == "ValidationException" || code == "ValidationError":
		return s.explainInvalid(op, api)
	case status(err) == http.StatusRequestEntityTooLarge, code == "RequestEntityTooLarge":
		return fmt.Errorf("%w: %s: %w", store.ErrTooLarge, op, err)
	default:
		return fmt.Errorf("dynamostore: %s on the table %s: %w", op, s.cfg.Table, err)
	}
}

func accessCodes() []string {
	return []string{
		"AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException", "ExpiredToken",
		"InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignatureException", "IncompleteSignature", "NotAuthorized",
		"MissingAuthenticationTokenException", "MissingAuthenticationToken", "OptInRequired",
	}
}

// explainLocal explains what went wrong before anything was sent.
func (s *Store) explainLocal(op string, err error) error {
	if strings.Contains(err.Error(), "get identity: ") || strings.Contains(err.Error(), "sign request: ") {
		return &AccessError{Table: s.cfg.Table, Err: err} // The SDK has no type for it.
	}
	return fmt.Errorf("dynamostore: %s on the table %s: %w", op, s.cfg.Table, err)
}

// explainInvalid explains what DynamoDB calls a validation error. Its text is the only thing that tells one from another.
func (s *Store) explainInvalid(op string, err smithy.APIError) error {
	switch text := strings.ToLower(err.ErrorMessage()); {
	case strings.Contains(text, "size") && (strings.Contains(text, "exceed") || strings.Contains(text, "maximum")),
		strings.Contains(text, "more than 4 mb"):
		return fmt.Errorf("%w: %s: %w", store.ErrTooLarge, op, err)
	case strings.Contains(text, "does not match the schema"), strings.Contains(text, "type mismatch for key"), strings.Contains(text, "missing the key"):
		return &SchemaError{Table: s.cfg.Table, Problem: "has other keys", Err: err}
	default:
		return fmt.Errorf("%w: %s: %w", store.ErrInvalid, op, err)
	}
}

// code is a cancellation reason's code; "None" for an operation that was fine.
func code(r types.CancellationReason) string {
	if r.Code == nil {
		return "None"
	}
	return *r.Code
}
