package mount

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/rpc"
)

// maxIdempotencyKey is how many characters a key has at the most.
const maxIdempotencyKey = 255

// repetition answers a mutation that is repeated under its idempotency key with what the first call answered.
//
// A stored answer is looked for before the handler runs, and once more before any failure leaves: of two equal calls at the same
// time one commits, and the other must not answer that it could not.
type repetition struct {
	serverSide

	replayer idempotency.Replayer
}

// WrapUnary implements connect.Interceptor.
func (i repetition) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		c := call.From(ctx)
		method, ok := keyedMethod(request.Spec())
		if c == nil || !ok {
			return next(ctx, request)
		}
		operation, err := operationOf(c, request.Spec().Procedure, request.Header(), request.Any())
		if err != nil {
			return nil, err
		}
		if operation == nil {
			return next(ctx, request)
		}
		c.Operation = operation
		return i.once(ctx, c, method, func() (connect.AnyResponse, error) { return next(ctx, request) })
	}
}

// WrapStreamingHandler implements connect.Interceptor. A stream has no one answer to repeat.
func (repetition) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		if _, ok := keyedMethod(conn.Spec()); ok && len(conn.RequestHeader().Values(rpc.HeaderIdempotencyKey)) > 0 {
			return keyFault("a streaming method takes no Idempotency-Key")
		}
		return next(ctx, conn)
	}
}

func (i repetition) once(
	ctx context.Context, c *call.Call, method protoreflect.MethodDescriptor, run func() (connect.AnyResponse, error),
) (connect.AnyResponse, error) {
	response, err := i.replay(ctx, c, method)
	if response != nil || err != nil {
		return response, err
	}
	response, err = run()
	if err == nil {
		if c.Replayed {
			response.Header().Set(rpc.HeaderReplayed, "true")
		}
		return response, nil
	}
	// The caller's deadline may be what failed; a look at the record is still owed, and short.
	won, replayErr := i.replay(context.WithoutCancel(ctx), c, method)
	switch {
	case won != nil:
		return won, nil
	case fault.Is(replayErr, errorsv1.Reason_REASON_IDEMPOTENCY_MISMATCH):
		return nil, replayErr
	default:
		return nil, err
	}
}

// replay returns the stored answer of the call's operation, or nothing.
func (i repetition) replay(ctx context.Context, c *call.Call, method protoreflect.MethodDescriptor) (connect.AnyResponse, error) {
	answer, found, err := i.replayer.Replay(ctx, c)
	if err != nil || !found {
		return nil, err
	}
	message := newMessage(method.Output())
	if err := proto.Unmarshal(answer, message); err != nil {
		return nil, fmt.Errorf("decoding a stored answer of %s: %w", method.FullName(), err)
	}
	c.Replayed = true
	response := connect.NewResponse(&replayed{message})
	response.Header().Set(rpc.HeaderReplayed, "true")
	return response, nil
}

// replayed gives a message whose Go type is not known here to connect.NewResponse, which wants a pointer to a struct. All that
// codecs use is promoted.
type replayed struct{ proto.Message }

func newMessage(descriptor protoreflect.MessageDescriptor) proto.Message {
	if known, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName()); err == nil {
		return known.New().Interface()
	}
	return dynamicpb.NewMessage(descriptor)
}

// keyedMethod returns the method's descriptor if repeating the method does something.
func keyedMethod(spec connect.Spec) (protoreflect.MethodDescriptor, bool) {
	method, ok := spec.Schema.(protoreflect.MethodDescriptor)
	if !ok {
		return nil, false
	}
	return method, residency.MethodPolicyOf(method).Idempotency == policyv1.Idempotency_IDEMPOTENCY_KEYED
}

// operationOf returns nil when the call names no key.
func operationOf(c *call.Call, procedure string, header http.Header, request any) (*call.Operation, error) {
	key, given, err := ParseIdempotencyKey(header)
	if err != nil || !given {
		return nil, err
	}
	message, ok := request.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%w: %T", errNoMessage, request)
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("hashing a request: %w", err)
	}
	caller := "tenant:" + string(c.Tenant)
	if c.Principal.Kind == call.OperatorKey {
		caller = "operator:" + c.Principal.KeyID
	}
	return &call.Operation{
		KeyHash:     hashParts([]byte(caller), []byte(key)),
		RequestHash: hashParts([]byte(procedure), body),
	}, nil
}

// hashParts is SHA-256 over the parts, each behind its length, so that no two lists of parts are the same bytes.
func hashParts(parts ...[]byte) [sha256.Size]byte {
	h := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

var errKeyForm = errors.New("an Idempotency-Key is 1 to 255 visible ASCII characters, given once")

// ParseIdempotencyKey returns the key that a request names, and whether it names one.
func ParseIdempotencyKey(header http.Header) (key string, given bool, err error) {
	values := header.Values(rpc.HeaderIdempotencyKey)
	switch {
	case len(values) == 0:
		return "", false, nil
	case len(values) > 1, len(values[0]) == 0, len(values[0]) > maxIdempotencyKey:
		return "", false, keyFault(errKeyForm.Error())
	}
	for i := range len(values[0]) {
		if c := values[0][i]; c <= ' ' || c > '~' {
			return "", false, keyFault(errKeyForm.Error())
		}
	}
	return values[0], true, nil
}

func keyFault(text string) error {
	f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "%s", text)
	f.Violations = []fault.Violation{{Field: rpc.HeaderIdempotencyKey, Rule: "header", Message: text}}
	return f
}
