package rpc_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/gen/domicile/tenancy/v1/tenancyv1connect"
	"github.com/domicile-api/domicile/guard"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/handover"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
)

const tenant = "acme-eu"

// region is one region's services on a real port, every call handed over as an edge would.
type region struct {
	url      string
	key      string
	operator string
	keys     *rpctest.Keys
	profiles *rpctest.Profiles
	streams  *rpctest.Streams
	server   *http.Server
}

type regionConfig struct {
	rpc    func(*rpc.Config)
	server func(*rpc.ServerConfig)
	// route changes what the edge hands over.
	route func(*call.Call)
}

func newRegion(t testing.TB, cfg regionConfig) *region {
	t.Helper()
	r := &region{keys: &rpctest.Keys{}, streams: &rpctest.Streams{Gone: make(chan struct{})}}
	memory := &rpctest.Memory{}
	r.profiles = &rpctest.Profiles{Memory: memory}
	r.key, r.operator = r.keys.Tenant(t, tenant), r.keys.Operator(t)
	options := rpctest.Options(t, r.keys, memory, cfg.rpc)
	path, handler := profilev1connect.NewProfileServiceHandler(r.profiles, options...)
	tenancyPath, tenancyHandler := tenancyv1connect.NewTenancyServiceHandler(tenancyv1connect.UnimplementedTenancyServiceHandler{}, options...)
	region, err := rpc.NewHandler(rpc.HandlerConfig{
		Region: "eu-central-1", Release: "test",
		Mounts: []rpc.Mount{{Path: path, Handler: handler}, {Path: tenancyPath, Handler: tenancyHandler}, r.streams.Mount(options...)},
		Guard:  guard.New(guard.Config{Region: "eu-central-1"}),
	})
	if err != nil {
		t.Fatalf("mounting: %v", err)
	}
	r.serve(t, cfg, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c := &call.Call{Tenant: tenant, Epoch: 1, Home: "eu-central-1", Jurisdiction: "EU", Region: "eu-central-1", Edge: "us-east-1"}
		if cfg.route != nil {
			cfg.route(c)
		}
		if err := rpc.LimitBody(req, rpc.DefaultMaxBytes); err != nil {
			w.Header().Set("Connection", "close")
			rpc.WriteError(w, req, err)
			return
		}
		region.ServeHTTP(w, req.WithContext(handover.With(req.Context(), c)))
	}))
	return r
}

func (r *region) serve(t testing.TB, cfg regionConfig, handler http.Handler) {
	t.Helper()
	serverConfig := rpc.ServerConfig{Handler: rpc.CORS(handler), Logger: discard}
	if cfg.server != nil {
		cfg.server(&serverConfig)
	}
	r.server = rpc.NewServer(serverConfig)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	r.url = "http://" + listener.Addr().String()
	go func() { _ = r.server.Serve(listener) }()
	t.Cleanup(func() { _ = r.server.Close() })
}

// h2c is a client of HTTP/2 without TLS, as gRPC wants.
func h2c(t testing.TB) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func h1(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// bearer adds the key to each call of a Connect client.
func bearer(key string) connect.ClientOption {
	return connect.WithInterceptors(authorized{key})
}

type authorized struct{ key string }

func (a authorized) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		r.Header().Set("Authorization", "Bearer "+a.key)
		return next(ctx, r)
	}
}

func (a authorized) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		conn.RequestHeader().Set("Authorization", "Bearer "+a.key)
		return conn
	}
}

func (authorized) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// failure is what a client sees of an error, in any protocol.
type failure struct {
	Status     int
	Code       connect.Code
	Reason     string
	Message    string
	Metadata   map[string]string
	Violations []string
	Header     http.Header
	Body       string
}

// exchange sends a request and reads the failure that it must be answered with.
func exchange(t testing.TB, client *http.Client, r *http.Request) failure {
	t.Helper()
	answer, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the answer: %v", r.Method, r.URL.Path, err)
	}
	f := failure{Status: answer.StatusCode, Header: answer.Header, Body: string(body)}
	contentType := answer.Header.Get("Content-Type")
	switch {
	case strings.HasPrefix(contentType, "application/grpc-web"):
		f.readTrailers(t, webTrailers(answer, body))
	case strings.HasPrefix(contentType, "application/grpc"):
		f.readTrailers(t, answer.Trailer)
	case strings.HasPrefix(contentType, "application/connect+"):
		var end struct {
			Error json.RawMessage `json:"error"`
		}
		if len(body) < 5 || json.Unmarshal(body[5:], &end) != nil {
			t.Fatalf("no end of stream in %q", body)
		}
		f.readConnect(t, end.Error)
	case contentType != "application/json" && r.Method != http.MethodHead:
		t.Fatalf("%s %s: content type %q, status %d, body %q", r.Method, r.URL.Path, contentType, answer.StatusCode, body)
	case strings.Contains(r.URL.Path, "."):
		f.readConnect(t, body)
	case r.Method != http.MethodHead:
		message := &status.Status{}
		if err := protojson.Unmarshal(body, message); err != nil {
			t.Fatalf("not a google.rpc.Status: %q: %v", body, err)
		}
		f.read(t, message)
	}
	return f
}

func (f *failure) readConnect(t testing.TB, body []byte) {
	t.Helper()
	var message struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Details []struct{ Type, Value string }
	}
	if err := json.Unmarshal(body, &message); err != nil {
		t.Fatalf("not a Connect error: %q: %v", body, err)
	}
	out := &status.Status{Message: message.Message}
	var code connect.Code
	if err := code.UnmarshalText([]byte(message.Code)); err != nil {
		t.Fatalf("code %q: %v", message.Code, err)
	}
	out.Code = int32(code)
	for _, d := range message.Details {
		value, err := base64.RawStdEncoding.DecodeString(d.Value)
		if err != nil {
			t.Fatalf("detail %q: %v", d.Value, err)
		}
		out.Details = append(out.Details, newAny(d.Type, value))
	}
	f.read(t, out)
}

func (f *failure) readTrailers(t testing.TB, h http.Header) {
	t.Helper()
	if h.Get("Grpc-Status-Details-Bin") == "" {
		t.Fatalf("no details in %v", h)
	}
	raw, err := connect.DecodeBinaryHeader(h.Get("Grpc-Status-Details-Bin"))
	if err != nil {
		t.Fatalf("details: %v", err)
	}
	message := &status.Status{}
	if err := proto.Unmarshal(raw, message); err != nil {
		t.Fatalf("details: %v", err)
	}
	if text, err := url.PathUnescape(h.Get("Grpc-Message")); err != nil || text != message.GetMessage() {
		t.Errorf("grpc-message %q, in the details %q, %v", text, message.GetMessage(), err)
	}
	f.read(t, message)
}

func (f *failure) read(t testing.TB, message *status.Status) {
	t.Helper()
	f.Code, f.Message = connect.Code(message.GetCode()), message.GetMessage()
	for _, packed := range message.GetDetails() {
		info, bad := &errdetails.ErrorInfo{}, &errdetails.BadRequest{}
		switch {
		case packed.MessageIs(info):
			if err := packed.UnmarshalTo(info); err != nil || info.GetDomain() != "domicile.dev" {
				t.Fatalf("ErrorInfo %v, %v", info, err)
			}
			f.Reason, f.Metadata = info.GetReason(), info.GetMetadata()
		case packed.MessageIs(bad):
			if err := packed.UnmarshalTo(bad); err != nil {
				t.Fatalf("BadRequest: %v", err)
			}
			for _, v := range bad.GetFieldViolations() {
				f.Violations = append(f.Violations, v.GetField()+" "+v.GetReason())
			}
		}
	}
}

func webTrailers(answer *http.Response, body []byte) http.Header {
	if answer.Header.Get("Grpc-Status") != "" {
		return answer.Header
	}
	out := http.Header{}
	for len(body) >= 5 {
		size := int(binary.BigEndian.Uint32(body[1:5]))
		if body[0]&0x80 != 0 {
			for line := range strings.SplitSeq(string(body[5:5+size]), "\r\n") {
				if name, value, ok := strings.Cut(line, ":"); ok {
					out.Add(name, strings.TrimSpace(value))
				}
			}
		}
		body = body[5+size:]
	}
	return out
}

// request makes a request with the tenant's key.
func (r *region) request(t testing.TB, method, path, contentType string, body io.Reader) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, body)
	if err != nil {
		t.Fatalf("making a request: %v", err)
	}
	request.Header.Set("Authorization", "Bearer "+r.key)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	return request
}

// wire is a protocol in which a test calls GetUser or CreateUser by hand.
type wire struct {
	name        string
	contentType string
	client      func(testing.TB) *http.Client
	path        string
	// body makes the request's body of its JSON.
	body func(t testing.TB, message proto.Message) []byte
}

func wires(procedure, restPath string) []wire {
	return []wire{
		{"REST", "application/json", h1, restPath, nil},
		{"Connect JSON", "application/json", h1, procedure, jsonBody},
		{"Connect JSON h2", "application/json", h2c, procedure, jsonBody},
		{"Connect proto", "application/proto", h1, procedure, protoBody},
		{"gRPC", "application/grpc", h2c, procedure, framed},
		{"gRPC-Web", "application/grpc-web+proto", h1, procedure, framed},
	}
}

func jsonBody(t testing.TB, message proto.Message) []byte {
	t.Helper()
	body, err := protojson.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func protoBody(t testing.TB, message proto.Message) []byte {
	t.Helper()
	body, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func framed(t testing.TB, message proto.Message) []byte {
	t.Helper()
	return frame(protoBody(t, message))
}

func frame(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(payload))), payload...)
}

// chunked hides a body's length, so that it is sent in chunks.
func chunked(body []byte) io.Reader { return struct{ io.Reader }{bytes.NewReader(body)} }

var _ http.ResponseWriter = (*httptest.ResponseRecorder)(nil)
