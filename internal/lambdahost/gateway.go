package lambdahost

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// The quotas of an HTTP API (docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html).
const (
	// MaxGatewayBody is the size of the largest request body in bytes. A body that travels in base64 must also fit into MaxEvent.
	MaxGatewayBody = 10 << 20
	// MaxGatewayHeaders bounds the request line and the header values together, in bytes.
	MaxGatewayHeaders = 10240
	// maxGatewayTimeout is the longest that an integration may take, and the default.
	maxGatewayTimeout = 30 * time.Second
)

// GatewayConfig is what a gateway is made of. Function is required.
type GatewayConfig struct {
	// Function answers the requests.
	Function Invoker
	// APIID and Account are in the events; default: localhost and 000000000000.
	APIID, Account string
	// Timeout is how long an answer is waited for; default and at most: 30 s.
	Timeout time.Duration
	// Clock dates the events; default: time.Now. Timeout is counted in real time.
	Clock func() time.Time
	// Logger gets the failures that a caller is not told; default: none.
	Logger *slog.Logger
}

// Gateway is an API Gateway HTTP API whose $default route is a Lambda proxy integration with payload format 2.0
// (docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html), as an http.Handler.
//
// It answers by itself, with {"message": …}: 413 to a body that is larger than 10 MB, or than 6 MB as an event; 431 to headers beyond
// 10,240 bytes; 500 when the function fails, or its answer is malformed or larger than 6 MB; 503 when the answer takes longer than 30 s
// (the function goes on) or the function is throttled.
//
// Not carried, here as there: trailers, answers and requests as streams, interim (1xx) answers, upgrades, and so gRPC. Neither are
// stages, routes, authorizers, CORS settings and throttling of the API's own.
type Gateway struct {
	cfg GatewayConfig
}

var _ http.Handler = (*Gateway)(nil)

// NewGateway makes a gateway.
func NewGateway(cfg GatewayConfig) (*Gateway, error) {
	if cfg.Function == nil {
		return nil, errors.New("lambdahost: a gateway without a function")
	}
	cfg.APIID, cfg.Account = orDefault(cfg.APIID, "localhost"), orDefault(cfg.Account, defaultAccount)
	cfg.Timeout = min(orDefault(cfg.Timeout, maxGatewayTimeout), maxGatewayTimeout)
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	cfg.Logger = orSilent(cfg.Logger)
	return &Gateway{cfg: cfg}, nil
}

func orSilent(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := newGatewayID()
	w.Header().Set("Apigw-Requestid", requestID)
	if headersSize(r) > MaxGatewayHeaders {
		answerMessage(w, http.StatusRequestHeaderFieldsTooLarge, "Request Header Fields Too Large")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxGatewayBody))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		answerMessage(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	if err != nil {
		answerMessage(w, http.StatusBadRequest, "Bad Request")
		return
	}
	event, err := json.Marshal(g.event(r, body, requestID))
	if err != nil {
		g.fail(w, requestID, err)
		return
	}
	// The integration goes on without its caller, as on AWS.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), g.cfg.Timeout)
	defer cancel()
	out, err := g.cfg.Function.Invoke(ctx, event)
	if err != nil {
		g.fail(w, requestID, err)
		return
	}
	answer, err := parseProxyAnswer(out)
	if err != nil {
		g.fail(w, requestID, err)
		return
	}
	answer.write(w)
}

// fail answers as API Gateway does to an integration that failed, and logs why, which it does not tell.
func (g *Gateway) fail(w http.ResponseWriter, requestID string, err error) {
	g.cfg.Logger.Warn("a request failed at the gateway", slog.String("request", requestID), slog.Any("error", err))
	_, tooLarge := errors.AsType[*TooLargeError](err)
	switch {
	case tooLarge:
		answerMessage(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, ErrThrottled), errors.Is(err, ErrClosed):
		answerMessage(w, http.StatusServiceUnavailable, "Service Unavailable")
	default:
		answerMessage(w, http.StatusInternalServerError, "Internal Server Error")
	}
}

// answerMessage answers in the shape of API Gateway's own errors.
func answerMessage(w http.ResponseWriter, status int, message string) {
	body := `{"message":"` + message + `"}`
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// headersSize is what MaxGatewayHeaders bounds.
func headersSize(r *http.Request) int {
	size := len(r.Method) + len(r.URL.RequestURI()) + len(r.Proto) + len(r.Host)
	for _, values := range r.Header {
		for _, v := range values {
			size += len(v)
		}
	}
	return size
}
