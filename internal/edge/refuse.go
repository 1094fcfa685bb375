package edge

import (
	"net/http"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/rpc"
)

// refuse answers with an error in the shape of the protocol asked in.
func (e *Edge) refuse(rec *recorder, r *http.Request, err error) {
	rec.visit.reason = rpc.ToFault(err).Reason
	if rec.visit.reason == errorsv1.Reason_REASON_INTERNAL {
		e.reportInternal(r, err)
	}
	rpc.WriteError(rec, r, err)
}

// refuseMethod answers that a path does not take the HTTP method.
func (e *Edge) refuseMethod(rec *recorder, r *http.Request, allow string) {
	rec.visit.reason = errorsv1.Reason_REASON_UNSUPPORTED
	rpc.WriteMethodNotAllowed(rec, r, allow)
}

// refuseUnread refuses a call whose body must not be read, neither by this project nor by net/http: that otherwise reads what is left
// before, on HTTP/1.1, it answers.
func (e *Edge) refuseUnread(rec *recorder, r *http.Request, err error) {
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		leaveUnread(rec.w)
	}
	e.refuse(rec, r, err)
}

// leaveUnread makes the server answer at once and close the connection without reading on.
func leaveUnread(w http.ResponseWriter) {
	closeAfterAnswer(w)
	// What net/http would read all the same, after the answer, fails by a deadline in the past.
	if err := http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)); err != nil {
		return // not a network connection: there is nothing to read from it
	}
}

// closeAfterAnswer makes the server close the connection, but only after the client had time to read the answer: to close a
// connection on which data is still coming in resets it, and the answer may be lost.
//
// When a body is beyond its limit, net/http reads no more of it before it answers, announces that it will close, and gives the
// client time before it does. This reader is beyond its limit at once; it never asks the request's body.
func closeAfterAnswer(w http.ResponseWriter) {
	tooLarge := http.MaxBytesReader(innermost(w), oneByte{}, 0)
	if _, err := tooLarge.Read(make([]byte, 1)); err == nil {
		return // not beyond its limit, which cannot be
	}
}

// innermost returns the writer of net/http itself.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
}

// oneByte is an endless body.
type oneByte struct{}

// Read implements io.Reader.
func (oneByte) Read(p []byte) (int, error) { return len(p), nil }

// Close implements io.Closer.
func (oneByte) Close() error { return nil }

// redirect sends the client to the region where its call belongs. Nothing was executed, whatever the method, so repeating the
// call there is safe.
func (e *Edge) redirect(rec *recorder, r *http.Request, d routing.Decision) {
	id := e.cfg.Topology.ID(d.Region)
	f := fault.New(d.Reason, "the call belongs to another region, and may not be forwarded from here").
		With("home_region", string(id)).
		With("home_endpoint", e.cfg.Topology.Endpoint(d.Region)).
		With("retry_safe", "true")
	e.refuseUnread(rec, r, f)
}

// refusal is why routing refuses a call.
func (e *Edge) refusal(d routing.Decision) error {
	switch d.Reason {
	case errorsv1.Reason_REASON_TENANT_UNKNOWN:
		return fault.New(d.Reason, "host, API key and Domicile-Tenant header name no tenant of the platform")
	case errorsv1.Reason_REASON_NO_LAWFUL_REGION:
		return fault.New(d.Reason, "no region may lawfully answer this call now")
	case errorsv1.Reason_REASON_REGION_DRAINING:
		f := fault.New(d.Reason, "the region that answers this call is being drained")
		f.RetryAfter = e.cfg.RetryAfter
		return f
	default:
		return fault.New(d.Reason, "the call cannot be routed")
	}
}
