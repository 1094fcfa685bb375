package rpctest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// H2C returns a client of HTTP/2 without TLS, as gRPC wants.
func H2C(t testing.TB) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// H1 returns a client of HTTP/1.1.
func H1(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Bearer adds a key to each call of a Connect client.
func Bearer(key string) connect.ClientOption {
	return connect.WithInterceptors(authorized{key})
}

type authorized struct{ key string }

// WrapUnary implements connect.Interceptor.
func (a authorized) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		r.Header().Set("Authorization", "Bearer "+a.key)
		return next(ctx, r)
	}
}

// WrapStreamingClient implements connect.Interceptor.
func (a authorized) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		conn.RequestHeader().Set("Authorization", "Bearer "+a.key)
		return conn
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (authorized) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// Failure is what a client sees of an error, in any protocol.
type Failure struct {
	Status     int
	Code       connect.Code
	Reason     string
	Message    string
	Metadata   map[string]string
	Violations []string
	Header     http.Header
	Body       string
}

// Exchange sends a request and reads the answer; if it is an error it must have the shape of its protocol.
func Exchange(t testing.TB, client *http.Client, r *http.Request) Failure {
	t.Helper()
	answer, err := client.Do(r) //nolint:gosec // to the test's own server
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the answer: %v", r.Method, r.URL.Path, err)
	}
	f := Failure{Status: answer.StatusCode, Header: answer.Header, Body: string(body)}
	contentType := answer.Header.Get("Content-Type")
	switch {
	case strings.HasPrefix(contentType, "application/grpc-web"):
		f.readTrailers(t, webTrailers(answer, body))
	case strings.HasPrefix(contentType, "application/grpc"):
		f.readTrailers(t, answer.Trailer)
	case strings.HasPrefix(contentType, "application/connect+"):
		f.readEnd(t, body)
	case answer.StatusCode < http.StatusBadRequest:
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

func (f *Failure) readEnd(t testing.TB, body []byte) {
	t.Helper()
	var end struct {
		Error json.RawMessage `json:"error"`
	}
	if len(body) < 5 || json.Unmarshal(body[5:], &end) != nil {
		t.Fatalf("no end of stream in %q", body)
	}
	if end.Error != nil {
		f.readConnect(t, end.Error)
	}
}

func (f *Failure) readConnect(t testing.TB, body []byte) {
	t.Helper()
	var message struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Details []struct {
			Type  string `json:"type"`
			Value string `json:"value"`
		} `json:"details"`
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
		out.Details = append(out.Details, &anypb.Any{TypeUrl: "type.googleapis.com/" + d.Type, Value: value})
	}
	f.read(t, out)
}

func (f *Failure) readTrailers(t testing.TB, h http.Header) {
	t.Helper()
	if h.Get("Grpc-Status") == "0" {
		return
	}
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

func (f *Failure) read(t testing.TB, message *status.Status) {
	t.Helper()
	f.Code, f.Message = connect.Code(uint32(message.GetCode())), message.GetMessage() //nolint:gosec // 1 to 16
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

// Wire is a protocol in which a test calls a method by hand.
type Wire struct {
	Name        string
	ContentType string
	Client      func(testing.TB) *http.Client
	Path        string
	// Body makes the request's body of its message; nil for REST, which has a body of its own.
	Body func(t testing.TB, message proto.Message) []byte
}

// Wires returns all protocols for a method.
func Wires(procedure, restPath string) []Wire {
	return []Wire{
		{"REST", "application/json", H1, restPath, nil},
		{"Connect JSON", "application/json", H1, procedure, JSONBody},
		{"Connect JSON h2", "application/json", H2C, procedure, JSONBody},
		{"Connect proto", "application/proto", H1, procedure, ProtoBody},
		{"gRPC", "application/grpc", H2C, procedure, FramedBody},
		{"gRPC-Web", "application/grpc-web+proto", H1, procedure, FramedBody},
	}
}

// JSONBody is a message in JSON.
func JSONBody(t testing.TB, message proto.Message) []byte {
	t.Helper()
	body, err := protojson.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// ProtoBody is a message in binary.
func ProtoBody(t testing.TB, message proto.Message) []byte {
	t.Helper()
	body, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// FramedBody is a message in gRPC's envelope.
func FramedBody(t testing.TB, message proto.Message) []byte {
	t.Helper()
	return Frame(ProtoBody(t, message))
}

// Frame puts a payload into gRPC's envelope.
func Frame(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(payload))), payload...) //nolint:gosec // of a test
}

// Chunked hides a body's length, so that it is sent in chunks.
func Chunked(body []byte) io.Reader { return struct{ io.Reader }{bytes.NewReader(body)} }
