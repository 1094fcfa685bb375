package rpc

import (
	"errors"
	"io"
	"net"
	"net/http"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
)

// DefaultMaxBytes is how large a request may be.
const DefaultMaxBytes = 4 << 20

// LimitBody bounds what a request may bring. It refuses a body that says it is larger at once, and else returns the request with a body
// whose reading fails at the limit, and when it takes longer than the server waits. These failures keep their reason through the
// libraries that read the body.
//
// The request given is left as it is: net/http looks at its own body, after a handler that did not read all of it, to know
// whether the connection can carry another request. Hidden from it, the rest of the body would be taken for one.
func LimitBody(r *http.Request, limit int64) (*http.Request, error) {
	if r.ContentLength > limit {
		return r, TooLarge(limit)
	}
	if r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	limited := *r
	limited.Body = &limitedBody{body: r.Body, left: limit, limit: limit, sized: r.ContentLength >= 0}
	return &limited, nil
}

type limitedBody struct {
	body        io.ReadCloser
	left, limit int64
	sized       bool // the length is known to be within the limit
}

// Read implements io.Reader.
func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ToConnect(TooLarge(b.limit))
	}
	if !b.sized && int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if !b.sized {
		b.left -= int64(n)
		if b.left < 0 {
			return n - 1, ToConnect(TooLarge(b.limit))
		}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return n, ToConnect(fault.New(errorsv1.Reason_REASON_DEADLINE_EXCEEDED, "the request did not arrive in time"))
	}
	return n, err //nolint:wrapcheck // io.EOF among them
}

// Close implements io.Closer.
func (b *limitedBody) Close() error { return b.body.Close() } //nolint:wrapcheck // a plain delegate
