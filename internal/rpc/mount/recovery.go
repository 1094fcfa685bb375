package mount

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"

	"connectrpc.com/connect"
)

// panicError is a handler's panic. What was thrown may hold anything, so only its type is kept, and the text of an error of the Go
// runtime, which has none of a caller's data.
type panicError struct {
	text  string
	stack []byte
}

// Error implements error.
func (e *panicError) Error() string { return e.text }

func recovered(thrown any) error {
	e := &panicError{text: fmt.Sprintf("panic of type %T", thrown), stack: debug.Stack()}
	var fromRuntime runtime.Error
	if err, ok := thrown.(error); ok && errors.As(err, &fromRuntime) {
		e.text = "panic: " + fromRuntime.Error()
	}
	return e
}

// recovery turns a panic of a handler into an error. http.ErrAbortHandler goes on: it is how a handler cuts a connection.
type recovery struct{ serverSide }

// WrapUnary implements connect.Interceptor.
func (recovery) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (response connect.AnyResponse, err error) {
		defer func() {
			if thrown := recover(); thrown != nil {
				response, err = nil, rethrowAbort(thrown)
			}
		}()
		return next(ctx, request)
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (recovery) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) (err error) {
		defer func() {
			if thrown := recover(); thrown != nil {
				err = rethrowAbort(thrown)
			}
		}()
		return next(ctx, conn)
	}
}

func rethrowAbort(thrown any) error {
	if err, ok := thrown.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(thrown)
	}
	return recovered(thrown)
}
