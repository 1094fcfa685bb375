package peer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"connectrpc.com/connect"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/gen/domicile/peer/v1/peerv1connect"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/rpc"
)

// HandlerConfig is what a region answers the others with.
type HandlerConfig struct {
	// Region is the one that answers: the only target that is accepted. Required.
	Region ident.RegionID
	// Keys knows the others. Required.
	Keys Keys
	// Service is what they may ask for, e.g. a Server. Required.
	Service peerv1connect.PeerServiceHandler
	// Clock is time.Now in production. Required.
	Clock func() time.Time
	// Logger gets what failed inside, and what was not let in. Required.
	Logger *slog.Logger
	// MaxAge is DefaultMaxAge when zero, MaxSkew DefaultMaxSkew.
	MaxAge, MaxSkew time.Duration
}

// NewHandler returns what answers signed calls, and the path below which it is to be mounted.
//
// What is not signed by a region for this one, for the procedure and body that it comes with, within MaxAge, is answered with 401;
// nothing of the body is read before the signature holds. A request that is sent again within its MaxAge by somebody who has
// overheard it is let in: every method has the effect of one call when it is called twice (a replicated item and a message
// are known by their version and deduplication id, a key that is held is held, dead letters are named by their ids), so that there is
// nothing to gain, and no list of nonces that a region would have to keep and share between its processes.
func NewHandler(cfg HandlerConfig) (path string, handler http.Handler, err error) {
	if cfg.Region == ident.NoRegion || cfg.Keys == nil || cfg.Service == nil || cfg.Clock == nil || cfg.Logger == nil {
		return "", nil, errConfig
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = DefaultMaxAge
	}
	if cfg.MaxSkew <= 0 {
		cfg.MaxSkew = DefaultMaxSkew
	}
	path, next := peerv1connect.NewPeerServiceHandler(cfg.Service,
		connect.WithInterceptors(connect.UnaryInterceptorFunc(cfg.toWire)),
		connect.WithReadMaxBytes(MaxRequestBytes), connect.WithSendMaxBytes(MaxAnswerBytes),
		// A compressed request would hide how large it is, and nothing here gets smaller.
		connect.WithCompression("gzip", nil, nil),
		connect.WithRecover(func(_ context.Context, spec connect.Spec, _ http.Header, _ any) error {
			// What was panicked with may hold anything.
			cfg.Logger.Error("a call of another region panicked", slog.String("procedure", spec.Procedure))
			return rpc.ToConnect(fault.New(errorsv1.Reason_REASON_INTERNAL, "an internal error"))
		}),
	)
	return path, &guard{
		next: next, errors: connect.NewErrorWriter(), logger: cfg.Logger,
		verifier: &verifier{region: cfg.Region, keys: cfg.Keys, clock: cfg.Clock, maxAge: cfg.MaxAge, maxSkew: cfg.MaxSkew},
	}, nil
}

// toWire gives errors the form that they have between regions.
func (cfg HandlerConfig) toWire(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		answer, err := next(ctx, request)
		if err == nil {
			return answer, nil
		}
		f := outgoing(err)
		if f.Reason == errorsv1.Reason_REASON_INTERNAL {
			caller, _ := Caller(ctx)
			cfg.Logger.ErrorContext(ctx, "a call of another region failed", slog.String("procedure", request.Spec().Procedure),
				slog.String("caller", string(caller)), slog.Any("error", err))
		}
		return nil, rpc.ToConnect(f)
	}
}

// guard lets in what other regions have signed.
type guard struct {
	next     http.Handler
	verifier *verifier
	errors   *connect.ErrorWriter
	logger   *slog.Logger
}

// ServeHTTP implements http.Handler.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := g.admit(r)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxRequestBytes))
	switch {
	case err != nil:
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); !tooLarge {
			return // The connection is broken; nobody would read an answer.
		}
		g.refuse(w, r, rpc.TooLarge(MaxRequestBytes))
		return
	case sha256.Sum256(body) != c.body:
		g.refuse(w, r, refused("the peer header is for another body", nil))
		return
	}
	in := r.WithContext(WithCaller(r.Context(), c.origin))
	in.Body = io.NopCloser(bytes.NewReader(body))
	g.next.ServeHTTP(w, in)
}

// admit judges a request by its headers.
func (g *guard) admit(r *http.Request) (*claims, error) {
	headers := r.Header.Values(HeaderName)
	switch {
	case len(headers) == 0:
		return nil, fault.New(errorsv1.Reason_REASON_CREDENTIAL_MISSING, "the call has no peer header")
	case len(headers) > 1:
		return nil, refused("the call has more than one peer header", nil)
	case r.Method != http.MethodPost || r.URL.RawQuery != "":
		// Neither is signed, and no call of a region is anything else.
		return nil, refused("the call is not one that a region makes", nil)
	}
	c, err := g.verifier.verify(headers[0], r.URL.Path)
	if err != nil {
		return nil, err
	}
	if r.ContentLength > MaxRequestBytes {
		return nil, rpc.TooLarge(MaxRequestBytes)
	}
	return c, nil
}

// refuse answers without reading the rest of the body: on HTTP/1.1 the connection ends with it.
func (g *guard) refuse(w http.ResponseWriter, r *http.Request, err error) {
	g.logger.DebugContext(r.Context(), "a call to the peer service was not let in", slog.Any("error", err))
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
	if r.Header.Get("Content-Type") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("Content-Type", "application/proto")
	}
	if err := g.errors.Write(w, r, rpc.ToConnect(err)); err != nil {
		g.logger.DebugContext(r.Context(), "a refusal was not read", slog.Any("error", err))
	}
}
