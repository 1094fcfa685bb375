// Package mount puts services on a region's port: codecs, interceptors, REST transcoding, health and reflection. It is the package
// that knows Vanguard, and Connect's handlers, by their traps.
//
// What it promises, beside what package rpc does:
//
//   - Connect (JSON, binary and GET), gRPC, gRPC-Web and REST are answered on one port by the same handlers behind the same
//     interceptors. A request that does not decode reaches no handler in any of them.
//   - JSON is strict: unknown fields are refused. Unknown fields of binary messages are dropped before a handler sees them.
//   - What fails behind the interceptors is mapped to its code in one place, by package rpc's errors.go.
package mount

import (
	"errors"
	"net/http"
	"strings"

	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/rpc"
)

// HandlerConfig is what a region's services are mounted with.
type HandlerConfig struct {
	// Region answers; Release is the build that it runs.
	Region  ident.RegionID
	Release string
	// Mounts are the services, their handlers made with HandlerOptions.
	Mounts []Mount
	// Guard lets in only what an edge has routed here. Required.
	Guard func(http.Handler) http.Handler
	// Health answers the gRPC health service; nil: all mounted services are serving.
	Health grpchealth.Checker
	// MaxBytes bounds a request's message; zero: rpc.DefaultMaxBytes. It is the same as the handlers'.
	MaxBytes int
}

var errNoGuard = errors.New("mount: services without a guard are not mounted")

// NewHandler returns what answers a region's calls: the services over Connect, gRPC, gRPC-Web and REST behind the guard, and beside it the
// gRPC health and reflection services, which know nothing of tenants.
func NewHandler(cfg HandlerConfig) (http.Handler, error) {
	if cfg.Guard == nil {
		return nil, errNoGuard
	}
	rest, err := newREST(cfg.Mounts, Config{MaxBytes: cfg.MaxBytes}.maxBytes())
	if err != nil {
		return nil, err
	}
	services := mounted{services: make(map[string]http.Handler, len(cfg.Mounts)), rest: rest}
	names := make([]string, 0, len(cfg.Mounts)+1)
	for _, m := range cfg.Mounts {
		services.services[m.ServiceName()] = m.Handler
		names = append(names, m.ServiceName())
	}

	checker := cfg.Health
	if checker == nil {
		checker = grpchealth.NewStaticChecker(names...)
	}
	reflector := grpcreflect.NewStaticReflector(append(names, grpchealth.HealthV1ServiceName)...)

	mux := http.NewServeMux()
	handle := func(path string, handler http.Handler) { mux.Handle(path, rpc.Answers(handler)) }
	handle(grpchealth.NewHandler(checker))
	handle(grpcreflect.NewHandlerV1(reflector))
	handle(grpcreflect.NewHandlerV1Alpha(reflector))
	guarded := cfg.Guard(rpc.Answers(services))
	route := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux redirects paths that are not clean, and repeats them in doing so: it gets none.
		if rpc.IsInfrastructure(r.URL.Path) {
			mux.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
	return withRegion(route, string(cfg.Region), cfg.Release), nil
}

// mounted finds a service by the first segment of the path, "/package.Service/Method", without an allocation; what is no service's is
// REST.
type mounted struct {
	services map[string]http.Handler
	rest     http.Handler
}

// ServeHTTP implements http.Handler.
func (m mounted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, _, more := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if service, ok := m.services[name]; ok && more {
		service.ServeHTTP(w, r)
		return
	}
	m.rest.ServeHTTP(w, r)
}
