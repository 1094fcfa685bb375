package app

import (
	"fmt"
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/internal/rpc/mount"
)

// register makes a service's handler. A service whose handler was made without the Runtime's options would answer without asking for
// a credential: it is refused.
func register(s domicile.Service, rt domicile.Runtime, known []protoreflect.ServiceDescriptor) (mount.Mount, error) {
	used := &witness{}
	rt.HandlerOptions = append(slices.Clip(rt.HandlerOptions), connect.WithInterceptors(used))
	path, handler, err := s.Register(rt)
	if err != nil {
		return mount.Mount{}, fmt.Errorf("registering service %s: %w", s.Name, err)
	}
	m := mount.Mount{Path: path, Handler: handler}
	i := slices.IndexFunc(known, func(d protoreflect.ServiceDescriptor) bool { return string(d.FullName()) == m.ServiceName() })
	if i < 0 {
		return m, fmt.Errorf("registering service %s: %q is not the path of a service whose methods all have a route", s.Name, path)
	}
	if used.methods != known[i].Methods().Len() {
		return m, fmt.Errorf("registering service %s: its handler was made without the Runtime's HandlerOptions", s.Name)
	}
	return m, nil
}

// witness counts the methods that a handler is made for with it. It changes nothing.
type witness struct{ methods int }

// WrapUnary is called once for each unary method when a handler is made.
func (w *witness) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	w.methods++
	return next
}

// WrapStreamingClient is never called for a handler.
func (w *witness) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler is called once for each streaming method when a handler is made.
func (w *witness) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	w.methods++
	return next
}
