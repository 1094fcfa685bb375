package rpc

import (
	"log"
	"log/slog"
	"net/http"
	"strings"
	"time"

	connectcors "connectrpc.com/cors"
	"github.com/rs/cors"

	"github.com/domicile-api/domicile/internal/routeheader"
)

// The limits on slow clients.
const (
	defaultHeaderTimeout = 10 * time.Second
	defaultCallTimeout   = 60 * time.Second
	// Longer than the two minutes of a load balancer in front, which would else send a call on a connection that is being closed.
	defaultIdleTimeout   = 150 * time.Second
	maxHeaderBytes       = 64 << 10
	maxConcurrentStreams = 1000
)

// ServerConfig is what a port is served with. Zero durations take the defaults.
type ServerConfig struct {
	// Handler answers, e.g. CORS(edge).
	Handler http.Handler
	// Logger gets what net/http complains of, addresses left out. Required.
	Logger *slog.Logger
	// HeaderTimeout is how long a client may take for its headers (10 s), CallTimeout for a whole call that is not a stream, request
	// and answer each (60 s): see Stream.
	HeaderTimeout, CallTimeout time.Duration
}

// NewServer returns a server of HTTP/1.1 and HTTP/2 without TLS, which gRPC needs, on one port.
func NewServer(cfg ServerConfig) *http.Server {
	if cfg.HeaderTimeout == 0 {
		cfg.HeaderTimeout = defaultHeaderTimeout
	}
	if cfg.CallTimeout == 0 {
		cfg.CallTimeout = defaultCallTimeout
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler:           cfg.Handler,
		Protocols:         protocols,
		ReadHeaderTimeout: cfg.HeaderTimeout,
		ReadTimeout:       cfg.CallTimeout,
		WriteTimeout:      2 * cfg.CallTimeout,
		IdleTimeout:       defaultIdleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxConcurrentStreams},
		ErrorLog:          log.New(addressless{cfg.Logger}, "", 0),
	}
}

// Stream takes the call's time limits away: a stream lasts as long as both sides want.
func Stream(w http.ResponseWriter) {
	controller := http.NewResponseController(w)
	// A writer without deadlines, as in a test, has none to take away.
	if err := controller.SetReadDeadline(time.Time{}); err != nil {
		return
	}
	if err := controller.SetWriteDeadline(time.Time{}); err != nil {
		return
	}
}

// addressless logs net/http's complaints without what they say of the client: its address is personal data, and the value of a panic
// may hold anything.
type addressless struct{ logger *slog.Logger }

// Write implements io.Writer.
func (l addressless) Write(p []byte) (int, error) {
	text := string(p)
	switch {
	case strings.HasPrefix(text, "http: panic serving"):
		_, stack, _ := strings.Cut(text, "\n")
		l.logger.Error("a handler panicked", slog.String("stack", stack))
	case strings.HasPrefix(text, "http: TLS handshake error"):
		l.logger.Debug("a TLS handshake failed")
	default:
		l.logger.Debug("net/http complained")
	}
	return len(p), nil
}

// requestHeaders are those of the platform that a page of another origin may send.
//
//nolint:gochecknoglobals // an immutable table
var requestHeaders = []string{
	"Authorization", "Domicile-Consistency", "Domicile-Max-Staleness", "Domicile-Max-Wait", "Domicile-Routing", "Domicile-Tenant",
	"Domicile-Version", HeaderIdempotencyKey, "If-None-Match", "Traceparent", "Tracestate",
}

// answerHeaders are those that it may read.
//
//nolint:gochecknoglobals // an immutable table
var answerHeaders = []string{
	"Deprecation", "Domicile-Consistency", HeaderEdge, HeaderHome, HeaderRegion, HeaderRelease, "Domicile-Staleness",
	"Domicile-Version", headerETag, HeaderReplayed, "Link", "RateLimit", "RateLimit-Policy", headerRetryAfter, headerServerTiming,
	"Sunset", "Traceparent", headerAuthenticate,
}

// CORS lets pages of any origin call the API: what authorises a call is its key, which a page must have been given, never a
// cookie. It belongs in front of the edge. A call that another edge has forwarded gets its headers there.
func CORS(next http.Handler) http.Handler {
	policy := cors.New(cors.Options{
		AllowedOrigins: []string{"*"},
		AllowedMethods: append(connectcors.AllowedMethods(), http.MethodHead, http.MethodPatch, http.MethodPut, http.MethodDelete),
		AllowedHeaders: append(connectcors.AllowedHeaders(), requestHeaders...),
		ExposedHeaders: append(connectcors.ExposedHeaders(), answerHeaders...),
		MaxAge:         int((2 * time.Hour).Seconds()),
	})
	outer := policy.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(routeheader.Name) != "" {
			next.ServeHTTP(w, r)
			return
		}
		outer.ServeHTTP(w, r)
	})
}
