package edge_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/wrapperspb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/handover"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
)

type nearest struct {
	admitted bool
	err      error
}

func (n nearest) Admit(context.Context, ident.TenantID, routing.Tenant, http.Header) (bool, error) {
	return n.admitted, n.err
}

// A NEAREST call is answered by the edge's own region if its replica can, and otherwise at home: by the same answer as if it had gone
// there at once.
func TestNearestAnswersOrGoesHome(t *testing.T) {
	t.Parallel()
	invalid := fault.New(errorsv1.Reason_REASON_TOKEN_INVALID, "no such token")
	tests := map[string]struct {
		replica edge.Nearest
		notHere bool
		region  string
		reason  string
	}{
		"the replica answers":            {nearest{admitted: true}, false, "ap-southeast-1", "NOT_FOUND"},
		"the replica cannot after all":   {nearest{admitted: true}, true, "eu-central-1", "NOT_FOUND"},
		"the replica is behind":          {nearest{}, false, "eu-central-1", "NOT_FOUND"},
		"the caller's token is not good": {nearest{err: invalid}, false, "", "TOKEN_INVALID"},
		"no replica":                     {nil, false, "eu-central-1", "NOT_FOUND"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, platformConfig{edge: func(_ *place, c *edge.Config) { c.Nearest = tt.replica }})
			for id, pl := range p.places {
				pl.profiles.OnCall = func(ctx context.Context, _ proto.Message) error {
					c := call.From(ctx)
					if c.Home != "eu-central-1" || c.Region != id {
						return errors.New("the call does not say where it is answered")
					}
					c.NotHere = tt.notHere && id != c.Home
					return fault.New(errorsv1.Reason_REASON_NOT_FOUND, "no such user")
				}
			}
			for _, w := range rpctest.Wires(profilev1connect.ProfileServiceGetUserSummaryProcedure, "/v1/users/usr_1/summary") {
				request := p.request(t, "ap-southeast-1", "acme-eu", http.MethodGet, w.Path, "", nil)
				if w.Body != nil {
					body := w.Body(t, &profilev1.GetUserSummaryRequest{Id: "usr_1"})
					request = p.request(t, "ap-southeast-1", "acme-eu", http.MethodPost, w.Path, w.ContentType, bytes.NewReader(body))
				}
				got := rpctest.Exchange(t, w.Client(t), request)
				if got.Reason != tt.reason {
					t.Errorf("%s: %d %s %s, want %s", w.Name, got.Status, got.Reason, got.Message, tt.reason)
				}
				regions := got.Header.Values("Domicile-Region")
				if tt.region != "" && (len(regions) != 1 || regions[0] != tt.region) {
					t.Errorf("%s: answered by %v, want %s", w.Name, regions, tt.region)
				}
				if edges := got.Header.Values("Domicile-Edge"); len(edges) != 1 || edges[0] != "ap-southeast-1" {
					t.Errorf("%s: came in at %v", w.Name, edges)
				}
			}
		})
	}
}

const (
	summaryPath = "/v1/users/usr_1/summary"
	singapore   = identRegion("ap-southeast-1")
)

// withReplica is a platform whose edges have a replica that admits every call.
func withReplica(t *testing.T, change func(*place, *edge.Config)) *platform {
	t.Helper()
	return newPlatform(t, platformConfig{edge: func(pl *place, c *edge.Config) {
		c.Nearest = nearest{admitted: true}
		if change != nil {
			change(pl, c)
		}
	}})
}

// pretend makes what answers in Singapore a handler of the test's own.
func pretend(answer func(w http.ResponseWriter, r *http.Request, c *call.Call)) func(*place, *edge.Config) {
	return func(pl *place, c *edge.Config) {
		if pl.id != singapore {
			return
		}
		c.Local = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r, handover.From(r.Context())) })
	}
}

// createAtHome makes usr_1 in Frankfurt, and nowhere else.
func (p *platform) createAtHome(t *testing.T) {
	t.Helper()
	user := validUser()
	user.Handle = "ada-of-frankfurt"
	if _, err := p.home("acme-eu").profiles.CreateUser(t.Context(), &profilev1.CreateUserRequest{User: user}); err != nil {
		t.Fatal(err)
	}
}

// Nothing of an answer that the replica took back reaches the client, whatever was written: no header, no trailer, no byte.
func TestNothingOfAnAnswerTakenBackIsSeen(t *testing.T) {
	t.Parallel()
	p := withReplica(t, pretend(func(w http.ResponseWriter, r *http.Request, c *call.Call) {
		r.Header.Set("Domicile-Tenant", "acme-us")
		r.Header.Del("Authorization")
		r.URL.Path = "/nowhere"
		h := w.Header()
		h.Set("X-Poison", "1")
		h.Set("Trailer", "X-Late")
		h.Set("Content-Length", "6")
		h.Set("Content-Encoding", "gzip")
		h.Set("Domicile-Consistency", "a token of what is not here")
		h.Del("Vary")
		c.NotHere = true
		w.WriteHeader(http.StatusTeapot)
		if _, err := io.WriteString(w, "poison"); err != nil {
			t.Error(err)
		}
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		h.Set("X-Late", "1")
		h.Set(http.TrailerPrefix+"X-Later", "1")
	}))
	p.createAtHome(t)
	for _, w := range rpctest.Wires(profilev1connect.ProfileServiceGetUserSummaryProcedure, summaryPath) {
		request := p.request(t, singapore, "acme-eu", http.MethodGet, w.Path, "", nil)
		if w.Body != nil {
			body := w.Body(t, &profilev1.GetUserSummaryRequest{Id: "usr_1"})
			request = p.request(t, singapore, "acme-eu", http.MethodPost, w.Path, w.ContentType, bytes.NewReader(body))
		}
		request.Header.Set("Origin", "https://app.example")
		answer, err := w.Client(t).Do(request)
		if err != nil {
			t.Fatalf("%s: %v", w.Name, err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Errorf("%s: %v", w.Name, err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Errorf("%s: %v", w.Name, err)
		}
		if answer.StatusCode != http.StatusOK || !bytes.Contains(body, []byte("ada-of-frankfurt")) || bytes.Contains(body, []byte("poison")) {
			t.Errorf("%s: %d %q", w.Name, answer.StatusCode, body)
		}
		for _, name := range []string{"X-Poison", "X-Late", "X-Later", "Content-Encoding"} {
			if answer.Header.Get(name) != "" || answer.Trailer.Get(name) != "" {
				t.Errorf("%s: %s is left over", w.Name, name)
			}
		}
		if answer.Header.Get("Domicile-Region") != "eu-central-1" || strings.HasPrefix(answer.Header.Get("Domicile-Consistency"), "a token") {
			t.Errorf("%s: %v", w.Name, answer.Header)
		}
		if answer.Header.Get("Access-Control-Allow-Origin") == "" || answer.Header.Get("Vary") == "" {
			t.Errorf("%s: what was there before the replica was asked is lost: %v", w.Name, answer.Header)
		}
		if w.ContentType == "application/grpc" && answer.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("%s: trailers %v", w.Name, answer.Trailer)
		}
	}
}

// An answer that has begun, or a call that has written, is not made a second time at home.
func TestAnAnswerIsGivenOnce(t *testing.T) {
	t.Parallel()
	tests := map[string]func(http.ResponseWriter, *call.Call){
		"an answer that has begun": func(w http.ResponseWriter, c *call.Call) {
			_, _ = io.WriteString(w, "half ")
			c.NotHere = true
			_, _ = io.WriteString(w, "and half")
		},
		"a call that has written": func(w http.ResponseWriter, c *call.Call) {
			c.Committed = &call.Write{Epoch: 1, Seq: 1}
			c.NotHere = true
			_, _ = io.WriteString(w, "half and half")
		},
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := withReplica(t, pretend(func(w http.ResponseWriter, _ *http.Request, c *call.Call) { answer(w, c) }))
			got := rpctest.Exchange(t, rpctest.H1(t), p.request(t, singapore, "acme-eu", http.MethodGet, summaryPath, "", nil))
			if got.Status != http.StatusOK || got.Body != "half and half" {
				t.Errorf("%d %q", got.Status, got.Body)
			}
			if n := p.home("acme-eu").profiles.Calls(); n != 0 {
				t.Errorf("%d calls went home", n)
			}
		})
	}
}

// Bodies of any size and kind arrive whole, where the call ends up, and the connection goes on.
func TestBodiesOfNearestCalls(t *testing.T) {
	t.Parallel()
	const message = `{"id":"usr_1"}`
	tests := map[string]struct {
		body   []byte
		chunks bool
		// here says that the replica can answer it; what is too large to be sent twice goes home at once.
		here bool
		want int
	}{
		"small":               {[]byte(message), false, true, http.StatusOK},
		"small, in chunks":    {[]byte(message), true, true, http.StatusOK},
		"at the bound":        {[]byte(message + strings.Repeat(" ", 64<<10-len(message))), true, true, http.StatusOK},
		"beyond the bound":    {[]byte(message + strings.Repeat(" ", 64<<10-len(message)+1)), true, false, http.StatusOK},
		"large":               {[]byte(message + strings.Repeat(" ", 1<<20)), false, false, http.StatusOK},
		"large, in chunks":    {[]byte(message + strings.Repeat(" ", 1<<20)), true, false, http.StatusOK},
		"too large":           {bytes.Repeat([]byte(" "), 8<<20), false, false, http.StatusRequestEntityTooLarge},
		"too large in chunks": {bytes.Repeat([]byte(" "), 8<<20), true, false, http.StatusRequestEntityTooLarge},
		"none at all":         {nil, true, true, http.StatusBadRequest},
	}
	for _, notHere := range []bool{false, true} {
		p := withReplica(t, func(_ *place, c *edge.Config) { c.MaxBytes = 4 << 20 })
		for id, pl := range p.places {
			if _, err := pl.profiles.CreateUser(t.Context(), &profilev1.CreateUserRequest{User: validUser()}); err != nil {
				t.Fatal(err)
			}
			pl.profiles.OnCall = func(ctx context.Context, _ proto.Message) error {
				c := call.From(ctx)
				c.NotHere = notHere && id != c.Home
				return nil
			}
		}
		for name, tt := range tests {
			client := rpctest.H1(t)
			for range 2 {
				var body io.Reader = bytes.NewReader(tt.body)
				if tt.chunks {
					body = rpctest.Chunked(tt.body)
				}
				request := p.request(t, singapore, "acme-eu", http.MethodPost, profilev1connect.ProfileServiceGetUserSummaryProcedure, "application/json", body)
				got := rpctest.Exchange(t, client, request)
				want := "eu-central-1"
				if tt.here && !notHere {
					want = string(singapore)
				}
				if got.Status != tt.want || got.Status == http.StatusOK && got.Header.Get("Domicile-Region") != want {
					t.Errorf("%s, not here %t: %d %s by %q, want %d by %s", name, notHere, got.Status, got.Reason, got.Header.Get("Domicile-Region"), tt.want, want)
				}
			}
		}
	}
}

// A client's connection is used again after each of its calls, wherever they were answered.
func TestConnectionsOutliveNearestCalls(t *testing.T) {
	t.Parallel()
	var odd atomic.Int64
	p := withReplica(t, nil)
	for id, pl := range p.places {
		pl.profiles.OnCall = func(ctx context.Context, _ proto.Message) error {
			c := call.From(ctx)
			c.NotHere = id != c.Home && odd.Add(1)%2 == 1
			return fault.New(errorsv1.Reason_REASON_NOT_FOUND, "no such user")
		}
	}
	client := rpctest.H1(t)
	for n := range 6 {
		body := strings.NewReader(`{"id":"usr_1"}`)
		r := p.request(t, singapore, "acme-eu", http.MethodPost, profilev1connect.ProfileServiceGetUserSummaryProcedure, "application/json", body)
		reused := false
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
		got := rpctest.Exchange(t, client, r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
		want := []string{"eu-central-1", string(singapore)}[n%2]
		if got.Reason != "NOT_FOUND" || got.Header.Get("Domicile-Region") != want || reused != (n > 0) {
			t.Errorf("call %d: %s by %s, connection used before: %t", n, got.Reason, got.Header.Get("Domicile-Region"), reused)
		}
	}
}

// HEAD, a Connect GET and a strict call are answered as they are without a replica, but for who answers.
func TestOtherFormsOfNearestCalls(t *testing.T) {
	t.Parallel()
	get := profilev1connect.ProfileServiceGetUserSummaryProcedure + "?connect=v1&encoding=json&message=" + url.QueryEscape(`{"id":"usr_1"}`)
	for _, notHere := range []bool{false, true} {
		p := withReplica(t, nil)
		plain := newPlatform(t, platformConfig{})
		for id, pl := range p.places {
			pl.profiles.OnCall = func(ctx context.Context, m proto.Message) error {
				c := call.From(ctx)
				c.NotHere = notHere && id != c.Home
				if r, ok := m.(*profilev1.GetUserSummaryRequest); !ok || r.GetId() != "usr_1" {
					return errors.New("another request than was sent")
				}
				return fault.New(errorsv1.Reason_REASON_NOT_FOUND, "no such user")
			}
		}
		for _, form := range []struct{ method, path string }{{http.MethodHead, summaryPath}, {http.MethodGet, get}, {http.MethodGet, summaryPath}} {
			got := rpctest.Exchange(t, rpctest.H1(t), p.request(t, singapore, "acme-eu", form.method, form.path, "", nil))
			want := rpctest.Exchange(t, rpctest.H1(t), plain.request(t, singapore, "acme-eu", form.method, form.path, "", nil))
			if got.Status != want.Status || got.Reason != want.Reason || got.Header.Get("Allow") != want.Header.Get("Allow") {
				t.Errorf("%s %s: %d %s %s, without a replica %d %s %s", form.method, form.path, got.Status, got.Reason, got.Message, want.Status, want.Reason, want.Message)
			}
		}
		strict := p.request(t, singapore, "acme-eu", http.MethodPost, profilev1connect.ProfileServiceGetUserSummaryProcedure, "application/json",
			strings.NewReader(`{"id":"usr_1"}`))
		strict.Header.Set("Domicile-Routing", "strict")
		want := "NOT_FOUND"
		if notHere {
			want = "WRONG_REGION"
		}
		if got := rpctest.Exchange(t, rpctest.H1(t), strict); got.Reason != want {
			t.Errorf("strict, not here %t: %d %s", notHere, got.Status, got.Reason)
		}
	}
}

// patient waits for the replica as long as it is let.
type patient struct{}

// Admit implements edge.Nearest.
func (patient) Admit(ctx context.Context, _ ident.TenantID, _ routing.Tenant, _ http.Header) (bool, error) {
	<-ctx.Done()
	return false, ctx.Err()
}

// Nobody waits for the replica longer than the caller waits for the answer.
func TestWaitingForTheReplicaEndsWithTheCall(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{edge: func(_ *place, c *edge.Config) { c.Nearest = patient{} }})
	r := p.request(t, singapore, "acme-eu", http.MethodPost, profilev1connect.ProfileServiceGetUserSummaryProcedure, "application/json",
		strings.NewReader(`{"id":"usr_1"}`))
	r.Header.Set("Connect-Timeout-Ms", "20")
	if got := rpctest.Exchange(t, rpctest.H1(t), r); got.Reason != "DEADLINE_EXCEEDED" {
		t.Errorf("%d %s", got.Status, got.Reason)
	}
}

// streamsOfSummaries is the stream service as if its answers were projections that any region may give.
func streamsOfSummaries(t *testing.T) protoreflect.ServiceDescriptor {
	t.Helper()
	file := protodesc.ToFileDescriptorProto(rpctest.StreamDescriptor().ParentFile())
	file.Dependency = append(file.Dependency, profilev1.File_domicile_profile_v1_profile_proto.Path())
	for _, m := range file.GetService()[0].GetMethod() {
		proto.SetExtension(m.GetOptions(), policyv1.E_Route, policyv1.Route_ROUTE_NEAREST)
		m.OutputType = new(".domicile.profile.v1.GetUserSummaryResponse")
	}
	made, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return made.Services().Get(0)
}

// A stream cannot be taken back, so that no replica is asked for one.
func TestStreamsGoHome(t *testing.T) {
	t.Parallel()
	p := withReplica(t, func(pl *place, c *edge.Config) {
		c.Services = []protoreflect.ServiceDescriptor{streamsOfSummaries(t)}
		pretend(func(http.ResponseWriter, *http.Request, *call.Call) { t.Error("the replica was asked") })(pl, c)
	})
	for name, options := range streamOptions() {
		client := rpctest.NewStreamClient(rpctest.H2C(t), p.places[singapore].url, append(options, rpctest.Bearer(p.tenant["acme-eu"]))...)
		count, err := client.Count.CallServerStream(t.Context(), connect.NewRequest(wrapperspb.String("3")))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n := 0
		for count.Receive() {
			n++
		}
		if n != 3 || count.ResponseHeader().Get("Domicile-Region") != "eu-central-1" {
			t.Errorf("%s: %d messages, %v by %s", name, n, count.Err(), count.ResponseHeader().Get("Domicile-Region"))
		}
	}
}
