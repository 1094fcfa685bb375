package edge_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"connectrpc.com/vanguard"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/internal/edge"
)

// matchService has a method for each of some patterns.
func matchService(t testing.TB, patterns ...string) protoreflect.ServiceDescriptor {
	t.Helper()
	service := &descriptorpb.ServiceDescriptorProto{Name: new("Service")}
	for i, pattern := range patterns {
		kind, path, _ := strings.Cut(pattern, " ")
		options := &descriptorpb.MethodOptions{}
		proto.SetExtension(options, annotations.E_Http, &annotations.HttpRule{
			Pattern: &annotations.HttpRule_Custom{Custom: &annotations.CustomHttpPattern{Kind: kind, Path: path}},
		})
		service.Method = append(service.Method, &descriptorpb.MethodDescriptorProto{
			Name: new("M" + string(rune('a'+i))), InputType: new(".google.protobuf.StringValue"),
			OutputType: new(".google.protobuf.StringValue"), Options: options,
		})
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("match.proto"), Package: new("match.v1"), Syntax: new("proto3"),
		Dependency: []string{"google/protobuf/wrappers.proto"}, Service: []*descriptorpb.ServiceDescriptorProto{service},
	}, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return file.Services().Get(0)
}

var patterns = []string{
	"GET /v1/users", "POST /v1/users", "GET /v1/users/{value}", "DELETE /v1/users/{value}", "GET /v1/users:summaries", "POST /v1/users:lookup",
	"GET /v1/users/{value}/summary", "POST /v1/users/{value}:undelete", "GET /v1/users/me", "POST /v1/users/me:rest", "GET /v2/{value=files/**}",
	"GET /v2/{value=files/*}/meta", "* /v3/any", "GET /v1/*/deep/{value}", "GET /v2/files/x:copy",
}

func TestMatch(t *testing.T) {
	t.Parallel()
	m, err := edge.NewMatcher(matchService(t, patterns...))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ method, path, want, allow string }{
		{"GET", "/v1/users", "GET /v1/users", ""},
		{"PATCH", "/v1/users", "", "GET, POST"},
		{"GET", "/v1/users/", "GET /v1/users/{value}", ""},
		{"GET", "/v1/users/usr_1", "GET /v1/users/{value}", ""},
		{"GET", "/v1/users/me", "GET /v1/users/me", ""},
		{"DELETE", "/v1/users/me", "", "GET"},
		{"GET", "/v1/users:summaries", "GET /v1/users:summaries", ""},
		{"GET", "/v1/users:lookup", "", "POST"},
		{"POST", "/v1/users/usr_1:undelete", "POST /v1/users/{value}:undelete", ""},
		{"POST", "/v1/users/me:undelete", "POST /v1/users/{value}:undelete", ""},
		{"GET", "/v1/users/usr_1:nope", "", ""},
		{"GET", "/v1/users:", "", ""},
		{"GET", "/v1/users/a/b", "", ""},
		{"GET", "/v2/files/a/b/c", "GET /v2/{value=files/**}", ""},
		{"GET", "/v2/files/a/meta", "GET /v2/{value=files/*}/meta", ""},
		{"PUT", "/v3/any", "* /v3/any", ""},
		{"GET", "/v1/x/deep/y", "GET /v1/*/deep/{value}", ""},
		{"GET", "", "", ""},
		{"GET", "*", "", ""},
		{"GET", "/", "", ""},
		{"POST", "/match.v1.Service/Ma", "GET /v1/users", ""},
	} {
		got, allow := m.Match(tt.method, tt.path)
		want := ""
		for i, pattern := range patterns {
			if pattern == tt.want {
				want = "/match.v1.Service/M" + string(rune('a'+i))
			}
		}
		procedure := ""
		if got != nil {
			procedure = got.Procedure
		}
		if procedure != want || allow != tt.allow {
			t.Errorf("%s %s: %q, allow %q; want %q, %q", tt.method, tt.path, procedure, allow, want, tt.allow)
		}
	}
}

//nolint:paralleltest // allocations are counted
func TestMatchDoesNotAllocate(t *testing.T) {
	m, err := edge.NewMatcher(matchService(t, patterns...))
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { m.Match("GET", "/v1/users/usr_1/summary") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPatternsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		"GET v1", "GET ", "GET /v1//x", "GET /v1/", "GET /{value", "GET /{value}x", "GET /**/x", "GET /a b", "GET /a:", "GET /%20", "GET /a:b:c",
	} {
		if _, err := edge.NewMatcher(matchService(t, pattern)); err == nil {
			t.Errorf("%q was taken", pattern)
		}
	}
	if _, err := edge.NewMatcher(matchService(t, "GET /a/{value}", "GET /a/*")); err == nil {
		t.Error("two methods of one pattern were taken")
	}
}

// transcoder answers with the name of the method that Vanguard takes a request for.
func transcoder(t testing.TB) http.Handler {
	t.Helper()
	service := matchService(t, patterns...)
	handler, err := vanguard.NewTranscoder([]*vanguard.Service{vanguard.NewServiceWithSchema(service,
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Method", r.URL.Path) }),
		vanguard.WithTargetProtocols(vanguard.ProtocolGRPC))})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// The edge takes a path for the same method as the services' transcoder: what they would disagree about, would be routed as one
// method and executed as another.
func FuzzMatchAgreesWithTranscoder(f *testing.F) {
	for _, path := range []string{
		"/v1/users", "/v1/users/", "/v1/users/x:undelete", "/v1/users:summaries", "/v2/files/a/meta", "/v2/files/", "/v1/users:a:b", "/v1/:x", "//", "/v1/users/%41",
		"/v2/files/x:copy", "/v1/users/me:undelete", "/v1/users/me/summary", "/v3/any:x",
	} {
		f.Add("GET", path)
		f.Add("POST", path)
	}
	m, err := edge.NewMatcher(matchService(f, patterns...))
	if err != nil {
		f.Fatal(err)
	}
	peer := transcoder(f)
	f.Fuzz(func(t *testing.T, method, path string) { agree(t, m, peer, method, path) })
}

type errorer interface {
	Errorf(format string, args ...any)
}

func agree(t errorer, m *edge.Matcher, peer http.Handler, method, path string) {
	switch method {
	case "GET", "POST", "PUT", "PATCH", "DELETE":
	default:
		return
	}
	got, _ := m.Match(method, path)
	r := &http.Request{Method: method, URL: &url.URL{Path: path}, Header: http.Header{}, Body: http.NoBody, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	rec := httptest.NewRecorder()
	peer.ServeHTTP(rec, r)
	theirs := rec.Header().Get("X-Method")
	if got == nil && theirs != "" || got != nil && theirs != "" && got.Procedure != theirs {
		t.Errorf("%s %q: the edge says %v, the transcoder %q", method, path, got, theirs)
	}
	if got != nil && theirs == "" && rec.Code == http.StatusNotFound && !strings.HasPrefix(path, "/match.v1.") && !strings.Contains(path, "%") {
		t.Errorf("%s %q: the edge says %s, the transcoder knows nothing", method, path, got.Procedure)
	}
}

func TestMatchAgreesWithTranscoder(t *testing.T) {
	t.Parallel()
	m, err := edge.NewMatcher(matchService(t, patterns...))
	if err != nil {
		t.Fatal(err)
	}
	peer := transcoder(t)
	segment := rapid.SampledFrom([]string{"v1", "v2", "v3", "users", "files", "me", "meta", "summary", "any", "deep", "x", "", "*", "**", "users:lookup", "x:undelete", ":", "a:b:c"})
	rapid.Check(t, func(t *rapid.T) {
		path := "/" + strings.Join(rapid.SliceOfN(segment, 0, 5).Draw(t, "segments"), "/")
		agree(t, m, peer, rapid.SampledFrom([]string{"GET", "POST", "DELETE", "PUT"}).Draw(t, "method"), path)
	})
}
