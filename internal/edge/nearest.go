package edge

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"strconv"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/handover"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
)

// Nearest says whether the edge's own region may answer a call that is not at home in it.
type Nearest interface {
	// Admit returns once what the region has of a tenant is all that the call's headers ask for, or false when it will not be that in
	// time: the call then goes home. An error refuses the call.
	Admit(ctx context.Context, tenant ident.TenantID, home routing.Tenant, header http.Header) (bool, error)
}

// answerNearest lets the edge's own region answer; false if it cannot, in which case nothing was answered and the call is to be
// taken home.
func (e *Edge) answerNearest(rec *recorder, r *http.Request) bool {
	v := rec.visit
	admitted, err := e.admit(rec, r)
	if err != nil {
		v.gone = r.Context().Err() != nil
		e.refuse(rec, r, err)
		return true
	}
	if !admitted {
		return false
	}
	if v.body, err = readBody(rec, r, v.method.Uploads); err != nil {
		e.refuse(rec, r, bodyFault(r, err))
		return true
	}
	if !v.body.whole {
		return false // Too large to be sent twice.
	}
	c := e.callOf(v, false)
	in := r.Clone(handover.With(r.Context(), c)) // What transcodes REST changes the headers, and they may be needed again.
	if len(v.body.small) > 0 {
		in.Body = io.NopCloser(bytes.NewReader(v.body.small))
	}
	before := maps.Clone(rec.Header())
	e.sayStaleness(rec)
	w := &tentative{recorder: rec, call: c}
	e.cfg.Local.ServeHTTP(w, in)
	if !w.givesUp() {
		return true
	}
	clear(rec.Header())
	maps.Copy(rec.Header(), before)
	return false
}

// sayStaleness says how old what the replica answers is at the most, when that is known.
func (e *Edge) sayStaleness(rec *recorder) {
	if e.cfg.Staleness == nil || rec.visit.method.Route != policyv1.Route_ROUTE_NEAREST {
		return
	}
	if age, known := e.cfg.Staleness(rec.visit.who.id); known {
		rec.Header().Set(headerStaleness, strconv.FormatInt(age.Milliseconds()+1, 10)) // Rounded up: it is a bound.
	}
}

// admit asks whether the region may answer. What is waited for, is waited for no longer than the caller waits.
func (e *Edge) admit(rec *recorder, r *http.Request) (bool, error) {
	ctx, who := r.Context(), rec.visit.who
	if timeout, given := callerTimeout(r.Header); given && timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return e.gate(rec.visit.method.Route).Admit(ctx, who.id, who.tenant, r.Header)
}

// gate returns what says whether the edge's own region may answer calls of a route; nil: it never may.
func (e *Edge) gate(route policyv1.Route) Nearest {
	if route == policyv1.Route_ROUTE_ANY {
		return e.cfg.Any
	}
	return e.cfg.Nearest
}

// headerStaleness bounds how old an answer is, in milliseconds.
const headerStaleness = "Domicile-Staleness"

// tentative passes an answer on unless the replica has found that it cannot give one, which it knows before the answer begins.
type tentative struct {
	*recorder

	call *call.Call
}

// givesUp tells whether the call is to be taken home. An answer that has begun is not given twice, and a call that has written is not made
// twice.
func (t *tentative) givesUp() bool {
	return t.call.NotHere && t.call.Committed == nil && t.status == 0
}

// WriteHeader implements http.ResponseWriter.
func (t *tentative) WriteHeader(status int) {
	if !t.givesUp() {
		t.recorder.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (t *tentative) Write(p []byte) (int, error) {
	if t.givesUp() {
		return len(p), nil
	}
	return t.recorder.Write(p)
}

// FlushError implements what http.ResponseController looks for.
func (t *tentative) FlushError() error {
	if t.givesUp() {
		return nil
	}
	return t.recorder.FlushError()
}

// Flush implements http.Flusher.
func (t *tentative) Flush() {
	if err := t.FlushError(); err != nil {
		return // as a Flusher it has nobody to tell; the next write fails as well
	}
}
