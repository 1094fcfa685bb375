package rpc

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/store"
)

// Domain is the domain of every ErrorInfo.
const Domain = "domicile.dev"

// metadataHome is the metadata key whose value is also sent as HeaderHome.
const metadataHome = "home_region"

// policy is what follows from a reason, as the contract says it.
type policy struct {
	name   string
	status int
	code   connect.Code
	advice string
}

// policies is read from the contract's descriptor with the first error; the index is the reason's number.
var policies = sync.OnceValue(readPolicies) //nolint:gochecknoglobals // an immutable table

func readPolicies() []policy {
	values := errorsv1.Reason_REASON_UNSPECIFIED.Descriptor().Values()
	table := make([]policy, values.Len())
	for i := range values.Len() {
		v := values.Get(i)
		options, ok := v.Options().(*descriptorpb.EnumValueOptions)
		if !ok || int(v.Number()) >= len(table) {
			continue
		}
		p, ok := proto.GetExtension(options, errorsv1.E_ReasonPolicy).(*errorsv1.ReasonPolicy)
		if !ok || p == nil {
			continue
		}
		table[v.Number()] = policy{
			name:   strings.TrimPrefix(string(v.Name()), "REASON_"),
			status: int(p.GetHttpStatus()),
			code:   connect.Code(uint32(p.GetCode())), //nolint:gosec // a code of the contract, 1 to 16
			advice: p.GetAdvice(),
		}
	}
	return table
}

// policyOf returns what follows from a reason; an unknown one is an internal error.
func policyOf(reason errorsv1.Reason) policy {
	table := policies()
	if reason > 0 && int(reason) < len(table) && table[reason].name != "" {
		return table[reason]
	}
	return table[errorsv1.Reason_REASON_INTERNAL]
}

// HTTPStatus returns the status that a reason has over REST and Connect.
func HTTPStatus(reason errorsv1.Reason) int { return policyOf(reason).status }

// ReasonName returns how a reason is called in an ErrorInfo, e.g. "NOT_FOUND".
func ReasonName(reason errorsv1.Reason) string { return policyOf(reason).name }

// ToFault finds the reason of any error. The text of an error that is not a fault is never sent: it becomes the cause of a
// fault with a text of its own.
func ToFault(err error) *fault.Error {
	var (
		typed     *fault.Error
		oversized *http.MaxBytesError
		coded     *connect.Error
	)
	switch {
	case errors.As(err, &typed):
		if typed.Reason == errorsv1.Reason_REASON_UNSPECIFIED {
			return internalFault(err)
		}
		return typed
	case errors.Is(err, store.ErrFull):
		return fault.Wrap(errorsv1.Reason_REASON_STORAGE_FULL, err, "the region's storage is full; reads go on")
	case errors.Is(err, store.ErrTooLarge):
		return fault.Wrap(errorsv1.Reason_REASON_TOO_LARGE, err, "what the call would store is larger than is allowed")
	case errors.As(err, &oversized):
		return TooLarge(oversized.Limit)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fault.Wrap(errorsv1.Reason_REASON_DEADLINE_EXCEEDED, err, "the call's deadline passed or its caller went away")
	case errors.Is(err, store.ErrUnavailable):
		f := fault.Wrap(errorsv1.Reason_REASON_REGION_UNAVAILABLE, err, "the region's storage does not answer")
		f.RetryAfter = unavailableRetry
		return f
	case errors.As(err, &coded):
		return codedFault(coded)
	default:
		return internalFault(err)
	}
}

// unavailableRetry is what a client is told to wait while the region's storage does not answer.
const unavailableRetry = 2 * time.Second

// TooLarge is the refusal of a request beyond a limit in bytes.
func TooLarge(limit int64) *fault.Error {
	f := fault.New(errorsv1.Reason_REASON_TOO_LARGE, "the request is larger than is allowed")
	if limit > 0 {
		f = f.With("limit_bytes", strconv.FormatInt(limit, 10))
	}
	return f
}

func internalFault(cause error) *fault.Error {
	return fault.Wrap(errorsv1.Reason_REASON_INTERNAL, cause, "an internal error")
}

// codedReasons gives a reason to the codes with which a handler, or the library under it, can fail. Codes that are not listed are
// internal errors.
//
//nolint:gochecknoglobals // an immutable table
var codedReasons = map[connect.Code]errorsv1.Reason{
	connect.CodeCanceled:           errorsv1.Reason_REASON_DEADLINE_EXCEEDED,
	connect.CodeInvalidArgument:    errorsv1.Reason_REASON_INVALID_ARGUMENT,
	connect.CodeDeadlineExceeded:   errorsv1.Reason_REASON_DEADLINE_EXCEEDED,
	connect.CodeNotFound:           errorsv1.Reason_REASON_NOT_FOUND,
	connect.CodeAlreadyExists:      errorsv1.Reason_REASON_ALREADY_EXISTS,
	connect.CodePermissionDenied:   errorsv1.Reason_REASON_PERMISSION_DENIED,
	connect.CodeResourceExhausted:  errorsv1.Reason_REASON_TOO_LARGE,
	connect.CodeFailedPrecondition: errorsv1.Reason_REASON_INVALID_ARGUMENT,
	connect.CodeAborted:            errorsv1.Reason_REASON_ETAG_MISMATCH,
	connect.CodeOutOfRange:         errorsv1.Reason_REASON_INVALID_ARGUMENT,
	connect.CodeUnimplemented:      errorsv1.Reason_REASON_VERSION_UNAVAILABLE,
	connect.CodeUnavailable:        errorsv1.Reason_REASON_OVERLOADED,
	connect.CodeUnauthenticated:    errorsv1.Reason_REASON_CREDENTIAL_INVALID,
}

// codedTexts are what a caller reads when only a code is known.
//
//nolint:gochecknoglobals // an immutable table
var codedTexts = map[errorsv1.Reason]string{
	errorsv1.Reason_REASON_DEADLINE_EXCEEDED:   "the call's deadline passed or its caller went away",
	errorsv1.Reason_REASON_INVALID_ARGUMENT:    "the request is not valid",
	errorsv1.Reason_REASON_NOT_FOUND:           "there is no such entity",
	errorsv1.Reason_REASON_ALREADY_EXISTS:      "the entity is there already",
	errorsv1.Reason_REASON_PERMISSION_DENIED:   "the credential does not allow this call",
	errorsv1.Reason_REASON_TOO_LARGE:           "the request is larger than is allowed",
	errorsv1.Reason_REASON_ETAG_MISMATCH:       "the entity has changed",
	errorsv1.Reason_REASON_VERSION_UNAVAILABLE: "there is no such path or method",
	errorsv1.Reason_REASON_OVERLOADED:          "the region has more work than it can do",
	errorsv1.Reason_REASON_CREDENTIAL_INVALID:  "the credential is not valid",
	errorsv1.Reason_REASON_UNSUPPORTED:         "the path does not take this HTTP method or content type",
}

// codedFault keeps the reason of an error that already has one, e.g. from a call to another service of the platform, and else
// takes the one that fits its code.
func codedFault(err *connect.Error) *fault.Error {
	if info := infoOf(err); info != nil {
		if number, ok := errorsv1.Reason_value["REASON_"+info.GetReason()]; ok {
			return &fault.Error{
				Reason: errorsv1.Reason(number), Message: err.Message(), Metadata: info.GetMetadata(),
				Violations: violationsOf(err), Cause: err.Unwrap(),
			}
		}
	}
	reason, ok := codedReasons[err.Code()]
	if !ok {
		return internalFault(err)
	}
	return fault.Wrap(reason, err, "%s", codedTexts[reason])
}

// ToConnect returns what is sent for an error: its reason's code, its text, and the details that every protocol carries.
func ToConnect(err error) *connect.Error {
	f := ToFault(err)
	p := policyOf(f.Reason)
	text := f.Message
	if text == "" {
		text = codedTexts[f.Reason]
	}
	out := connect.NewError(p.code, errors.New(text))
	addDetail(out, &errdetails.ErrorInfo{Domain: Domain, Reason: p.name, Metadata: f.Metadata})
	if len(f.Violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range f.Violations {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: v.Field, Description: v.Message, Reason: v.Rule,
			})
		}
		addDetail(out, bad)
	}
	if f.RetryAfter > 0 {
		addDetail(out, &errdetails.RetryInfo{RetryDelay: durationpb.New(f.RetryAfter)})
		out.Meta().Set(headerRetryAfter, strconv.FormatInt(seconds(f.RetryAfter), 10))
	}
	if home := f.Metadata[metadataHome]; home != "" {
		out.Meta().Set(HeaderHome, home)
	}
	if p.status == http.StatusUnauthorized {
		out.Meta().Set(headerAuthenticate, `Bearer realm="domicile"`)
	}
	return out
}

func addDetail(out *connect.Error, message proto.Message) {
	// It fails only for a message that cannot be marshalled, which invalid UTF-8 in a text of ours would be.
	if detail, err := connect.NewErrorDetail(message); err == nil {
		out.AddDetail(detail)
	}
}

// seconds rounds up: a caller that waits as told must not be early.
func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }
