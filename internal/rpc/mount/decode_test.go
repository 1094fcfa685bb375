package mount_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/internal/rpc/mount"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
	"github.com/domicile-api/domicile/internal/rpc/undecoded"
)

// canary is in each bad request and may be in no answer.
const canary = "canary7391"

// What does not decode reaches no handler, and is the caller's mistake: never a 500, never a text of a library.
func TestRESTRequestsThatDoNotDecode(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	large := `{"handle":"` + strings.Repeat("x", 5<<20) + `"}`
	for _, tt := range []struct {
		name, method, path, contentType, body string
		status                                int
		reason, message                       string
	}{
		{"unknown field", "POST", "/v1/users", "application/json", `{"` + canary + `":1}`, 400, "INVALID_ARGUMENT", "there is a field that the contract does not have at line 1, column 2"},
		{"unknown field in a message", "POST", "/v1/users", "application/json", `{"postalAddress":{"` + canary + `":1}}`, 400, "INVALID_ARGUMENT", "a field that the contract does not have"},
		{"bad JSON", "POST", "/v1/users", "application/json", `{"displayName":` + canary, 400, "INVALID_ARGUMENT", "the request does not decode"},
		{"cut JSON", "POST", "/v1/users", "application/json", `{"handle":"` + canary, 400, "INVALID_ARGUMENT", "the request does not decode"},
		{"duplicate key", "POST", "/v1/users", "application/json", `{"handle":"a","handle":"` + canary + `"}`, 400, "INVALID_ARGUMENT", "a field is given twice"},
		{"wrong type", "POST", "/v1/users", "application/json", `{"givenName":{"` + canary + `":1}}`, 400, "INVALID_ARGUMENT", "a value has not the form"},
		{"wrong type of a known field", "POST", "/v1/users", "application/json", `{"givenName":7391}`, 400, "INVALID_ARGUMENT", "(field givenName)"},
		{"invalid UTF-8", "POST", "/v1/users", "application/json", "{\"givenName\":\"" + canary + "\xff\"}", 400, "INVALID_ARGUMENT", "a text is not valid UTF-8"},
		{"an array", "POST", "/v1/users", "application/json", `["` + canary + `"]`, 400, "INVALID_ARGUMENT", "the request does not decode"},
		{"deep nesting", "POST", "/v1/users", "application/json", strings.Repeat("[", 10000), 400, "INVALID_ARGUMENT", "the request does not decode"},
		{"body on DELETE", "DELETE", "/v1/users/x", "application/json", `{"a":"` + canary + `"}`, 400, "INVALID_ARGUMENT", ""},
		{"unknown query parameter", "GET", "/v1/users?" + canary + "=1", "", "", 400, "INVALID_ARGUMENT", ""},
		{"bad number in the query", "GET", "/v1/users?pageSize=" + canary, "", "", 400, "INVALID_ARGUMENT", ""},
		{"bad field mask", "PATCH", "/v1/users/x?updateMask=" + canary + "_x", "application/json", `{}`, 400, "INVALID_ARGUMENT", ""},
		{"wrong method", "PUT", "/v1/users/x", "application/json", `{}`, 405, "UNSUPPORTED", ""},
		{"HEAD", "HEAD", "/v1/users/x", "", "", 405, "", ""},
		{"OPTIONS", "OPTIONS", "/v1/users/x", "", "", 405, "UNSUPPORTED", ""},
		{"text", "POST", "/v1/users", "text/plain", canary, 415, "UNSUPPORTED", ""},
		{"form", "POST", "/v1/users", "application/x-www-form-urlencoded", "a=" + canary, 415, "UNSUPPORTED", ""},
		{"unknown charset", "POST", "/v1/users", "application/json; charset=utf-8", `{"` + canary + `":1}`, 400, "INVALID_ARGUMENT", "a field that the contract"},
		{"unknown compression", "POST", "/v1/users", "application/json", "gzip?", 415, "UNSUPPORTED", ""},
		{"too large", "POST", "/v1/users", "application/json", large, 413, "TOO_LARGE", ""},
		{"too large, in chunks", "POST", "/v1/users", "application/json", large + "chunked", 413, "TOO_LARGE", ""},
		{"unknown path", "GET", "/v1/" + canary, "", "", 404, "VERSION_UNAVAILABLE", ""},
		{"unknown version", "GET", "/v9/users", "", "", 404, "VERSION_UNAVAILABLE", ""},
		{"Connect header on a REST path", "POST", "/v1/users", "connect", `{}`, 404, "VERSION_UNAVAILABLE", ""},
		{"a rule of the contract", "POST", "/v1/users", "application/json", `{"givenName":"` + canary + `"}`, 400, "INVALID_ARGUMENT", "breaks a rule"},
		{"a rule of the path", "GET", "/v1/users/" + strings.Repeat("x", 65), "", "", 400, "INVALID_ARGUMENT", "breaks a rule"},
		{"an empty id", "GET", "/v1/users/", "", "", 400, "INVALID_ARGUMENT", "breaks a rule"},
		{"a negative page size", "GET", "/v1/users?pageSize=-1", "", "", 400, "INVALID_ARGUMENT", "breaks a rule"},
		{"no body", "POST", "/v1/users", "application/json", ``, 400, "INVALID_ARGUMENT", "breaks a rule"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body, cut := strings.CutSuffix(tt.body, "chunked")
			reader := io.Reader(strings.NewReader(body))
			if cut {
				reader = rpctest.Chunked([]byte(body))
			}
			request := r.request(t, tt.method, tt.path, tt.contentType, reader)
			switch {
			case tt.contentType == "connect":
				request.Header.Set("Content-Type", "application/json")
				request.Header.Set("Connect-Protocol-Version", "1")
			case body == "gzip?":
				request.Header.Set("Content-Encoding", "snappy")
			}
			got := rpctest.Exchange(t, rpctest.H1(t), request)
			if got.Status != tt.status || got.Reason != tt.reason || !strings.Contains(got.Message, tt.message) {
				t.Errorf("%d %s %q, want %d %s with %q", got.Status, got.Reason, got.Message, tt.status, tt.reason, tt.message)
			}
			if strings.Contains(got.Body, canary) || strings.Contains(got.Body, "proto:") {
				t.Errorf("the answer echoes: %s", got.Body)
			}
			if (got.Status == http.StatusMethodNotAllowed) != (got.Header.Get("Allow") != "") {
				t.Errorf("Allow: %q", got.Header.Get("Allow"))
			}
			if got.Header.Get("Accept-Encoding") != "" {
				t.Errorf("stray Accept-Encoding")
			}
		})
	}
	t.Cleanup(func() {
		if n := r.profiles.Calls(); n != 0 {
			t.Errorf("%d of these calls reached a handler", n)
		}
	})
}

func TestRPCRequestsThatDoNotDecode(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	unknownJSON := []byte(`{"user":{"` + canary + `":1}}`)
	badText := protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), canary+"\xff")
	badUTF8 := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), badText)
	noProto := []byte("\xff" + canary)
	large := rpctest.ProtoBody(t, &profilev1.CreateUserRequest{User: &profilev1.User{RegulatedNote: strings.Repeat("x", 5<<20)}})
	bomb := zip(t, large)
	create := profilev1connect.ProfileServiceCreateUserProcedure
	for _, tt := range []struct {
		name, path, contentType, encoding string
		body                              []byte
		status                            int
		reason, message                   string
	}{
		{"JSON unknown field", create, "application/json", "", unknownJSON, 400, "INVALID_ARGUMENT", "a field that the contract does not have at line 1, column 10"},
		{"JSON with charset", create, "application/json; charset=utf-8", "", unknownJSON, 400, "INVALID_ARGUMENT", "a field that the contract"},
		{"JSON cut", create, "application/json", "", []byte(`{"user":{"handle":"` + canary), 400, "INVALID_ARGUMENT", "does not decode"},
		{"JSON empty", create, "application/json", "", nil, 400, "INVALID_ARGUMENT", "the body is empty"},
		{"proto text", create, "application/proto", "", badUTF8, 400, "INVALID_ARGUMENT", "a text is not valid UTF-8"},
		{"proto garbage", create, "application/proto", "", noProto, 400, "INVALID_ARGUMENT", "not a message of the contract"},
		{"proto large", create, "application/proto", "", large, 413, "TOO_LARGE", ""},
		{"proto bomb", create, "application/proto", "gzip", bomb, 413, "TOO_LARGE", ""},
		{"unknown compression", create, "application/proto", canary, nil, 404, "VERSION_UNAVAILABLE", ""},
		{"content type", create, "text/plain", "", []byte(canary), 415, "UNSUPPORTED", ""},
		{"unknown method", "/domicile.profile.v1.ProfileService/Canary7391", "application/json", "", []byte(`{}`), 404, "VERSION_UNAVAILABLE", ""},
		{"unknown service", "/domicile.canary7391.v1.Service/Get", "application/json", "", []byte(`{}`), 404, "VERSION_UNAVAILABLE", ""},
		{"gRPC text", create, "application/grpc", "", rpctest.Frame(badUTF8), 200, "INVALID_ARGUMENT", "a text is not valid UTF-8"},
		{"gRPC garbage", create, "application/grpc", "", rpctest.Frame(noProto), 200, "INVALID_ARGUMENT", "not a message of the contract"},
		{"gRPC JSON unknown field", create, "application/grpc+json", "", rpctest.Frame(unknownJSON), 200, "INVALID_ARGUMENT", "a field that the contract"},
		{"gRPC large", create, "application/grpc", "", rpctest.Frame(large), 200, "TOO_LARGE", ""},
		{"gRPC bomb", create, "application/grpc", "gzip", append([]byte{1}, rpctest.Frame(bomb)[1:]...), 200, "TOO_LARGE", ""},
		{"gRPC not framed", create, "application/grpc", "", []byte("ab"), 200, "INVALID_ARGUMENT", ""},
		{"gRPC unknown method", "/domicile.profile.v1.ProfileService/Canary7391", "application/grpc", "", rpctest.Frame(nil), 200, "VERSION_UNAVAILABLE", ""},
		{"gRPC unknown compression", create, "application/grpc", canary, rpctest.Frame(nil), 200, "VERSION_UNAVAILABLE", ""},
		{"gRPC-Web text", create, "application/grpc-web+proto", "", rpctest.Frame(badUTF8), 200, "INVALID_ARGUMENT", "a text is not valid UTF-8"},
		{"gRPC-Web large", create, "application/grpc-web+proto", "", rpctest.Frame(large), 200, "TOO_LARGE", ""},
		{"Connect stream garbage", "/domicile.rpctest.v1.StreamService/Count", "application/connect+proto", "", rpctest.Frame(noProto), 200, "INVALID_ARGUMENT", "not a message of the contract"},
		{"Connect stream unknown compression", "/domicile.rpctest.v1.StreamService/Count", "application/connect+proto", canary, rpctest.Frame(nil), 200, "VERSION_UNAVAILABLE", ""},
		{"Connect stream large", "/domicile.rpctest.v1.StreamService/Join", "application/connect+proto", "", rpctest.Frame(large), 200, "TOO_LARGE", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			request := r.request(t, http.MethodPost, tt.path, tt.contentType, rpctest.Chunked(tt.body))
			if tt.encoding != "" {
				for _, name := range []string{"Content-Encoding", "Grpc-Encoding", "Connect-Content-Encoding"} {
					request.Header.Set(name, tt.encoding)
				}
			}
			got := rpctest.Exchange(t, rpctest.H2C(t), request)
			if got.Status != tt.status || got.Reason != tt.reason || !strings.Contains(got.Message, tt.message) {
				t.Errorf("%d %s %q, want %d %s with %q", got.Status, got.Reason, got.Message, tt.status, tt.reason, tt.message)
			}
			if all := got.Body + got.Message; strings.Contains(all, canary) || strings.Contains(all, "proto:") {
				t.Errorf("the answer echoes: %s", all)
			}
		})
	}
	t.Cleanup(func() {
		if n := r.profiles.Calls(); n != 0 {
			t.Errorf("%d of these calls reached a handler", n)
		}
	})
}

func zip(t testing.TB, body []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Unknown fields of binary requests are dropped at every depth before a handler sees them.
func TestUnknownBinaryFieldsAreDropped(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	var seen proto.Message
	r.profiles.OnCall = func(_ context.Context, m proto.Message) error { seen = m; return nil }
	unknown := protowire.AppendString(protowire.AppendTag(nil, 999, protowire.BytesType), canary)
	user := validUser()
	user.ProtoReflect().SetUnknown(unknown)
	user.PostalAddress = &profilev1.PostalAddress{Country: "DE"}
	user.GetPostalAddress().ProtoReflect().SetUnknown(unknown)
	request := &profilev1.CreateUserRequest{User: user}
	request.ProtoReflect().SetUnknown(unknown)
	for _, option := range []connect.ClientOption{connect.WithClientOptions(), connect.WithGRPC(), connect.WithGRPCWeb()} {
		seen = nil
		client := profilev1connect.NewProfileServiceClient(rpctest.H2C(t), r.url, option, rpctest.Bearer(r.key))
		if _, err := client.CreateUser(t.Context(), request); err != nil {
			t.Fatalf("creating: %v", err)
		}
		if raw := rpctest.ProtoBody(t, seen); seen == nil || bytes.Contains(raw, []byte(canary)) {
			t.Errorf("the handler saw %q", raw)
		}
	}
}

func validUser() *profilev1.User {
	return &profilev1.User{GivenName: "Ada", FamilyName: "Lovelace", Email: "ada@example.com", Locale: "en-GB"}
}

// The answers in JSON have camelCase names and no default values; requests may have either case.
func TestJSONForm(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	for _, path := range []string{"/v1/users", profilev1connect.ProfileServiceCreateUserProcedure} {
		body := `{"givenName":"Ada","family_name":"Lovelace","email":"ada@example.com","locale":"en-GB"}`
		if strings.Contains(path, ".") {
			body = `{"user":` + body + `}`
		}
		answer := rpctest.Exchange(t, rpctest.H1(t), r.request(t, http.MethodPost, path, "application/json", strings.NewReader(body)))
		if answer.Status != http.StatusOK || !strings.Contains(answer.Body, `"familyName"`) || strings.Contains(answer.Body, "handle") {
			t.Errorf("%s: %d %s", path, answer.Status, answer.Body)
		}
		if answer.Header.Get("Domicile-Region") != "eu-central-1" || answer.Header.Get("Domicile-Release") != "test" {
			t.Errorf("%s: headers %v", path, answer.Header)
		}
	}
}

// A merge patch is JSON, and what clients say of a body that they do not send does not matter.
func TestContentTypesThatAreTaken(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	client := profilev1connect.NewProfileServiceClient(rpctest.H1(t), r.url, rpctest.Bearer(r.key))
	if _, err := client.CreateUser(t.Context(), &profilev1.CreateUserRequest{User: validUser()}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ method, path, contentType, body string }{
		{"PATCH", "/v1/users/usr_1", "application/merge-patch+json", `{"handle":"ada"}`},
		{"PATCH", "/v1/users/usr_1", "application/json;charset=UTF-8", `{"handle":"ada"}`},
		{"GET", "/v1/users/usr_1", "text/html", ""},
		{"GET", "/v1/users/usr_1", "application/x-www-form-urlencoded", ""},
		{"DELETE", "/v1/users/usr_1", "text/plain", ""},
	} {
		answer := rpctest.Exchange(t, rpctest.H1(t), r.request(t, tt.method, tt.path, tt.contentType, strings.NewReader(tt.body)))
		if answer.Status != http.StatusOK {
			t.Errorf("%s %s %s: %d", tt.method, tt.path, tt.contentType, answer.Status)
		}
	}
}

// Whatever a body is, the text that is made of it is one of ours.
func FuzzDecodeErrorsEchoNothing(f *testing.F) {
	for _, seed := range []string{`{"user":{"x":1}}`, `{"user":`, `{"user":{"handle":1}}`, "\xff", `{"user":{"role":"NOPE"}}`, `{"user":{"createTime":"x"}}`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, text := range []string{
			mount.DecodeJSON(body, &profilev1.UpdateUserRequest{}), mount.DecodeREST(body, &profilev1.User{}),
			mount.DecodeProto(body, &profilev1.UpdateUserRequest{}),
		} {
			if f := undecoded.Fault(text); text != "" && (f == nil || f.Message != text) {
				t.Errorf("%q", text)
			}
		}
	})
}
