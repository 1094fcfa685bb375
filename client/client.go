// Package client makes an HTTP client, or a Connect client, one that gets along with a platform that lives in several regions:
//
//	c, err := client.New(client.Config{Endpoints: []string{"https://api.example.com"}})
//	users := profilev1connect.NewProfileServiceClient(c.HTTPClient(), "https://api.example.com",
//		connect.WithInterceptors(bearer, c.Interceptor()))
//
// What it promises:
//
//   - What one call of a client has seen or written, its later calls with the same key see too, at whatever region they come in: it keeps
//     the consistency tokens of answers and sends them. With more than eight calls at once, those of the newest eight answers.
//   - A mutation has an idempotency key, of its own or the caller's, and each repetition has the same.
//   - A call is repeated only if that does no harm: it reads, or it has a key. It is not repeated when the platform says that its outcome is
//     not known or that a repetition is not safe, nor beyond the caller's deadline. Between attempts it waits as it is told, and a random
//     time more.
//   - A call that belongs to another region goes there, once; the next ones go there at once. The key of a caller is sent to the endpoints
//     of the configuration, to hosts below theirs, and nowhere else: see Config.Endpoints.
//
// With plain HTTP (REST), Transport does all of it. With Connect, gRPC and gRPC-Web, Interceptor does it for unary calls, and the way to
// another region needs Transport beneath it as well; streams carry tokens and are never repeated.
package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"connectrpc.com/connect"
)

// What a Config says when it says nothing.
const (
	DefaultMaxAttempts   = 4
	DefaultBackoff       = 100 * time.Millisecond
	DefaultMaxBackoff    = 5 * time.Second
	DefaultMaxRetryAfter = 30 * time.Second
	DefaultMaxBuffer     = 1 << 20
	DefaultHomeTTL       = 10 * time.Minute
)

// Config is what a Client is made of. Zero numbers stand for the defaults above.
type Config struct {
	// Endpoints are the platform's URLs, e.g. "https://api.example.com", without a path. Calls to other hosts pass as they are: without
	// tokens, keys and repetitions. Required.
	//
	// A region may answer that a call belongs to another one, and where that is. The client goes there if it is one of the endpoints, or its
	// host is an endpoint's or below it ("eu.api.example.com"), over the same scheme as the answer came. Without TLS, it must be the same
	// host, or both must be this machine. So nobody who only forges or breaks into one region's answer gets keys and bodies sent to a
	// host of his own. Regions that have other names are to be listed.
	Endpoints []string
	// Base sends requests; nil: http.DefaultTransport. gRPC without TLS needs one that speaks HTTP/2 (http.Protocols).
	Base http.RoundTripper
	// MaxAttempts is how often a call is sent at the most, the first time included.
	MaxAttempts int
	// Backoff is the bound of the first random wait; it doubles up to MaxBackoff.
	Backoff, MaxBackoff time.Duration
	// MaxRetryAfter is the longest wait that the platform may ask for; if it asks for a longer one, its answer is returned instead.
	MaxRetryAfter time.Duration
	// MaxBuffer is how many bytes of a body that cannot be read again (http.Request.GetBody) are kept for repetitions. A larger one is sent
	// once.
	MaxBuffer int64
	// HomeTTL is how long the client remembers where calls of a key belong.
	HomeTTL time.Duration
	// Clock is time.Now when nil.
	Clock func() time.Time
	// Jitter returns a random duration from 0 up to a bound; nil: uniformly.
	Jitter func(bound time.Duration) time.Duration
}

// Client keeps what calls to one platform have in common: tokens, and where tenants are at home. It is safe for concurrent use; its
// parts share it.
type Client struct {
	cfg       Config
	endpoints []*url.URL
	sessions  *sessions
}

// New returns a client. It fails if the configuration names no endpoint, or one that is not a URL of http or https.
func New(cfg Config) (*Client, error) {
	if cfg.Base == nil {
		cfg.Base = http.DefaultTransport
	}
	if cfg.MaxAttempts <= 0 {
		cfg.MaxAttempts = DefaultMaxAttempts
	}
	orDefault(&cfg.Backoff, DefaultBackoff)
	orDefault(&cfg.MaxBackoff, DefaultMaxBackoff)
	orDefault(&cfg.MaxRetryAfter, DefaultMaxRetryAfter)
	orDefault(&cfg.HomeTTL, DefaultHomeTTL)
	if cfg.MaxBuffer <= 0 {
		cfg.MaxBuffer = DefaultMaxBuffer
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Jitter == nil {
		cfg.Jitter = func(bound time.Duration) time.Duration { return rand.N(bound + 1) } //nolint:gosec // it spreads load, no more
	}
	c := &Client{cfg: cfg, sessions: newSessions(cfg.Clock)}
	for _, endpoint := range cfg.Endpoints {
		u, err := parseEndpoint(endpoint)
		if err != nil {
			return nil, err
		}
		c.endpoints = append(c.endpoints, u)
	}
	if len(c.endpoints) == 0 {
		return nil, errors.New("client: no endpoint is configured")
	}
	return c, nil
}

func orDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Transport returns the client as an http.RoundTripper, for http.Client.Transport.
func (c *Client) Transport() http.RoundTripper { return transport{c} }

// HTTPClient returns an http.Client over Transport, which bounds no call: contexts do. It follows no HTTP redirect, since none is the
// platform's.
func (c *Client) HTTPClient() *http.Client {
	return &http.Client{
		Transport:     c.Transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Interceptor returns the client as an interceptor for Connect clients of any protocol. It stands after the interceptor that sets
// Authorization.
func (c *Client) Interceptor() connect.Interceptor { return interceptor{c} }

// attempts runs a call until it is done: send sends it once, to another region if home is not nil, and says how it failed, nil if it did
// not. What the last one got is the caller's to return. A call that cannot be sent again, because its body cannot, is sent once; all
// others read or have a key.
func (c *Client) attempts(ctx context.Context, s *session, again bool, send func(home *url.URL) *failure) {
	home, followed := s.home(), false
	for n := 1; ; n++ {
		f := send(home)
		if f == nil || ctx.Err() != nil {
			return
		}
		if target := c.elsewhere(f); target != nil && !followed {
			s.setHome(target, c.cfg.HomeTTL)
			if !again {
				return // The next call goes there.
			}
			// Nothing was executed, so this is no repetition.
			followed = true
			home = target
			continue
		}
		if home != nil && (f.network || f.reason == reasonWrongRegion) {
			s.setHome(nil, 0) // It has moved, or is not there: ask where calls begin.
			home = nil
		}
		if n >= c.cfg.MaxAttempts || !again || !f.mayRepeat() || c.pause(ctx, n, f) != nil {
			return
		}
	}
}

// errTooLong says that a wait would take longer than the caller or the configuration allows.
var errTooLong = errors.New("client: the wait would be too long")

// pause waits before attempt n + 1: as long as the platform says, and a random time up to a bound that doubles ("full jitter": Brooker,
// Exponential Backoff and Jitter, 2015).
func (c *Client) pause(ctx context.Context, n int, f *failure) error {
	bound := c.cfg.MaxBackoff
	if shift := n - 1; shift < 30 && c.cfg.Backoff<<shift < bound {
		bound = c.cfg.Backoff << shift
	}
	if f.retryAfter > c.cfg.MaxRetryAfter {
		return errTooLong
	}
	wait := f.retryAfter + c.cfg.Jitter(bound)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return errTooLong
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
