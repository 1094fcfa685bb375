package edge

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/domicile-api/domicile/internal/routeheader"
	"github.com/domicile-api/domicile/internal/topology"
)

const (
	attempts   = 2
	retryPause = 25 * time.Millisecond
	copyBuffer = 32 << 10
)

//nolint:gochecknoglobals // buffers that all edges of a process share
var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// attempt is one call on its way to another region.
type attempt struct {
	edge   *Edge
	rec    *recorder
	in     *http.Request
	ctx    context.Context //nolint:containedctx // lives as long as the call
	target topology.Index
	body   *outBody
	// sent says that the request's headers, at least, were written to a connection: it may have been executed.
	sent atomic.Bool
	// late says that the caller's own deadline has passed.
	late func() bool
}

// forward sends a call to another region and its answer back.
func (e *Edge) forward(rec *recorder, r *http.Request, target topology.Index) {
	v := rec.visit
	body := v.body
	if body == nil {
		read, err := readBody(rec, r, v.method.Uploads)
		if err != nil {
			e.refuse(rec, r, bodyFault(r, err))
			return
		}
		body = read
	}
	defer body.stop()
	ctx, detached := body.context(r)
	defer detached()
	ctx, cancel, late := e.deadline(ctx, r.Header, v.method)
	defer cancel()
	a := &attempt{edge: e, rec: rec, in: r, ctx: ctx, target: target, body: body, late: late}
	answer, err := a.send() //nolint:bodyclose // relay closes it
	if r.ProtoMajor == 1 && body.unfinished() {
		// The answer came before the request's end, so the connection ends with it. Until then the request may go on.
		closeAfterAnswer(rec.w)
	}
	if err != nil {
		e.refuse(rec, r, a.fault(err))
		return
	}
	a.relay(answer)
}

// deadline bounds a call: by the caller's own deadline, or, if it is no stream, by the edge's. The function that it returns says whether
// the caller's has passed.
func (e *Edge) deadline(ctx context.Context, header http.Header, method *Method) (context.Context, context.CancelFunc, func() bool) {
	timeout, given := callerTimeout(header)
	begin := time.Now()
	passed := func() bool { return given && time.Since(begin) >= timeout }
	switch {
	case given && (method.Streams || timeout+grace < e.cfg.UpstreamTimeout):
		ctx, cancel := context.WithTimeout(ctx, timeout+grace)
		return ctx, cancel, passed
	case !method.Streams:
		ctx, cancel := context.WithTimeout(ctx, e.cfg.UpstreamTimeout)
		return ctx, cancel, passed
	default:
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, passed
	}
}

// send returns the region's answer, its headers read. It tries once more if nothing of the call had been sent.
func (a *attempt) send() (*http.Response, error) {
	transport := a.edge.upstream.transport(a.rec.visit)
	for n := 1; ; n++ {
		answer, err := transport.RoundTrip(a.request())
		if err == nil {
			return answer, nil
		}
		if n == attempts || a.sent.Load() || !a.body.again() || pause(a.ctx, retryPause) != nil {
			return nil, err //nolint:wrapcheck // fault reads it
		}
	}
}

// request makes what is sent: the client's request, signed.
func (a *attempt) request() *http.Request {
	in, v := a.in, a.rec.visit
	const added = 3
	header := forwardable(in.Header, added)
	header[routeheader.Name] = []string{a.edge.routeHeader(v)}
	if strings.EqualFold(in.Header.Get("TE"), "trailers") {
		header["Te"] = []string{"trailers"}
	}
	if _, given := header["User-Agent"]; !given {
		header["User-Agent"] = []string{""} // else net/http names itself
	}
	out := &http.Request{
		Method: in.Method, URL: a.edge.upstream.urlOf(a.target, in.URL), Host: in.Host, Header: header, Trailer: in.Trailer,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	a.body.attach(out, func() bool { return a.mayResend() })
	if out.Body == nil && v.method.Writes {
		// With a body of its own kind the transport does not take the request for one that it may send twice.
		out.Body = emptyBody{}
	}
	if len(in.Trailer) > 0 && out.Body != nil {
		out.ContentLength = -1
	}
	trace := &httptrace.ClientTrace{WroteHeaders: func() { a.sent.Store(true) }}
	return out.WithContext(httptrace.WithClientTrace(a.ctx, trace))
}

// mayResend is asked by the transport when a connection turns out to be closed. On HTTP/2 it asks only where the other side has said
// that it did not look at the request.
func (a *attempt) mayResend() bool {
	return !a.sent.Load() || a.edge.upstream.usesHTTP2(a.rec.visit) || !a.rec.visit.method.Writes
}

// emptyBody ends at once.
type emptyBody struct{}

// Read implements io.Reader.
func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }

// Close implements io.Closer.
func (emptyBody) Close() error { return nil }

// relay sends an answer on: headers, body as it comes, trailers.
func (a *attempt) relay(answer *http.Response) {
	defer func() { _ = answer.Body.Close() }()
	h := a.rec.Header()
	maps.Copy(h, forwardable(answer.Header, 0))
	announced := len(answer.Trailer)
	for name := range answer.Trailer {
		h.Add("Trailer", name)
	}
	a.rec.WriteHeader(answer.StatusCode)
	if a.rec.visit.method.Streams {
		// The client may act on the headers of a stream long before its first message.
		a.rec.Flush()
	}
	if err := a.copyBody(answer); err != nil {
		// Headers are out, so the only way left to say that the answer is not whole is to cut the connection.
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Trailer {
		if len(answer.Trailer) != announced {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
}

// copyBody flushes each piece of a stream as it comes. Of other answers net/http makes as few pieces as fit.
func (a *attempt) copyBody(answer *http.Response) error {
	buffer, ok := copyBuffers.Get().(*[copyBuffer]byte)
	if !ok {
		buffer = new([copyBuffer]byte)
	}
	defer copyBuffers.Put(buffer)
	for {
		n, readErr := answer.Body.Read(buffer[:])
		if n > 0 {
			if _, err := a.rec.Write(buffer[:n]); err != nil {
				return err
			}
			if a.rec.visit.method.Streams {
				if err := a.rec.FlushError(); err != nil {
					return err
				}
			}
		}
		switch {
		case errors.Is(readErr, io.EOF):
			return nil
		case readErr != nil:
			return readErr //nolint:wrapcheck // only that there is one matters
		}
	}
}
