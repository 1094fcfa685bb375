package edge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// smallBody is how much of a request that is one message is read before it is forwarded. What is read whole can be sent again, and
// a client that is slow in sending keeps no connection to another region.
const smallBody = 64 << 10

var (
	errBodyDone = errors.New("edge: the call has ended")
	// errSent stops a second sending that the transport would do by itself.
	errSent = errors.New("edge: the request was sent once")
)

// streamBody is the client's body while it is forwarded as it comes. The transport closes what it sends when it has an answer, or
// gives up: that must make a read that is waiting for the client return, else both wait for ever when the other side ends a
// stream first. (httputil.ReverseProxy hides Close from the transport and waits.)
type streamBody struct {
	body  io.ReadCloser
	unpin func() // makes a read that waits return
	begun atomic.Bool
	ended atomic.Bool // by the client
	done  atomic.Bool
}

func newStreamBody(w http.ResponseWriter, r *http.Request) *streamBody {
	b := &streamBody{body: r.Body}
	if r.ProtoMajor >= 2 {
		// Closing an HTTP/2 body wakes its reader.
		b.unpin = func() { _ = b.body.Close() }
		return b
	}
	// Closing an HTTP/1.1 body reads it to its end first. A deadline in the past wakes the reader; the connection cannot be used
	// again, as there is still a request on it.
	b.unpin = func() {
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
	}
	return b
}

// Read implements io.Reader.
func (b *streamBody) Read(p []byte) (int, error) {
	b.begun.Store(true)
	if b.done.Load() {
		return 0, errBodyDone
	}
	n, err := b.body.Read(p)
	if errors.Is(err, io.EOF) {
		b.ended.Store(true)
	}
	return n, err //nolint:wrapcheck // io.EOF among them
}

// Close implements io.Closer. A body that nobody has read can still be sent by another attempt.
func (b *streamBody) Close() error {
	if b.begun.Load() {
		b.stop()
	}
	return nil
}

// stop ends all reading.
func (b *streamBody) stop() {
	if !b.done.Swap(true) && b.begun.Load() && !b.ended.Load() {
		b.unpin()
	}
}

// outBody is what a forwarded request sends.
type outBody struct {
	small  []byte // the whole body, if whole
	whole  bool
	stream *streamBody // else
	length int64       // -1: not known
}

// readBody takes a body in: one message whole, if it is small; a stream, or a large message, as it comes.
func readBody(w http.ResponseWriter, r *http.Request, uploads bool) (*outBody, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return &outBody{whole: true}, nil
	}
	stream := newStreamBody(w, r)
	out := &outBody{stream: stream, length: r.ContentLength}
	if uploads || r.ContentLength > smallBody {
		return out, nil
	}
	size := r.ContentLength
	if size < 0 {
		size = 512
	}
	buffer := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	n, err := io.Copy(buffer, io.LimitReader(stream, smallBody+1))
	if err != nil {
		return nil, err //nolint:wrapcheck // rpc.LimitBody's, with its reason
	}
	if n <= smallBody {
		return &outBody{small: buffer.Bytes(), whole: true, length: n}, nil
	}
	stream.body = prefixed{io.MultiReader(buffer, stream.body), stream.body}
	return out, nil
}

// prefixed is a body of which some was read already.
type prefixed struct {
	io.Reader
	io.Closer
}

// attach gives the body to a request that is about to be sent. resend says whether the transport may send it again by itself.
func (b *outBody) attach(out *http.Request, resend func() bool) {
	switch {
	case b.stream != nil && !b.whole:
		out.Body, out.ContentLength = b.stream, b.length
	case len(b.small) > 0:
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(b.small)), b.length
		out.GetBody = func() (io.ReadCloser, error) {
			if !resend() {
				return nil, errSent
			}
			return io.NopCloser(bytes.NewReader(b.small)), nil
		}
	}
}

// again tells whether the body can be sent once more.
func (b *outBody) again() bool { return b.whole || !b.stream.begun.Load() }

// context returns the request's context for what forwards the body. On HTTP/1.1 net/http takes a reader that was woken for a client that
// is gone, and cancels the request: that must not end an answer that is on its way.
func (b *outBody) context(r *http.Request) (context.Context, func()) {
	if b.whole || b.stream == nil || r.ProtoMajor >= 2 {
		return r.Context(), func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	stop := context.AfterFunc(r.Context(), func() {
		if !b.stream.done.Load() {
			cancel()
		}
	})
	return ctx, func() {
		stop()
		cancel()
	}
}

// unfinished tells whether some of the client's body was not read, or may not have been.
func (b *outBody) unfinished() bool { return !b.whole && b.stream != nil && !b.stream.ended.Load() }

// stop ends the reading of the client's body, before the handler returns.
func (b *outBody) stop() {
	if b.stream != nil {
		b.stream.stop()
	}
}
