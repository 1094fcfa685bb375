package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/domicile-api/domicile/client"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
)

// region is a service of one region on a real port, in every protocol.
type region struct {
	url string

	mu    sync.Mutex
	fails []error // of the next calls; nil: answer
	calls []received
}

type received struct{ procedure, key, tokens string }

func (r *region) next(spec connect.Spec, h http.Header) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, received{spec.Procedure[strings.LastIndex(spec.Procedure, "/")+1:], h.Get("Idempotency-Key"), h.Get("Domicile-Consistency")})
	if len(r.fails) == 0 {
		return nil
	}
	err := r.fails[0]
	r.fails = r.fails[1:]
	return err
}

func (r *region) take() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

func (r *region) fail(errs ...error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails = errs
}

type profiles struct {
	profilev1connect.UnimplementedProfileServiceHandler
}

func (profiles) CreateUser(context.Context, *profilev1.CreateUserRequest) (*profilev1.CreateUserResponse, error) {
	return &profilev1.CreateUserResponse{}, nil
}

func (profiles) GetUser(context.Context, *profilev1.GetUserRequest) (*profilev1.GetUserResponse, error) {
	return &profilev1.GetUserResponse{}, nil
}

func newRegion(t *testing.T) *region {
	t.Helper()
	r := &region{}
	mux := http.NewServeMux()
	answer := connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			if err := r.next(request.Spec(), request.Header()); err != nil {
				return nil, err
			}
			response, err := next(ctx, request)
			if err == nil {
				response.Header().Set("Domicile-Consistency", "token")
			}
			return response, err
		}
	})
	mux.Handle(profilev1connect.NewProfileServiceHandler(profiles{}, connect.WithInterceptors(answer)))
	mux.Handle("/test.Stream/Echo", connect.NewBidiStreamHandler("/test.Stream/Echo",
		func(_ context.Context, s *connect.BidiStream[wrapperspb.StringValue, wrapperspb.StringValue]) error {
			if err := r.next(s.Conn().Spec(), s.RequestHeader()); err != nil {
				return err
			}
			s.ResponseHeader().Set("Domicile-Consistency", "of the stream")
			message, err := s.Receive()
			if err != nil {
				return err
			}
			return s.Send(message)
		}))
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func h2c(t *testing.T) *http.Transport {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	base := &http.Transport{Protocols: protocols}
	t.Cleanup(base.CloseIdleConnections)
	return base
}

// failing is an error as the platform gives it.
func failing(code connect.Code, reason string, metadata map[string]string, after time.Duration) error {
	err := connect.NewError(code, errors.New("no"))
	details := []proto.Message{&errdetails.ErrorInfo{Domain: "domicile.dev", Reason: reason, Metadata: metadata}}
	if after >= 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	}
	for _, message := range details {
		if detail, detailErr := connect.NewErrorDetail(message); detailErr == nil {
			err.AddDetail(detail)
		}
	}
	err.Meta().Set("Domicile-Consistency", "of an error")
	return err
}

var protocols = map[string]connect.ClientOption{
	"connect": connect.WithClientOptions(), "connect json": connect.WithProtoJSON(), "grpc": connect.WithGRPC(), "grpc-web": connect.WithGRPCWeb(),
}

func noWait(cfg *client.Config) { cfg.Jitter = func(time.Duration) time.Duration { return 0 } }

// TestInterceptor makes calls in every protocol: with tokens and keys, repeated as the platform allows.
func TestInterceptor(t *testing.T) {
	t.Parallel()
	busy := failing(connect.CodeUnavailable, "OVERLOADED", nil, 0)
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegion(t)
			c := newClient(t, h2c(t), func(cfg *client.Config) { noWait(cfg); cfg.Endpoints = []string{r.url} })
			users := profilev1connect.NewProfileServiceClient(&http.Client{Transport: h2c(t)}, r.url, protocol, connect.WithInterceptors(c.Interceptor()))
			create := func() error {
				_, err := users.CreateUser(t.Context(), &profilev1.CreateUserRequest{})
				return err
			}
			check := func(what string, err error, code connect.Code, want ...received) {
				t.Helper()
				if err != nil && connect.CodeOf(err) != code || err == nil && code != 0 {
					t.Errorf("%s: %v", what, err)
				}
				got := r.take()
				keys := map[string]bool{}
				for i := range got {
					keys[got[i].key] = true
					if got[i].key != "" {
						got[i].key = "key"
					}
				}
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(received{})); diff != "" || len(keys) != 1 {
					t.Errorf("%s: %d keys (-want +got)\n%s", what, len(keys), diff)
				}
			}
			check("a write", create(), 0, received{"CreateUser", "key", ""})
			_, err := users.GetUser(t.Context(), &profilev1.GetUserRequest{})
			check("a read", err, 0, received{"GetUser", "", "token"})
			r.fail(busy, busy)
			check("repeated", create(), 0, received{"CreateUser", "key", "token"}, received{"CreateUser", "key", "of an error"}, received{"CreateUser", "key", "of an error"})
			r.fail(busy, busy, busy, busy)
			check("given up", create(), connect.CodeUnavailable, slices.Concat([]received{{"CreateUser", "key", "token"}}, slices.Repeat([]received{{"CreateUser", "key", "of an error"}}, 3))...)
			r.fail(failing(connect.CodeResourceExhausted, "RATE_LIMITED", nil, -1))
			check("limited", create(), 0, slices.Repeat([]received{{"CreateUser", "key", "of an error"}}, 2)...)
			for what, err := range map[string]error{
				"not told when":   failing(connect.CodeUnavailable, "NO_LAWFUL_REGION", nil, -1),
				"not safe":        failing(connect.CodeUnavailable, "REGION_UNAVAILABLE", map[string]string{"retry_safe": "false"}, 0),
				"outcome unknown": failing(connect.CodeAborted, "OUTCOME_UNKNOWN", nil, 0),
				"too large":       failing(connect.CodeResourceExhausted, "TOO_LARGE", nil, -1),
				"not found":       failing(connect.CodeNotFound, "NOT_FOUND", nil, -1),
			} {
				r.fail(err)
				if got := create(); got == nil || len(r.take()) != 1 {
					t.Errorf("%s: %v, or sent again", what, got)
				}
			}
			r.fail(failing(connect.CodeInvalidArgument, "TOKEN_INVALID", nil, -1))
			if err := create(); err == nil {
				t.Error("no error")
			}
			r.take()
			check("after a refused token", create(), 0, received{"CreateUser", "key", ""})
		})
	}
}

// TestInterceptorGoesHome follows to another region, by the transport beneath, in every protocol, and not without it.
func TestInterceptorGoesHome(t *testing.T) {
	t.Parallel()
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edge, home := newRegion(t), newRegion(t)
			c := newClient(t, h2c(t), func(cfg *client.Config) { noWait(cfg); cfg.Endpoints = []string{edge.url} })
			users := profilev1connect.NewProfileServiceClient(c.HTTPClient(), edge.url, protocol, connect.WithInterceptors(c.Interceptor()))
			wrong := failing(connect.CodeFailedPrecondition, "WRONG_REGION", map[string]string{"home_endpoint": home.url, "retry_safe": "true"}, -1)
			edge.fail(wrong)
			for range 2 {
				if _, err := users.CreateUser(t.Context(), &profilev1.CreateUserRequest{}); err != nil {
					t.Fatal(err)
				}
			}
			at, then := edge.take(), home.take()
			if len(at) != 1 || len(then) != 2 || at[0].key != then[0].key || then[0].key == then[1].key {
				t.Errorf("at the edge %v, at home %v", at, then)
			}
			without := profilev1connect.NewProfileServiceClient(&http.Client{Transport: h2c(t)}, edge.url, protocol,
				connect.WithInterceptors(newClient(t, nil, func(cfg *client.Config) { cfg.Endpoints = []string{edge.url}; cfg.Base = nil }).Interceptor()))
			edge.fail(wrong)
			if _, err := without.CreateUser(t.Context(), &profilev1.CreateUserRequest{}); connect.CodeOf(err) != connect.CodeFailedPrecondition || len(edge.take()) != 1 {
				t.Errorf("without the transport: %v", err)
			}
		})
	}
}

// TestInterceptorNetwork repeats a call whose connection broke.
func TestInterceptorNetwork(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	base := &breaking{base: h2c(t), left: 2}
	c := newClient(t, base, func(cfg *client.Config) { noWait(cfg); cfg.Endpoints = []string{r.url} })
	for name, httpClient := range map[string]*http.Client{"with the transport": c.HTTPClient(), "without": {Transport: base}} {
		base.left = 2
		users := profilev1connect.NewProfileServiceClient(httpClient, r.url, connect.WithInterceptors(c.Interceptor()))
		if _, err := users.CreateUser(t.Context(), &profilev1.CreateUserRequest{}); err != nil || base.left != 0 {
			t.Errorf("%s: %v, %d failures left", name, err, base.left)
		}
	}
}

type breaking struct {
	base http.RoundTripper
	left int
}

func (b *breaking) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.left > 0 {
		b.left--
		return nil, errors.New("connection reset")
	}
	return b.base.RoundTrip(r)
}

// TestOneRequestSentTwice treats a request object that the caller sends again as another call, with a key of its own.
func TestOneRequestSentTwice(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	c := newClient(t, h2c(t), func(cfg *client.Config) { cfg.Endpoints = []string{r.url} })
	create := connect.NewClient[profilev1.CreateUserRequest, profilev1.CreateUserResponse](c.HTTPClient(),
		r.url+profilev1connect.ProfileServiceCreateUserProcedure, connect.WithInterceptors(c.Interceptor()))
	request := connect.NewRequest(&profilev1.CreateUserRequest{})
	for range 2 {
		if _, err := create.CallUnary(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	calls := r.take()
	if len(calls) != 2 || calls[0].key == calls[1].key || calls[1].tokens != "token" {
		t.Errorf("%+v", calls)
	}
}

// TestStreams carries tokens on streams, both ways, with and without the transport beneath.
func TestStreams(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]func(*client.Client) (connect.HTTPClient, connect.ClientOption){
		"both": func(c *client.Client) (connect.HTTPClient, connect.ClientOption) {
			return c.HTTPClient(), connect.WithInterceptors(c.Interceptor())
		},
		"the interceptor": func(c *client.Client) (connect.HTTPClient, connect.ClientOption) {
			return &http.Client{Transport: h2c(t)}, connect.WithInterceptors(c.Interceptor())
		},
		"the transport": func(c *client.Client) (connect.HTTPClient, connect.ClientOption) {
			return c.HTTPClient(), connect.WithClientOptions()
		},
	} {
		for _, protocol := range []connect.ClientOption{connect.WithClientOptions(), connect.WithGRPC()} {
			r := newRegion(t)
			c := newClient(t, h2c(t), func(cfg *client.Config) { cfg.Endpoints = []string{r.url} })
			httpClient, option := with(c)
			echo := connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](httpClient, r.url+"/test.Stream/Echo", option, protocol)
			for i := range 2 {
				stream := echo.CallBidiStream(t.Context())
				if err := stream.Send(wrapperspb.String("x")); err != nil {
					t.Fatal(err)
				}
				if _, err := stream.Receive(); err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(stream.CloseRequest(), stream.CloseResponse()); err != nil {
					t.Fatal(err)
				}
				calls := r.take()
				if want := []string{"", "of the stream"}[i]; len(calls) != 1 || calls[0].tokens != want || calls[0].key != "" {
					t.Errorf("%s: call %d: %+v, want tokens %q", name, i, calls, want)
				}
			}
		}
	}
}
