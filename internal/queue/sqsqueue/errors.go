package sqsqueue

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/domicile-api/domicile/internal/queue"
)

// SchemaError says that a queue is not there, or not as the port needs it.
type SchemaError struct {
	// Queue is the queue's name or URL.
	Queue string
	// Problem is what is wrong, Remedy what to do.
	Problem, Remedy string
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("sqsqueue: the queue %s %s: %s", e.Queue, e.Problem, e.Remedy)
}

// kind is what an error of SQS is to the port.
type kind int

const (
	other kind = iota
	missing
	denied
	throttled
	unavailable
	tooLarge
	overLimit
	stale
	invalid
)

// kindOf tells what a code of SQS means. A protocol may put something before or behind it; SQS itself, its older protocol, the exceptions
// of the SDK's model and of the key service have different names for some.
func kindOf(code string) kind {
	code, _, _ = strings.Cut(code, ";") // "code;Sender"
	switch code[strings.LastIndexAny(code, ".#")+1:] {
	case "NonExistentQueue", "QueueDoesNotExist", "QueueDeletedRecently":
		return missing
	case "AccessDenied", "AccessDeniedException", "InvalidSecurity",
		"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException",
		"ExpiredToken", "ExpiredTokenException", "RequestExpired", "MissingAuthenticationToken", "IncompleteSignature", "NotAuthorized",
		"KmsAccessDenied", "KmsDisabled", "KmsInvalidKeyUsage", "KmsInvalidState", "KmsNotFound", "KmsOptInRequired",
		"DisabledException", "InvalidKeyUsageException", "InvalidStateException", "NotFoundException", "OptInRequired":
		return denied
	case "RequestThrottled", "KmsThrottled", "ThrottlingException", "Throttling":
		return throttled
	case "BatchRequestTooLong":
		return tooLarge
	case "OverLimit":
		return overLimit
	case "ReceiptHandleIsInvalid", "MessageNotInflight":
		return stale
	case "InvalidParameterValue", "InvalidParameterValueException", "InvalidMessageContents",
		"MissingParameter", "MissingRequiredParameterException", "InvalidIdFormat":
		return invalid
	default:
		return other
	}
}

// failure makes the port's error of the failure of a call as a whole. Its text has nothing that SQS wrote but the code: SQS repeats what it
// was sent.
func (q *Queue) failure(call string, err error) error {
	if _, ok := errors.AsType[*credentialsError](err); ok {
		return fmt.Errorf("%s: %w: there are no valid AWS credentials", call, queue.ErrDenied)
	}
	api, answered := errors.AsType[smithy.APIError](err)
	if !answered {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%s: %w", call, err)
		}
		// No connection, one that was lost, one that was too slow, or no answer that could be read.
		return fmt.Errorf("%s: %w: %w", call, queue.ErrUnavailable, err)
	}
	k, request := kindOf(api.ErrorCode()), ""
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		request = response.ServiceRequestID()
		if status := response.HTTPStatusCode(); k == other && (status >= http.StatusInternalServerError || status == http.StatusTooManyRequests) {
			k = unavailable
		}
	}
	if k == missing {
		return fmt.Errorf("%s: %w", call, q.refused("does not exist", remedyDeploy))
	}
	return fmt.Errorf("%s: %w (%s, request %s)", call, sentinel(k), api.ErrorCode(), request)
}

// errRefused says that SQS refused a call for a reason of which the port does not know.
var errRefused = errors.New("sqsqueue: refused")

// sentinel returns the port's error.
func sentinel(k kind) error {
	switch k {
	case denied:
		return queue.ErrDenied
	case throttled, unavailable:
		return queue.ErrUnavailable
	case tooLarge:
		return queue.ErrTooLarge
	case overLimit:
		return queue.ErrFull
	case invalid:
		return queue.ErrInvalid
	case stale:
		return queue.ErrStale
	default:
		return errRefused
	}
}

// entryError makes the port's error of the failure of an entry of a batch.
func entryError(k kind, e types.BatchResultErrorEntry) error {
	if k == other && !e.SenderFault {
		k = unavailable
	}
	return fmt.Errorf("%w (%s)", sentinel(k), aws.ToString(e.Code))
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
