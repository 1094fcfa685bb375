// Package edge is the edge as a function of AWS Lambda behind an API Gateway HTTP API: unary calls over REST and Connect come in, are
// decided about, and go on to the services of the region that answers. gRPC and streams, which an HTTP API does not carry, go to
// `domicile serve --role edge`.
//
// A product's function links the Go code of its contracts, and this package finds their services:
//
//	import (
//		"github.com/aws/aws-lambda-go/lambda"
//
//		_ "example.com/acme/gen/acme/billing/v1"
//		"github.com/domicile-api/domicile/lambda/edge"
//	)
//
//	func main() {
//		handler, err := edge.New(edge.FromEnvironment(os.LookupEnv))
//		…
//		lambda.Start(handler.Handle)
//	}
//
// It keeps no data. Tenants are read from the directory's table when they are first asked for, and remembered for two seconds; while
// the table is away, from the copy in the region's bucket. It links no Pebble and no handler of a service, so that it starts fast.
package edge

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/deployment"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/routeheader"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/topology"
)

// lastWord is how long before the function's own time-out a call is given up, so that it gets an answer.
const lastWord = 300 * time.Millisecond

// upstreamTimeout is how long the region that answers may take: less than what a gateway waits, so that it is this bound that a call meets, and
// a write without an answer is said to be of unknown outcome, which the end of the function's own time does not tell.
const upstreamTimeout = 25 * time.Second

// restLimit is for how long the function may not have been called before it trusts its connections no more: it was frozen, and the other end
// may have gone meanwhile. A write on such a connection would be of unknown outcome.
const restLimit = 20 * time.Second

// Handler is the function. Its Handle is what lambda.Start is given.
type Handler struct {
	cfg      Config
	logger   *slog.Logger
	topology *topology.Topology
	region   topology.Index
	names    deployment.Names
	cloud    cloud

	mu   sync.Mutex
	edge http.Handler
	// connections are the edge's; called is when it was last used, by the wall clock, which goes on while the process is frozen.
	connections io.Closer
	called      time.Time
}

// New makes the function of what its environment says. It asks AWS nothing, so that an instance is ready at once.
func New(cfg Config) (*Handler, error) {
	h := &Handler{cfg: cfg}
	h.logger = slog.New(residency.NewLogHandler(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: cfg.LogLevel})))
	var err error
	if h.names, err = deployment.New(cfg.Deployment); err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	if h.topology, err = topology.ReadPacked(cfg.Topology); err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	var ok bool
	if h.region, ok = h.topology.Index(cfg.Region); !ok {
		return nil, fmt.Errorf("edge: the region %q is not in the topology %s", cfg.Region, cfg.Topology)
	}
	if !h.topology.ServicesApart(h.region) {
		return nil, fmt.Errorf("edge: the topology %s gives the region %s no services_endpoint", cfg.Topology, cfg.Region)
	}
	h.cloud = newCloud(cfg)
	return h, nil
}

// Handle answers one call of an HTTP API, payload format 2.0. It returns no error: what goes wrong is an answer to the client.
func (h *Handler) Handle(ctx context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	if deadline, ok := ctx.Deadline(); ok {
		bounded, cancel := context.WithDeadline(ctx, deadline.Add(-lastWord))
		defer cancel()
		ctx = bounded
	}
	r, err := requestOf(ctx, &e)
	if err != nil {
		return h.refuse(nil, fault.Wrap(errorsv1.Reason_REASON_INVALID_ARGUMENT, err, "the request cannot be read")), nil
	}
	serve, err := h.handler(ctx)
	if err != nil {
		h.logger.ErrorContext(ctx, "the edge cannot sign calls", slog.Any("error", err))
		f := fault.Wrap(errorsv1.Reason_REASON_REGION_UNAVAILABLE, err, "the edge is not ready")
		f.RetryAfter = edge.DefaultRetryAfter
		return h.refuse(r, f), nil
	}
	a := newAnswer()
	if err := serveTo(serve, a, r); err != nil {
		f := fault.Wrap(errorsv1.Reason_REASON_REGION_UNAVAILABLE, err, "the answer broke off")
		f.RetryAfter = edge.DefaultRetryAfter
		return h.refuse(r, f), nil
	}
	if !a.fits() {
		return h.refuse(r, fault.New(errorsv1.Reason_REASON_TOO_LARGE,
			"the answer is larger than this entrance can carry; ask for less at a time, or by gRPC")), nil
	}
	return a.event(), nil
}

// refuse makes the answer of a refusal, in the protocol that the call asks in.
func (h *Handler) refuse(r *http.Request, f *fault.Error) events.APIGatewayV2HTTPResponse {
	if r == nil {
		r = &http.Request{Method: http.MethodPost, Header: make(http.Header)}
	}
	a := newAnswer()
	rpc.WriteError(a, r, f)
	return a.event()
}

var errCutOff = errors.New("edge: the connection to the region that answers was cut off")

// serveTo calls a handler that may cut the connection, which a function has not.
func serveTo(serve http.Handler, a *answer, r *http.Request) (err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			err = errCutOff
		default:
			panic(p)
		}
	}()
	serve.ServeHTTP(a, r)
	return nil
}

// handler returns the edge, which is made with the first call: its signing key is read then. A failure is tried again with the next call.
func (h *Handler) handler(ctx context.Context) (http.Handler, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now().Round(0)
	if h.edge != nil {
		if now.Sub(h.called) > restLimit {
			_ = h.connections.Close() // It closes what is idle; new ones are opened as they are needed.
		}
		h.called = now
		return h.edge, nil
	}
	secret, err := h.cloud.secret(ctx, h.names.RouteKey())
	if err != nil {
		return nil, err
	}
	seed, err := deployment.RouteSeed(secret)
	if err != nil {
		return nil, err
	}
	resolver, err := h.resolver()
	if err != nil {
		return nil, err
	}
	made, err := edge.New(edge.Config{
		Region: h.region, Topology: h.topology, Services: routing.Services(), OwnHosts: h.cfg.OwnHosts, Resolver: resolver,
		Apart: true, Local: http.HandlerFunc(elsewhere),
		Signer: h.signer(seed), Clock: time.Now, Logger: h.logger, UpstreamTimeout: upstreamTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("making the edge: %w", err)
	}
	h.edge, h.connections, h.called = rpc.CORS(unary(made)), made, now
	return h.edge, nil
}

// signer signs for calls that go on to services, in the name of the region.
func (h *Handler) signer(seed []byte) *routeheader.Signer {
	key := ed25519.NewKeyFromSeed(seed)
	public, _ := key.Public().(ed25519.PublicKey)
	return routeheader.NewSigner(routeheader.SignerConfig{Region: h.cfg.Region, KeyID: routeheader.KeyID(public), Key: key, Clock: time.Now})
}

// unary refuses what a gateway does not carry: streams, and gRPC, whose status is in the trailers. A call must not be executed whose outcome its
// caller is not told.
func unary(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch rpc.ProtocolOf(r) {
		case rpc.GRPC, rpc.ConnectStream:
			rpc.WriteError(w, r, fault.New(errorsv1.Reason_REASON_UNSUPPORTED, "gRPC and streams are at the region's gRPC endpoint"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// elsewhere answers what is no tenant's, health, and what says that an edge has routed it, which none sends here.
func elsewhere(w http.ResponseWriter, r *http.Request) {
	if len(r.Header[routeheader.Name]) > 0 {
		rpc.WriteError(w, r, fault.New(errorsv1.Reason_REASON_MISROUTED, "the call was not routed to this region's services by an edge"))
		return
	}
	rpc.WriteError(w, r, fault.New(errorsv1.Reason_REASON_UNSUPPORTED, "health, reflection and streams are at the region's gRPC endpoint"))
}
