package kms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
)

// Reason says why a KMS key could not be used.
type Reason string

// The reasons.
const (
	// Disabled: someone has disabled the key. Enable it again.
	Disabled Reason = "DISABLED"
	// PendingDeletion: the key is about to be deleted, with all that is wrapped under it. Cancel the deletion, then enable it.
	PendingDeletion Reason = "PENDING_DELETION"
	// BadState: the key is in another state in which KMS does not use it.
	BadState Reason = "BAD_STATE"
	// AccessDenied: the role of this process may not use the key so.
	AccessDenied Reason = "ACCESS_DENIED"
	// NotFound: the region has no such key or alias.
	NotFound Reason = "NOT_FOUND"
	// Unsuitable: it is not a symmetric encryption key of this region alone.
	Unsuitable Reason = "UNSUITABLE"
	// Credentials: there are no valid AWS credentials.
	Credentials Reason = "CREDENTIALS"
	// Throttled: the account's request quota of the region was used up until the deadline.
	Throttled Reason = "THROTTLED"
	// Unavailable: KMS did not answer, or answered that it could not, until the deadline.
	Unavailable Reason = "UNAVAILABLE"
	// Refused: KMS refused the call for a reason that is none of the others; the code says more.
	Refused Reason = "REFUSED"
)

// Temporary tells whether the same call may succeed soon with nothing done about it.
func (r Reason) Temporary() bool { return r == Throttled || r == Unavailable }

// texts say what each reason means to who operates the region.
var texts = map[Reason]string{ //nolint:gochecknoglobals // a constant
	Disabled:        "the key is disabled; enable it",
	PendingDeletion: "the key is about to be deleted; cancel the deletion and enable it",
	BadState:        "the key is in a state in which it cannot be used",
	AccessDenied:    "this process may not use the key so; see its role and the key's policy",
	NotFound:        "there is no such key or alias in the region",
	Unsuitable:      "the key must be a symmetric encryption key of this region alone",
	Credentials:     "there are no valid AWS credentials",
	Throttled:       "the account's KMS requests are throttled",
	Unavailable:     "KMS does not answer",
	Refused:         "KMS refuses the call",
}

// KeyError says that a region's KMS key could not be used. What is sealed under it stays closed until it can be. The text has nothing of
// what was encrypted, nor what KMS wrote: its messages can name what the caller sent.
type KeyError struct {
	Reason Reason
	// Operation is KMS's name of the call, e.g. "Decrypt".
	Operation string
	// Region and Key are those of the configuration.
	Region ident.RegionID
	Key    string
	// Code and RequestID are what AWS can be asked about; empty when there was no answer.
	Code, RequestID string
	// Detail says what is wrong with the key, where the reason does not: GLOBAL.
	Detail string
}

// Error implements error.
func (e *KeyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kms: %s with key %s in %s: %s", e.Operation, e.Key, e.Region, texts[e.Reason])
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Code != "" {
		fmt.Fprintf(&b, " (%s, request %s)", e.Code, e.RequestID)
	}
	return b.String()
}

// failure translates an error of the SDK into seal.ErrCannotOpen, a *KeyError, or that of a context that has ended.
func (k *key) failure(operation string, err error) error {
	e := &KeyError{Operation: operation, Region: k.cfg.Region, Key: k.cfg.Key}
	status := 0
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		e.RequestID, status = response.ServiceRequestID(), response.HTTPStatusCode()
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		e.Code = api.ErrorCode()
		switch e.Code {
		case "InvalidCiphertextException", "IncorrectKeyException":
			return seal.ErrCannotOpen
		}
		e.Reason = reasonOf(api)
		if e.Reason == Refused && status >= http.StatusInternalServerError {
			e.Reason = Unavailable
		}
		return e
	}
	if _, ok := errors.AsType[*credentialsError](err); ok {
		e.Reason = Credentials
		return e
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("kms: %s with key %s in %s: %w", operation, e.Key, e.Region, context.Canceled)
	}
	// Whatever is left had no answer that could be read: no connection, one that was lost, one that was too slow.
	e.Reason = Unavailable
	return e
}

// throttles are the codes by which AWS services throttle, as the SDK knows them, and KMS's own.
var throttles = map[string]struct{}{ //nolint:gochecknoglobals // a constant
	"ThrottlingException": {}, "Throttling": {}, "ThrottledException": {}, "RequestThrottled": {}, "RequestThrottledException": {},
	"TooManyRequestsException": {}, "RequestLimitExceeded": {}, "SlowDown": {}, "LimitExceededException": {},
}

// reasonOf maps what KMS answers (KMS API reference, "Common Errors" and those of Encrypt, Decrypt and DescribeKey).
func reasonOf(api smithy.APIError) Reason {
	if _, ok := throttles[api.ErrorCode()]; ok {
		return Throttled
	}
	switch api.ErrorCode() {
	case "DisabledException":
		return Disabled
	case "KMSInvalidStateException":
		// The state is in the message alone.
		if strings.Contains(api.ErrorMessage(), "pending deletion") {
			return PendingDeletion
		}
		return BadState
	case "AccessDeniedException":
		return AccessDenied
	case "NotFoundException":
		return NotFound
	case "InvalidKeyUsageException", "InvalidArnException":
		return Unsuitable
	case "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException", "ExpiredToken", "InvalidSignatureException",
		"SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
		"RequestExpired", "OptInRequired", "NotAuthorized":
		return Credentials
	case "DependencyTimeoutException", "KMSInternalException", "KeyUnavailableException", "InternalFailure", "InternalError",
		"ServiceUnavailable", "ServiceUnavailableException", "RequestTimeout", "RequestTimeoutException":
		return Unavailable
	}
	return Refused
}

// credentials marks the failures of a provider, so that they are told from those of the network.
type credentials struct{ aws.CredentialsProvider }

// Retrieve implements aws.CredentialsProvider.
func (c credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	found, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return found, &credentialsError{err}
	}
	return found, nil
}

type credentialsError struct{ error }

func (e *credentialsError) Unwrap() error { return e.error }
