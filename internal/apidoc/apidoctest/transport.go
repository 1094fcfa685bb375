package apidoctest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
)

// Transport sends requests and holds each exchange against the documents.
type Transport struct {
	// Base sends; nil: http.DefaultTransport.
	Base http.RoundTripper
	// Checker compares.
	Checker *Checker
	// Report is told what disagrees, with the call's context; from several goroutines at once.
	Report func(context.Context, error)
}

// RoundTrip implements http.RoundTripper. The answer is read to its end before it returns; if that fails, the caller gets the same failure
// where it would have got it, and nothing is compared.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	sent := &recorder{}
	out := r.Clone(r.Context())
	if r.Body != nil && r.Body != http.NoBody {
		out.Body = sent.start(r.Body)
		if r.GetBody != nil {
			out.GetBody = func() (io.ReadCloser, error) {
				again, err := r.GetBody()
				if err != nil {
					return nil, err //nolint:wrapcheck // A body that is in between adds nothing.
				}
				return sent.start(again), nil
			}
		}
	}
	answer, err := base.RoundTrip(out)
	if err != nil {
		return nil, err //nolint:wrapcheck // A transport that is in between adds nothing.
	}
	body, failure := io.ReadAll(answer.Body)
	if closing := answer.Body.Close(); failure == nil {
		failure = closing
	}
	answer.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{failure}))
	if failure == nil {
		t.check(r, sent.bytes(), answer, body)
	}
	return answer, nil
}

func (t *Transport) check(r *http.Request, sent []byte, answer *http.Response, body []byte) {
	if err := t.Checker.Check(Exchange{ //nolint:contextcheck // It waits for nothing.
		Method: r.Method, URL: r.URL, Header: r.Header, Body: sent, Status: answer.StatusCode, Answer: answer.Header, AnswerBody: body,
	}); err != nil {
		t.Report(r.Context(), err)
	}
}

// failing ends a body with the failure that it had; nil: it ended well.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

// recorder keeps what was sent of a request's body, of the last attempt.
type recorder struct {
	mu   sync.Mutex
	sent *bytes.Buffer
}

func (r *recorder) start(body io.ReadCloser) io.ReadCloser {
	attempt := &bytes.Buffer{}
	r.mu.Lock()
	r.sent = attempt
	r.mu.Unlock()
	return &recorded{ReadCloser: body, recorder: r, to: attempt}
}

func (r *recorder) bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent == nil {
		return nil
	}
	return bytes.Clone(r.sent.Bytes())
}

// recorded is a body that writes down what is read of it.
type recorded struct {
	io.ReadCloser

	recorder *recorder
	to       *bytes.Buffer
}

func (b *recorded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.recorder.mu.Lock()
	_, _ = b.to.Write(p[:n]) // A Buffer has no errors.
	b.recorder.mu.Unlock()
	return n, err //nolint:wrapcheck // A body that is in between adds nothing.
}
