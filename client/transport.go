package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxErrorBytes is how much of an error's answer is read to find out why.
const maxErrorBytes = 64 << 10

// transport is the client for plain HTTP.
type transport struct{ client *Client }

// RoundTrip implements http.RoundTripper. It does not change the request.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	c := t.client
	if !c.ours(r.URL) {
		return c.cfg.Base.RoundTrip(r) //nolint:wrapcheck // a plain delegate
	}
	if way := wayFrom(r.Context()); way != nil {
		// The interceptor is in charge, and only the way is left to do.
		way.from, way.through = r.URL, true
		if way.home != nil {
			r = toward(r, way.home)
			way.from = r.URL
		}
		return c.cfg.Base.RoundTrip(r) //nolint:wrapcheck // a plain delegate
	}
	s := c.sessions.of(r.Header, r.URL.Host)
	if isStream(r.Header) {
		return t.stream(r, s)
	}
	body, again, err := c.replayable(r)
	if err != nil {
		return nil, err
	}
	header := r.Header.Clone()
	c.setKey(header, reads(r.Method))
	var answer *http.Response
	own := len(header.Values(headerConsistency)) == 0
	c.attempts(r.Context(), s, again, func(home *url.URL) *failure {
		if answer != nil {
			_ = answer.Body.Close() // Another attempt takes its place.
		}
		var f *failure
		answer, f, err = t.once(r, header, own, body, home, s) //nolint:bodyclose // it is the caller's, or closed above
		return f
	})
	return answer, err
}

// once sends a request once.
func (t transport) once(
	r *http.Request, header http.Header, own bool, body func() (io.ReadCloser, error), home *url.URL, s *session,
) (*http.Response, *failure, error) {
	out := r.Clone(r.Context())
	out.Header = header.Clone()
	if home != nil {
		out = toward(out, home)
	}
	var err error
	if out.Body, err = body(); err != nil {
		return nil, nil, err
	}
	var sent []string
	if own {
		sent = s.send(out.Header)
	}
	answer, err := t.client.cfg.Base.RoundTrip(out)
	if err != nil {
		return nil, &failure{network: true}, err //nolint:wrapcheck // a RoundTripper's error is given on as it is
	}
	if answer.StatusCode < http.StatusBadRequest {
		s.keep(sent, answer.Header)
		return answer, nil, nil
	}
	text, err := peek(answer)
	if err != nil {
		s.keep(sent, answer.Header)
		return nil, &failure{network: true}, err
	}
	f := answerFailure(out.URL, answer.StatusCode, answer.Header, text, t.client.cfg.Clock())
	s.settle(f, sent, answer.Header)
	return answer, f, nil
}

// stream sends a request of a protocol whose messages and errors HTTP does not show, with tokens, once.
func (t transport) stream(r *http.Request, s *session) (*http.Response, error) {
	out := r.Clone(r.Context())
	sent := s.send(out.Header)
	home := s.home()
	if home != nil {
		out = toward(out, home)
	}
	answer, err := t.client.cfg.Base.RoundTrip(out)
	if err != nil {
		if home != nil {
			s.setHome(nil, 0) // The next call asks where calls begin.
		}
		return nil, err //nolint:wrapcheck // a RoundTripper's error is given on as it is
	}
	s.keep(sent, answer.Header)
	return answer, nil
}

// toward returns the request for another region.
func toward(r *http.Request, home *url.URL) *http.Request {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host = home.Scheme, home.Host, ""
	return out
}

// setKey gives a mutation an idempotency key unless it has one, and tells whether it did.
func (c *Client) setKey(header http.Header, reads bool) bool {
	if reads || len(header.Values(headerKey)) > 0 {
		return false
	}
	header.Set(headerKey, newKey(c.cfg.Clock()))
	return true
}

func reads(method string) bool {
	switch method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return false
	default:
		return true
	}
}

// isStream tells the protocols that frame their messages.
func isStream(h http.Header) bool {
	contentType := strings.ToLower(h.Get("Content-Type"))
	return strings.HasPrefix(contentType, "application/grpc") || strings.HasPrefix(contentType, "application/connect+")
}

// replayable returns what gives the request's body, and whether it does so more than once. The first body is the request's own or
// stands for it, so it must be taken and closed.
func (c *Client) replayable(r *http.Request) (body func() (io.ReadCloser, error), again bool, err error) {
	if r.Body == nil || r.Body == http.NoBody {
		return func() (io.ReadCloser, error) { return r.Body, nil }, true, nil
	}
	if r.GetBody != nil {
		first := r.Body
		return func() (io.ReadCloser, error) {
			if out := first; out != nil {
				first = nil
				return out, nil
			}
			return r.GetBody()
		}, true, nil
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, c.cfg.MaxBuffer+1))
	if err != nil {
		_ = r.Body.Close()
		return nil, false, fmt.Errorf("client: reading the request's body: %w", err)
	}
	if int64(len(data)) > c.cfg.MaxBuffer {
		whole := struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(data), r.Body), r.Body}
		return func() (io.ReadCloser, error) { return whole, nil }, false, nil
	}
	if err := r.Body.Close(); err != nil {
		return nil, false, fmt.Errorf("client: closing the request's body: %w", err)
	}
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }, true, nil
}

// peek reads the beginning of an error's answer and puts it back.
func peek(answer *http.Response) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxErrorBytes))
	if err != nil {
		_ = answer.Body.Close()
		return nil, fmt.Errorf("client: reading an answer: %w", err)
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(data), answer.Body), answer.Body}
	return data, nil
}

// way is what the interceptor and the transport tell each other of one attempt.
type way struct {
	// home is where the attempt goes; nil: where the URL says.
	home *url.URL
	// through says that the transport has seen it, and from where it sent it to.
	through bool
	from    *url.URL
}

type wayKey struct{}

func withWay(ctx context.Context, w *way) context.Context { return context.WithValue(ctx, wayKey{}, w) }

func wayFrom(ctx context.Context) *way {
	w, _ := ctx.Value(wayKey{}).(*way)
	return w
}
