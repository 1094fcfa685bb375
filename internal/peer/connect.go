package peer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/domicile-api/domicile/gen/domicile/peer/v1/peerv1connect"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/topology"
)

// What a ConnectConfig says when it says nothing.
const (
	// DefaultTimeout is how long a call may take.
	DefaultTimeout = 10 * time.Second
	// DefaultOperateTimeout is how long a call of Operate may take: a repair or an audit goes over all that a region has.
	DefaultOperateTimeout = 2 * time.Minute
	// DefaultDialTimeout is how long connecting to a region may take.
	DefaultDialTimeout = 3 * time.Second
	// MaxRequestBytes bounds a request.
	MaxRequestBytes = 1 << 20
	// MaxAnswerBytes bounds an answer. Fetch answers for the first of the ids alone when all would be more.
	MaxAnswerBytes = 8 << 20
)

const (
	maxIdlePerRegion = 64
	idleTimeout      = time.Minute // shorter than the servers'
)

// DialFunc opens a connection to another region.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// ConnectConfig is what a region's Connect is made of. Zero durations stand for the defaults above.
type ConnectConfig struct {
	// Region is the one that calls; Topology has the endpoints. Required.
	Region   ident.RegionID
	Topology *topology.Topology
	// Key signs. Required.
	Key *Key
	// Clock is time.Now in production, Random crypto/rand.Reader. Required.
	Clock  func() time.Time
	Random io.Reader
	// TLS is for endpoints that are https; nil: the system's roots.
	TLS *tls.Config
	// Dial, if set, wraps how connections are opened, e.g. Faults.Dial.
	Dial func(DialFunc) DialFunc
	// Timeout bounds calls, OperateTimeout those of Operate, DialTimeout the opening of connections.
	Timeout, OperateTimeout, DialTimeout time.Duration
}

// Connect is the network between regions in processes of their own: PeerService over HTTP/1.1 at their endpoints, each request signed
// with the region's key. Answers are not signed: that they come from the region, and that nobody else reads them, is for TLS,
// which endpoints on machines of their own should have. Nothing is sent twice, except where the connection had been closed before a byte
// of the request was on it.
type Connect struct {
	cfg       ConnectConfig
	transport *http.Transport
	clients   map[ident.RegionID]peerv1connect.PeerServiceClient
}

var (
	_ Network = (*Connect)(nil)

	errConfig = errors.New("peer: incomplete configuration")
)

// NewConnect returns what a region sees of the others. Close it when no call is running any more.
func NewConnect(cfg ConnectConfig) (*Connect, error) {
	if cfg.Topology == nil || cfg.Region == ident.NoRegion || cfg.Key == nil || cfg.Clock == nil || cfg.Random == nil {
		return nil, errConfig
	}
	for _, d := range []struct {
		value *time.Duration
		other time.Duration
	}{{&cfg.Timeout, DefaultTimeout}, {&cfg.OperateTimeout, DefaultOperateTimeout}, {&cfg.DialTimeout, DefaultDialTimeout}} {
		if *d.value <= 0 {
			*d.value = d.other
		}
	}
	dial := (&net.Dialer{Timeout: cfg.DialTimeout}).DialContext
	if cfg.Dial != nil {
		dial = cfg.Dial(dial)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // One message each way: a pool of connections is faster than one that is shared.
	c := &Connect{cfg: cfg, clients: make(map[ident.RegionID]peerv1connect.PeerServiceClient), transport: &http.Transport{
		Protocols: protocols, DialContext: dial, TLSClientConfig: cfg.TLS, TLSHandshakeTimeout: cfg.DialTimeout,
		MaxIdleConnsPerHost: maxIdlePerRegion, IdleConnTimeout: idleTimeout, DisableCompression: true,
	}}
	for _, i := range cfg.Topology.Regions() {
		c.clients[cfg.Topology.ID(i)] = c.client(cfg.Topology.ID(i), cfg.Topology.Services(i))
	}
	return c, nil
}

func (c *Connect) client(target ident.RegionID, endpoint string) peerv1connect.PeerServiceClient {
	signed := &http.Client{
		Transport:     &signing{cfg: &c.cfg, target: target, next: c.transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return peerv1connect.NewPeerServiceClient(signed, endpoint,
		connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
			return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
				return c.call(ctx, target, request, next)
			}
		})),
		connect.WithReadMaxBytes(MaxAnswerBytes), connect.WithSendMaxBytes(MaxRequestBytes),
		// What is sealed does not get smaller.
		connect.WithAcceptCompression("gzip", nil, nil),
	)
}

// To implements Network.
func (c *Connect) To(region ident.RegionID) peerv1connect.PeerServiceClient {
	if client, ok := c.clients[region]; ok {
		return client
	}
	return nowhere{}
}

// Close gives the connections back.
func (c *Connect) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}

// call makes one call and gives its failure the form that the port promises.
func (c *Connect) call(ctx context.Context, target ident.RegionID, request connect.AnyRequest, next connect.UnaryFunc) (connect.AnyResponse, error) {
	timeout := c.cfg.Timeout
	if request.Spec().Procedure == peerv1connect.PeerServiceOperateProcedure {
		timeout = c.cfg.OperateTimeout
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := next(bounded, request)
	if err == nil {
		return answer, nil
	}
	if over := ended(ctx); over != nil {
		return nil, over
	}
	return nil, failure(target, err)
}

// failure tells what the region has answered from what only happened to the call: a region's own answer has a reason. What comes from
// anything in front of it, or from another program in its place, is no answer.
func failure(target ident.RegionID, err error) error {
	coded, ok := errors.AsType[*connect.Error](err)
	if ok && (len(coded.Details()) > 0 || coded.Code() == connect.CodeResourceExhausted) {
		return incoming(rpc.ToFault(coded))
	}
	return fmt.Errorf("%w: %s: %w", ErrUnreachable, target, err)
}

// signing signs requests.
type signing struct {
	cfg    *ConnectConfig
	target ident.RegionID
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (s *signing) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		read, err := io.ReadAll(r.Body)
		if err := errors.Join(err, r.Body.Close()); err != nil {
			return nil, fmt.Errorf("reading a request: %w", err)
		}
		body = read
	}
	c := &claims{
		origin: s.cfg.Region, keyID: s.cfg.Key.ID(), target: s.target, procedure: r.URL.Path,
		body: sha256.Sum256(body), issued: s.cfg.Clock(),
	}
	if _, err := io.ReadFull(s.cfg.Random, c.nonce[:]); err != nil {
		return nil, fmt.Errorf("making a nonce: %w", err)
	}
	header, err := s.cfg.Key.sign(c)
	if err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	out.Header.Set(HeaderName, header)
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return s.next.RoundTrip(out) //nolint:wrapcheck // failure reads it
}
