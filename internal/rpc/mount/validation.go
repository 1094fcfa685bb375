package mount

import (
	"context"
	"fmt"

	"buf.build/go/protovalidate"
	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// validation refuses requests that break the contract's rules. It is not connectrpc.com/validate, whose errors carry what
// protovalidate prints of a violation as a whole.
type validation struct {
	serverSide

	validator protovalidate.Validator
}

func newValidation() (validation, error) {
	validator, err := protovalidate.New()
	if err != nil {
		return validation{}, fmt.Errorf("building the validator: %w", err)
	}
	return validation{validator: validator}, nil
}

// WrapUnary implements connect.Interceptor.
func (v validation) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if err := v.validate(request.Any()); err != nil {
			return nil, err
		}
		return next(ctx, request)
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (v validation) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		return next(ctx, validatingConn{conn, v})
	}
}

func (v validation) validate(message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%w: %T", errNoMessage, message)
	}
	return v.validator.Validate(m) //nolint:wrapcheck // mapping knows its type
}

// validatingConn validates each message that a stream receives.
type validatingConn struct {
	connect.StreamingHandlerConn

	validation validation
}

// Receive implements connect.StreamingHandlerConn.
func (c validatingConn) Receive(message any) error {
	if err := c.StreamingHandlerConn.Receive(message); err != nil {
		return err //nolint:wrapcheck // io.EOF among them
	}
	return c.validation.validate(message)
}
