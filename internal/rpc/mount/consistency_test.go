package mount_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/consistency"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/rpc/mount"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
)

// oneKey is the key ring of these tests.
type oneKey struct{ secret consistency.Secret }

func (k oneKey) Newest() (uint32, consistency.Secret, bool) { return 1, k.secret, true }

func (k oneKey) Secret(id uint32) (consistency.Secret, consistency.KeyState) {
	if id != 1 {
		return consistency.Secret{}, consistency.KeyUnknown
	}
	return k.secret, consistency.KeyOpen
}

func newTokens(t *testing.T) (*consistency.Codec, *consistency.Tokens) {
	t.Helper()
	secret, err := consistency.NewSecret(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	codec, err := consistency.NewCodec(consistency.CodecConfig{Keys: oneKey{secret}})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := consistency.NewTokens(consistency.TokensConfig{
		Codec: codec, Clock: time.Now, History: func(ident.TenantID) consistency.History { return consistency.History{Present: 1} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return codec, tokens
}

// committed is a replayer that rebuilds the position of the write, as that of production does.
type committed struct{ idempotency.Replayer }

func (r committed) Replay(ctx context.Context, c *call.Call) ([]byte, bool, error) {
	answer, found, err := r.Replayer.Replay(ctx, c)
	if found {
		c.Committed = &call.Write{Epoch: 1, Lane: 4, Seq: 44}
	}
	return answer, found, err
}

// TestConsistencyTokens follows tokens through a call in each protocol: the answer's covers the request's, what the answer shows and
// what was written, also when it is the answer of an earlier call, and also when it is an error. A bad one is refused.
func TestConsistencyTokens(t *testing.T) {
	t.Parallel()
	codec, tokens := newTokens(t)
	given := ident.Positions{Epoch: 1, Lanes: [ident.Lanes]ident.Seq{2: 22}}
	token, err := codec.Mint(tenant, given)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := codec.Mint("acme-us", given)
	if err != nil {
		t.Fatal(err)
	}
	r := newRegion(t, regionConfig{rpc: func(cfg *mount.Config) {
		cfg.Tokens, cfg.Replayer = tokens, committed{cfg.Replayer}
	}})
	r.profiles.OnCall = func(ctx context.Context, request proto.Message) error {
		c := call.From(ctx)
		c.Seen = ident.Positions{Epoch: 1, Lanes: [ident.Lanes]ident.Seq{3: 33}}
		switch request.(type) {
		case *profilev1.CreateUserRequest:
			c.Committed = &call.Write{Epoch: 1, Lane: 4, Seq: 44}
		case *profilev1.LookupUserRequest:
			return fault.New(errorsv1.Reason_REASON_NOT_FOUND, "there is no such user")
		}
		return nil
	}
	create := &profilev1.CreateUserRequest{User: validUser()}
	restCreate := rpctest.JSONBody(t, validUser())
	lookup, restLookup := &profilev1.LookupUserRequest{Email: "ada@example.com"}, []byte(`{"email":"ada@example.com"}`)
	exchange := func(t *testing.T, wire rpctest.Wire, message proto.Message, rest []byte, tokens []string, key string) rpctest.Failure {
		t.Helper()
		body := rest
		if wire.Body != nil {
			body = wire.Body(t, message)
		}
		request := r.request(t, http.MethodPost, wire.Path, wire.ContentType, bytes.NewReader(body))
		request.Header[rpc.HeaderConsistency] = tokens
		if key != "" {
			request.Header.Set(rpc.HeaderIdempotencyKey, key)
		}
		if wire.Name == "gRPC" {
			request.Header.Set("TE", "trailers")
		}
		return rpctest.Exchange(t, wire.Client(t), request)
	}
	check := func(t *testing.T, what string, answer rpctest.Failure, reason string, want [ident.Lanes]ident.Seq) {
		t.Helper()
		if answer.Reason != reason {
			t.Errorf("%s: reason %q, want %q: %s", what, answer.Reason, reason, answer.Body)
		}
		got, err := codec.Parse(tenant, answer.Header.Get(rpc.HeaderConsistency))
		if err != nil || got.Lanes != want || got.Epoch != 1 {
			t.Errorf("%s: token %v (%v), want %v; headers %v", what, got, err, want, answer.Header)
		}
	}
	all := [ident.Lanes]ident.Seq{2: 22, 3: 33, 4: 44}
	for i, wire := range rpctest.Wires(profilev1connect.ProfileServiceCreateUserProcedure, "/v1/users") {
		t.Run(wire.Name, func(t *testing.T) {
			t.Parallel()
			check(t, "a write", exchange(t, wire, create, restCreate, nil, ""), "", [ident.Lanes]ident.Seq{3: 33, 4: 44})
			key := "again-" + strconv.Itoa(i)
			check(t, "a write with a token", exchange(t, wire, create, restCreate, []string{token}, key), "", all)
			check(t, "its repetition", exchange(t, wire, create, restCreate, []string{token}, key), "", [ident.Lanes]ident.Seq{2: 22, 4: 44})
			for name, bad := range map[string]string{"a foreign token": foreign, "a cut one": token[:20]} {
				if answer := exchange(t, wire, create, restCreate, []string{token, bad}, ""); answer.Reason != "TOKEN_INVALID" {
					t.Errorf("%s: %+v", name, answer)
				}
			}
		})
	}
	for _, wire := range rpctest.Wires(profilev1connect.ProfileServiceLookupUserProcedure, "/v1/users:lookup")[:4] {
		t.Run("error "+wire.Name, func(t *testing.T) {
			t.Parallel()
			answer := exchange(t, wire, lookup, restLookup, []string{token}, "")
			check(t, "an error", answer, "NOT_FOUND", [ident.Lanes]ident.Seq{2: 22, 3: 33})
		})
	}
}

// TestConsistencyTokenOfErrors reads the token of an error as the clients of each protocol do, wherever the protocol puts it.
func TestConsistencyTokenOfErrors(t *testing.T) {
	t.Parallel()
	codec, tokens := newTokens(t)
	r := newRegion(t, regionConfig{rpc: func(cfg *mount.Config) { cfg.Tokens = tokens }})
	r.profiles.OnCall = func(ctx context.Context, _ proto.Message) error {
		call.From(ctx).Seen = ident.Positions{Epoch: 1, Lanes: [ident.Lanes]ident.Seq{3: 33}}
		return nil
	}
	for name, option := range map[string]connect.ClientOption{
		"connect": connect.WithClientOptions(), "grpc": connect.WithGRPC(), "grpc-web": connect.WithGRPCWeb(),
	} {
		client := profilev1connect.NewProfileServiceClient(rpctest.H2C(t), r.url, option, rpctest.Bearer(r.key))
		_, err := client.GetUser(t.Context(), &profilev1.GetUserRequest{Id: "usr_404"})
		coded, ok := errors.AsType[*connect.Error](err)
		if !ok || coded.Code() != connect.CodeNotFound {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := codec.Parse(tenant, coded.Meta().Get(rpc.HeaderConsistency)); err != nil || got.Lanes[3] != 33 {
			t.Errorf("%s: token %v, %v in %v", name, got, err, coded.Meta())
		}
	}
}

// TestConsistencyTokenOfStreams gives a stream the token of the request before its first message, and refuses one with a bad token.
func TestConsistencyTokenOfStreams(t *testing.T) {
	t.Parallel()
	codec, tokens := newTokens(t)
	r := newRegion(t, regionConfig{rpc: func(cfg *mount.Config) { cfg.Tokens = tokens }})
	token, err := codec.Mint(tenant, ident.Positions{Epoch: 1, Lanes: [ident.Lanes]ident.Seq{2: 22}})
	if err != nil {
		t.Fatal(err)
	}
	client := rpctest.NewStreamClient(rpctest.H2C(t), r.url, rpctest.Bearer(r.key), connect.WithGRPC())
	echo := func(token string) (http.Header, error) {
		stream := client.Echo.CallBidiStream(t.Context())
		stream.RequestHeader().Set(rpc.HeaderConsistency, token)
		if err := stream.Send(wrapperspb.String("hello")); err != nil && !errors.Is(err, io.EOF) { // EOF: the answer says why.
			return nil, err
		}
		_, err := stream.Receive()
		return stream.ResponseHeader(), errors.Join(err, stream.CloseRequest(), stream.CloseResponse())
	}
	header, err := echo(token)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := codec.Parse(tenant, header.Get(rpc.HeaderConsistency)); err != nil || got.Lanes[2] != 22 {
		t.Errorf("token %v, %v", got, err)
	}
	if _, err := echo("forged"); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a forged token: %v", err)
	}
}

// TestNoTokens leaves the header alone without a configuration, and for calls that are not a tenant's.
func TestConsistencyHeader(t *testing.T) {
	t.Parallel()
	if rpc.HeaderConsistency != consistency.Header {
		t.Errorf("the tokens' header is %s here and %s there", rpc.HeaderConsistency, consistency.Header)
	}
}

func TestNoTokens(t *testing.T) {
	t.Parallel()
	_, tokens := newTokens(t)
	for name, cfg := range map[string]regionConfig{
		"off":       {},
		"no tenant": {rpc: func(cfg *mount.Config) { cfg.Tokens = tokens }, route: func(c *call.Call) { c.Tenant = "" }},
	} {
		r := newRegion(t, cfg)
		request := r.request(t, http.MethodGet, "/v1/tenants/x", "", nil)
		request.Header.Set("Authorization", "Bearer "+r.operator)
		request.Header.Set(rpc.HeaderConsistency, "forged")
		if answer := rpctest.Exchange(t, rpctest.H1(t), request); answer.Reason != "VERSION_UNAVAILABLE" || answer.Header.Get(rpc.HeaderConsistency) != "" {
			t.Errorf("%s: %+v", name, answer)
		}
	}
}
