package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
)

// A body arrives at home as it was sent, whatever its size and however it is framed, and the answer comes back.
func TestBodiesPass(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	home := p.home("acme-eu")
	var seen string
	home.profiles.OnCall = func(_ context.Context, m proto.Message) error {
		if create, ok := m.(*profilev1.CreateUserRequest); ok {
			seen = create.GetUser().GetRegulatedNote()
		}
		return nil
	}
	framings := map[string]func([]byte) io.Reader{
		"sized": func(body []byte) io.Reader { return bytes.NewReader(body) }, "in chunks": rpctest.Chunked,
	}
	for _, size := range []int{0, 1, 3999} {
		for _, pad := range []int{0, 40 << 10, 64<<10 - 7, 64 << 10, 64<<10 + 1, 1 << 20, 3 << 20} {
			user := validUser()
			user.RegulatedNote = strings.Repeat("n", size)
			body := append(rpctest.JSONBody(t, user), bytes.Repeat([]byte(" "), pad)...)
			for name, framing := range framings {
				for _, client := range []*http.Client{rpctest.H1(t), rpctest.H2C(t)} {
					reader := framing(body)
					got := rpctest.Exchange(t, client, p.request(t, "us-east-1", "acme-eu", http.MethodPost, "/v1/users", "application/json", reader))
					if got.Status != http.StatusOK || seen != user.GetRegulatedNote() || !strings.Contains(got.Body, "usr_") {
						t.Errorf("%d bytes %s: %d %s %s, home saw %d", len(body), name, got.Status, got.Reason, got.Message, len(seen))
					}
				}
			}
		}
	}
}

// A body over the limit is refused at the edge that it comes to, in every protocol, and the home does not hear of it.
func TestTooLargeBodies(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	home := p.home("acme-eu")
	user := validUser()
	user.RegulatedNote = strings.Repeat("n", 5<<20)
	for _, through := range []*place{p.places["us-east-1"], home} {
		for _, w := range rpctest.Wires(createUser, "/v1/users") {
			body := rpctest.JSONBody(t, user)
			if w.Body != nil {
				body = w.Body(t, &profilev1.CreateUserRequest{User: user})
			}
			for name, reader := range map[string]io.Reader{"sized": bytes.NewReader(body), "in chunks": rpctest.Chunked(body)} {
				r := p.request(t, through.id, "acme-eu", http.MethodPost, w.Path, w.ContentType, reader)
				got := rpctest.Exchange(t, w.Client(t), r)
				if got.Reason != "TOO_LARGE" || !strings.HasPrefix(w.Name, "gRPC") && got.Status != http.StatusRequestEntityTooLarge {
					t.Errorf("%s, %s, at %s: %d %s", w.Name, name, through.id, got.Status, got.Reason)
				}
			}
		}
	}
	if n := home.profiles.Calls(); n != 0 {
		t.Errorf("%d calls reached the home", n)
	}
}

func TestBigAnswers(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	home := p.home("acme-eu")
	for range 500 {
		user := validUser()
		user.RegulatedNote = strings.Repeat("n", 4000)
		if _, err := home.profiles.CreateUser(t.Context(), &profilev1.CreateUserRequest{User: user}); err != nil {
			t.Fatal(err)
		}
	}
	for name, options := range streamOptions() {
		for _, http := range []*http.Client{rpctest.H1(t), rpctest.H2C(t)} {
			if name == "grpc" {
				http = rpctest.H2C(t)
			}
			client := profilev1connect.NewProfileServiceClient(http, p.places["us-east-1"].url, append(options, rpctest.Bearer(p.tenant["acme-eu"]))...)
			list, err := client.ListUsers(t.Context(), &profilev1.ListUsersRequest{PageSize: 500})
			if err != nil || len(list.GetUsers()) != 500 || len(list.GetUsers()[499].GetRegulatedNote()) != 4000 {
				t.Errorf("%s: %d users, %v", name, len(list.GetUsers()), err)
			}
		}
	}
}

func streamOptions() map[string][]connect.ClientOption {
	return map[string][]connect.ClientOption{
		"connect": nil, "connect-json": {connect.WithProtoJSON()}, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
	}
}

// Streams pass an edge message by message, with headers, trailers, and errors after messages.
func TestStreamsPass(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	for _, through := range []*place{p.places["us-east-1"], p.home("acme-eu")} {
		for name, options := range streamOptions() {
			name += " at " + string(through.id)
			client := rpctest.NewStreamClient(rpctest.H2C(t), through.url, append(options, rpctest.Bearer(p.tenant["acme-eu"]))...)
			count, err := client.Count.CallServerStream(t.Context(), connect.NewRequest(wrapperspb.String("3!")))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			n := 0
			for count.Receive() {
				n++
			}
			if n != 3 || reasonOf(count.Err()) != "NOT_FOUND" || count.ResponseTrailer().Get("X-Counted") != "3" ||
				count.ResponseHeader().Get("Domicile-Consistency") != "token" || count.ResponseHeader().Get("Domicile-Edge") != string(through.id) {
				t.Errorf("%s: %d messages, %v, trailer %v, header %v", name, n, count.Err(), count.ResponseTrailer(), count.ResponseHeader())
			}
			join := client.Join.CallClientStream(t.Context())
			for _, text := range []string{"a", "b", strings.Repeat("c", 1<<20)} {
				if err := join.Send(wrapperspb.String(text)); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if joined, err := join.CloseAndReceive(); err != nil || len(joined.Msg.GetValue()) != 2+1<<20 {
				t.Errorf("%s: join: %v", name, err)
			}
			echo := client.Echo.CallBidiStream(t.Context())
			for _, text := range []string{"a", "b"} {
				if err := echo.Send(wrapperspb.String(text)); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if got, err := echo.Receive(); err != nil || got.GetValue() != text {
					t.Fatalf("%s: %v %v", name, got, err)
				}
			}
			if err := echo.CloseRequest(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := echo.Receive(); !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// When the home ends a stream while the client still sends, the end reaches the client: the regression of httputil.ReverseProxy,
// which waits for the client's next message for ever.
func TestHomeEndsTheStreamFirst(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	for name, options := range streamOptions() {
		client := rpctest.NewStreamClient(rpctest.H2C(t), p.places["us-east-1"].url, append(options, rpctest.Bearer(p.tenant["acme-eu"]))...)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		echo := client.Echo.CallBidiStream(ctx)
		if err := echo.Send(wrapperspb.String("stop")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		// The request is not closed.
		if _, err := echo.Receive(); reasonOf(err) != "ETAG_MISMATCH" {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

// Over HTTP/1.1 too: the end of a call arrives whole though the client is in the middle of sending, and the connection ends with it.
func TestHomeEndsTheUploadFirst(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	for name, options := range streamOptions() {
		if name == "grpc" {
			continue
		}
		for range 10 {
			client := rpctest.NewStreamClient(rpctest.H1(t), p.places["us-east-1"].url, append(options, rpctest.Bearer(p.tenant["acme-eu"]))...)
			join := client.Join.CallClientStream(t.Context())
			text := wrapperspb.String("stop")
			for range 40 {
				if err := join.Send(text); err != nil {
					break // the answer is there
				}
				text = wrapperspb.String(strings.Repeat("x", 64<<10))
			}
			if _, err := join.CloseAndReceive(); reasonOf(err) != "ETAG_MISMATCH" {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// rawUpload begins a client stream over HTTP/1.1 by hand; what follows is written and read at will.
func rawUpload(t *testing.T, p *platform) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn := p.dial(t, "us-east-1")
	sayf(t, conn, "POST /%s/Join HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/connect+proto\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n", rpctest.StreamService, p.tenant["acme-eu"])
	return conn, bufio.NewReader(conn)
}

// The home may begin its answer while it still reads the request: the edge goes on with both.
func TestAnswerBeginsBeforeTheUploadEnds(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{instead: map[identRegion]http.Handler{"eu-central-1": http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			rest, err := io.ReadAll(r.Body)
			_, _ = fmt.Fprintf(w, "%s %v", rest, err)
		})}})
	conn, reader := rawUpload(t, p)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	sayf(t, conn, "6\r\nsecond\r\n0\r\n\r\n")
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "firstsecond <nil>" {
		t.Errorf("%q %v", body, err)
	}
}

// An answer that is on its way arrives whole though the home has no more use for the request.
func TestLongAnswerToAnUnfinishedUpload(t *testing.T) {
	t.Parallel()
	const size = 3 << 20
	p := newPlatform(t, platformConfig{instead: map[identRegion]http.Handler{"eu-central-1": http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) })}})
	for range 10 {
		_, reader := rawUpload(t, p)
		if answer, err := hear(t, reader); len(answer.body) != size || err != nil {
			t.Fatalf("%d bytes, %v", len(answer.body), err)
		}
	}
}

// An answer without a body arrives too: that the request is not read any more must not count as a client that went away.
func TestEmptyAnswerToAnUnfinishedUpload(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{instead: map[identRegion]http.Handler{"eu-central-1": http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })}})
	for range 100 {
		_, reader := rawUpload(t, p)
		if answer, err := hear(t, reader); err != nil || answer.status != http.StatusTeapot {
			t.Fatalf("%v %v", answer, err)
		}
	}
}

// A client that goes away in the middle of a call ends it at home.
func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	home := p.home("acme-eu")
	for name, options := range streamOptions() {
		home.streams.Gone = make(chan struct{})
		client := rpctest.NewStreamClient(rpctest.H2C(t), p.places["us-east-1"].url, append(options, rpctest.Bearer(p.tenant["acme-eu"]))...)
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := client.Count.CallServerStream(ctx, connect.NewRequest(wrapperspb.String("wait")))
		if err != nil || !stream.Receive() {
			t.Fatalf("%s: %v", name, err)
		}
		cancel()
		<-home.streams.Gone
	}
	for _, client := range []*http.Client{rpctest.H1(t), rpctest.H2C(t)} {
		begun, gone := make(chan struct{}), make(chan struct{})
		home.profiles.OnCall = func(ctx context.Context, _ proto.Message) error {
			close(begun)
			<-ctx.Done()
			close(gone)
			return ctx.Err()
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-begun
			cancel()
		}()
		r := p.request(t, "us-east-1", "acme-eu", http.MethodGet, "/v1/users/x", "", nil).WithContext(ctx)
		if answer, err := client.Do(r); err == nil {
			_ = answer.Body.Close()
			t.Error("a cancelled call was answered")
		}
		<-gone
	}
}

// The caller's deadline goes home with the call, and is kept there.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	var left time.Duration
	home := p.home("acme-eu").profiles
	home.OnCall = func(ctx context.Context, _ proto.Message) error {
		deadline, ok := ctx.Deadline()
		if !ok {
			left = 0
			return nil
		}
		left = time.Until(deadline)
		return nil
	}
	for name, options := range streamOptions() {
		left = 0
		client := profilev1connect.NewProfileServiceClient(rpctest.H2C(t), p.places["us-east-1"].url, append(options, rpctest.Bearer(p.tenant["acme-eu"]))...)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		_, err := client.GetUser(ctx, &profilev1.GetUserRequest{Id: "x"})
		cancel()
		if connect.CodeOf(err) != connect.CodeNotFound || left <= 50*time.Minute || left > time.Hour {
			t.Errorf("%s: %v, left at home: %v", name, err, left)
		}
	}
	home.OnCall = func(ctx context.Context, _ proto.Message) error {
		<-ctx.Done()
		return ctx.Err()
	}
	r := p.request(t, "us-east-1", "acme-eu", http.MethodGet, "/v1/users/x", "", nil)
	r.Header.Set("X-Server-Timeout", "0.1")
	if got := rpctest.Exchange(t, rpctest.H1(t), r); got.Reason != "DEADLINE_EXCEEDED" || got.Status != http.StatusGatewayTimeout {
		t.Errorf("REST: %d %s", got.Status, got.Reason)
	}
}

// What a client says of itself or of the platform does not pass, nor what concerns one connection alone.
func TestHeadersThatDoNotPass(t *testing.T) {
	t.Parallel()
	var seen http.Header
	p := newPlatform(t, platformConfig{instead: map[identRegion]http.Handler{"eu-central-1": http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			seen = r.Header.Clone()
			w.Header().Set("Connection", "X-Hop")
			w.Header().Set("X-Hop", "1")
			w.Header().Set("X-End", "1")
			w.WriteHeader(http.StatusOK)
		})}})
	r := p.request(t, "us-east-1", "acme-eu", http.MethodGet, "/v1/users/x?pageSize=1", "", nil)
	for _, name := range []string{
		"Domicile-Edge", "Domicile-Home", "Domicile-Region", "Domicile-Country", "Forwarded", "X-Forwarded-For", "X-Real-Ip", "CloudFront-Viewer-City",
		"X-Hop", "Proxy-Authorization", "Upgrade", "Keep-Alive", "Idempotency-Replayed",
	} {
		r.Header.Set(name, "canary")
	}
	r.Header.Set("Connection", "X-Hop, close")
	for _, name := range []string{"Domicile-Consistency", "Domicile-Max-Wait", "Traceparent", "X-Product", "User-Agent"} {
		r.Header.Set(name, "passes")
	}
	got := rpctest.Exchange(t, rpctest.H1(t), r)
	for name, values := range seen {
		if values[0] == "canary" {
			t.Errorf("%s passed", name)
		}
	}
	for _, name := range []string{"Domicile-Consistency", "Domicile-Max-Wait", "Traceparent", "X-Product", "User-Agent"} {
		if seen.Get(name) != "passes" {
			t.Errorf("%s did not pass", name)
		}
	}
	if seen.Get("Authorization") != "Bearer "+p.tenant["acme-eu"] || len(seen["Domicile-Route"]) != 1 {
		t.Errorf("headers at home: %v", seen)
	}
	if got.Header.Get("X-Hop") != "" || got.Header.Get("X-End") != "1" {
		t.Errorf("headers of the answer: %v", got.Header)
	}
}

// An answer that breaks off does not look whole.
func TestAnswerThatBreaksOff(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{instead: map[identRegion]http.Handler{"eu-central-1": http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 100<<10))
			panic(http.ErrAbortHandler)
		})}})
	for _, client := range []*http.Client{rpctest.H1(t), rpctest.H2C(t)} {
		answer, err := client.Do(p.request(t, "us-east-1", "acme-eu", http.MethodGet, "/v1/users/x", "", nil))
		if err != nil {
			continue
		}
		if _, err := io.Copy(io.Discard, answer.Body); err == nil {
			t.Error("the answer looks whole")
		}
		_ = answer.Body.Close()
	}
}

func reasonOf(err error) string {
	if coded, ok := errors.AsType[*connect.Error](err); ok {
		return rpc.ReasonName(rpc.ToFault(coded).Reason)
	}
	return ""
}

func TestIncompleteConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := edge.New(edge.Config{}); err == nil {
		t.Error("an edge without anything")
	}
}
