package rpc

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/domicile-api/domicile/internal/rpc/exchange"
)

// heldMax bounds what is kept of an answer that is going to be replaced.
const heldMax = 64 << 10

// The flags of an envelope that ends a stream: a Connect EndStreamResponse, gRPC-Web trailers.
const (
	flagConnectEnd = 0x02
	flagWebEnd     = 0x80
)

// Answers gives every failure its shape: what a library below refuses by itself, with a text and status of its own, leaves as an error of
// the protocol asked in, with a reason. It also answers 304 where a client has the answer already.
//
// A successful answer passes through untouched: nothing of it is held, flushing and trailers work.
func Answers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange.Exchange{Get: r.Method == http.MethodGet}
		a := &answer{w: w, r: r, x: x, protocol: ProtocolOf(r)}
		next.ServeHTTP(a, r.WithContext(exchange.With(r.Context(), x)))
		a.finish()
	})
}

// mode is what becomes of the bytes that a handler writes.
type mode uint8

const (
	undecided mode = iota
	passing        // they go out
	holding        // they are a failure, and may be replaced
	dropping       // the client has them already
)

// answer is the http.ResponseWriter of one request.
type answer struct {
	w        http.ResponseWriter
	r        *http.Request
	x        *exchange.Exchange
	protocol Protocol
	mode     mode
	status   int
	held     bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.w.Header() }

// Unwrap lets http.ResponseController reach what this type does not touch: deadlines and full duplex.
func (a *answer) Unwrap() http.ResponseWriter { return a.w }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	switch {
	case a.status != 0:
		return
	case status < http.StatusOK:
		a.w.WriteHeader(status)
		return
	}
	a.status = status
	switch {
	case status >= http.StatusBadRequest:
		a.mode = holding
	case a.protocol == ConnectStream || a.protocol == GRPCWeb:
		a.mode = undecided // the first envelope decides
		if a.protocol == GRPCWeb && webFailed(a.Header()) {
			a.mode = holding
		}
	case status == http.StatusOK && a.r.Method == http.MethodGet && matchesETag(a.r.Header, a.Header().Get(headerETag)):
		a.mode = dropping
		a.notModified()
	default:
		a.mode = passing
	}
	if a.mode == undecided || a.mode == passing {
		if a.protocol == REST {
			a.Header().Del("Accept-Encoding") // Vanguard leaves it behind; it is no answer header
		}
		a.w.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.mode == undecided && len(p) > 0 {
		a.mode = passing
		if a.protocol == ConnectStream && p[0]&flagConnectEnd != 0 || a.protocol == GRPCWeb && p[0]&flagWebEnd != 0 {
			a.mode = holding
		}
	}
	if a.mode == passing {
		return a.w.Write(p) //nolint:wrapcheck // a plain delegate
	}
	if a.mode == holding && a.held.Len() < heldMax {
		a.held.Write(p)
	}
	return len(p), nil
}

// FlushError implements what http.ResponseController looks for.
func (a *answer) FlushError() error {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.mode == passing || a.mode == undecided {
		return http.NewResponseController(a.w).Flush() //nolint:wrapcheck // a plain delegate
	}
	return nil
}

// Flush implements http.Flusher.
func (a *answer) Flush() {
	if err := a.FlushError(); err != nil {
		return // as a Flusher it has nobody to tell; the next write fails as well
	}
}

// finish ends the answer after the handler has returned.
func (a *answer) finish() {
	switch {
	case a.mode == holding && a.status >= http.StatusBadRequest:
		f, code := a.failure()
		if token := a.x.Token.Load(); token != nil {
			a.w.Header().Set(HeaderConsistency, *token)
		}
		writeStatus(a.w, a.r, a.protocol, code, f)
	case a.mode == holding && a.protocol == GRPCWeb && a.held.Len() == 0:
		a.finishWebHeaders()
	case a.mode == holding:
		a.finishEnvelope()
	case a.protocol == GRPC:
		mendTrailers(a.Header(), http.TrailerPrefix, a.x)
	}
}

// notModified answers that what the client has is still so (RFC 9110, section 15.4.5).
func (a *answer) notModified() {
	h := a.Header()
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding", "Accept-Encoding"} {
		h.Del(name)
	}
	a.status = http.StatusNotModified
	a.w.WriteHeader(http.StatusNotModified)
}

// matchesETag compares weakly, as RFC 9110, section 13.1.2 wants it for If-None-Match.
func matchesETag(request http.Header, etag string) bool {
	if etag == "" {
		return false
	}
	for _, line := range request["If-None-Match"] {
		for candidate := range strings.SplitSeq(line, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(etag, "W/") {
				return true
			}
		}
	}
	return false
}
