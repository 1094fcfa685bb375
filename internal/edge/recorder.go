package edge

import (
	"net/http"

	"github.com/domicile-api/domicile/internal/rpc"
)

// recorder is the http.ResponseWriter of a call. It adds the edge's headers when the answer begins, whoever answers, and notes the
// status. Flushing, trailers and deadlines pass.
type recorder struct {
	w      http.ResponseWriter
	edge   *Edge
	visit  *visit
	status int
	// traceparent is sent when the call is traced.
	traceparent string
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.w.Header() }

// Unwrap lets http.ResponseController reach deadlines and full duplex.
func (r *recorder) Unwrap() http.ResponseWriter { return r.w }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
		r.addHeaders(r.w.Header())
	}
	r.w.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	return r.w.Write(p) //nolint:wrapcheck // a plain delegate
}

// FlushError implements what http.ResponseController looks for.
func (r *recorder) FlushError() error {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(r.w).Flush() //nolint:wrapcheck // a plain delegate
}

// Flush implements http.Flusher.
func (r *recorder) Flush() {
	if err := r.FlushError(); err != nil {
		return // as a Flusher it has nobody to tell; the next write fails as well
	}
}

// addHeaders says where the call came in. To a call that another edge has forwarded, that edge says it.
func (r *recorder) addHeaders(h http.Header) {
	v, e := r.visit, r.edge
	if v.action == actionArrived {
		return
	}
	h.Set(rpc.HeaderEdge, e.region)
	if v.who.known {
		h.Set(rpc.HeaderHome, string(e.cfg.Topology.ID(v.who.tenant.Home)))
	}
	h.Add("Server-Timing", rpc.Timing("edge", e.cfg.Clock().Sub(v.begin)))
	if r.traceparent != "" {
		h.Set("Traceparent", r.traceparent)
	}
}
