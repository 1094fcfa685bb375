package mount_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/protobuf/types/known/wrapperspb"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/rpc/mount"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
)

func get(t testing.TB, r *region, client *http.Client, path string, header http.Header) rpctest.Failure {
	t.Helper()
	request := r.request(t, http.MethodGet, path, "", nil)
	maps.Copy(request.Header, header)
	return rpctest.Exchange(t, client, request)
}

// What reaches above GLOBAL is not kept anywhere; a NEAREST answer that does not may be asked after by its ETag.
func TestCacheHeaders(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	client := profilev1connect.NewProfileServiceClient(rpctest.H1(t), r.url, rpctest.Bearer(r.key))
	if _, err := client.CreateUser(t.Context(), &profilev1.CreateUserRequest{User: validUser()}); err != nil {
		t.Fatal(err)
	}
	query := func(procedure string) string {
		return procedure + "?connect=v1&encoding=json&message=" + url.QueryEscape(`{"id":"usr_1"}`)
	}
	for _, path := range []string{"/v1/users/usr_1", query(profilev1connect.ProfileServiceGetUserProcedure)} {
		answer := get(t, r, rpctest.H1(t), path, http.Header{"If-None-Match": {"*"}})
		if answer.Status != http.StatusOK || answer.Header.Get("Cache-Control") != "no-store" || answer.Header.Get("ETag") != "" ||
			!strings.HasPrefix(answer.Header.Get("Server-Timing"), "service;dur=") {
			t.Errorf("%s: %d %v", path, answer.Status, answer.Header)
		}
	}
	tags := make([]string, 0, 2)
	for _, path := range []string{"/v1/users/usr_1/summary", query(profilev1connect.ProfileServiceGetUserSummaryProcedure)} {
		first := get(t, r, rpctest.H1(t), path, nil)
		tag := first.Header.Get("ETag")
		tags = append(tags, tag)
		if first.Status != http.StatusOK || !strings.HasPrefix(tag, `W/"`) || first.Header.Get("Cache-Control") != "private, no-cache" {
			t.Errorf("%s: %d %v", path, first.Status, first.Header)
		}
		for _, known := range []string{tag, `"other", ` + tag, strings.TrimPrefix(tag, "W/"), "*"} {
			again := get(t, r, rpctest.H1(t), path, http.Header{"If-None-Match": {known}})
			if again.Status != http.StatusNotModified || again.Header.Get("ETag") != tag || again.Body != "" {
				t.Errorf("%s with %s: %d %q", path, known, again.Status, again.Body)
			}
		}
		if other := get(t, r, rpctest.H1(t), path, http.Header{"If-None-Match": {`W/"other"`}}); other.Status != http.StatusOK {
			t.Errorf("%s with another tag: %d", path, other.Status)
		}
	}
	if tags[0] != tags[1] {
		t.Errorf("the tag depends on the encoding: %v", tags)
	}
	if _, err := client.UpdateUser(t.Context(), &profilev1.UpdateUserRequest{Id: "usr_1", User: &profilev1.User{Handle: "ada"}}); err != nil {
		t.Fatal(err)
	}
	changed := get(t, r, rpctest.H1(t), "/v1/users/usr_1/summary", http.Header{"If-None-Match": {tags[0]}})
	if changed.Status != http.StatusOK || changed.Header.Get("ETag") == tags[0] {
		t.Errorf("after a change: %d %v", changed.Status, changed.Header)
	}
}

// A refusal over REST has no header of the protocol that the service is asked in.
func TestRefusalsOverRESTAreNotGRPC(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	for name, body := range map[string]string{"does not decode": `{"role":"nothing"}`, "breaks a rule": `{"givenName":"A"}`} {
		request := r.request(t, http.MethodPost, "/v1/users", "application/json", strings.NewReader(body))
		answer := rpctest.Exchange(t, rpctest.H1(t), request)
		if answer.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, answer.Status, answer.Body)
		}
		for header := range answer.Header {
			if strings.HasPrefix(header, "Grpc-") {
				t.Errorf("%s: the answer has %s", name, header)
			}
		}
	}
}

// How long a caller waits is a number of seconds; no call is given up before it began because of what it says there.
func TestServerTimeoutOverREST(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	for value, reason := range map[string]string{
		"2.5": "", "0.1": "", "99999": "", "": "INVALID_ARGUMENT", "0": "INVALID_ARGUMENT", "0.01": "INVALID_ARGUMENT", "-1": "INVALID_ARGUMENT",
		"NaN": "INVALID_ARGUMENT", "1e3": "INVALID_ARGUMENT", "canary": "INVALID_ARGUMENT",
	} {
		answer := get(t, r, rpctest.H1(t), "/v1/users", http.Header{"X-Server-Timeout": {value}})
		if answer.Reason != reason || reason == "" && answer.Status != http.StatusOK || reason != "" && answer.Status != http.StatusBadRequest {
			t.Errorf("%q: %d %s", value, answer.Status, answer.Reason)
		}
	}
}

// A Connect GET is for methods without side effects alone.
func TestConnectGet(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	for path, status := range map[string]int{
		profilev1connect.ProfileServiceCreateUserProcedure: http.StatusMethodNotAllowed,
		profilev1connect.ProfileServiceLookupUserProcedure: http.StatusMethodNotAllowed,
		profilev1connect.ProfileServiceGetUserProcedure:    http.StatusNotFound,
	} {
		request := r.request(t, http.MethodGet, path+"?connect=v1&encoding=json&message="+url.QueryEscape(`{"id":"usr_404"}`), "", nil)
		if got := rpctest.Exchange(t, rpctest.H1(t), request); got.Status != status {
			t.Errorf("%s: %d %s", path, got.Status, got.Reason)
		}
	}
}

func streamOptions() map[string][]connect.ClientOption {
	return map[string][]connect.ClientOption{
		"connect": nil, "connect-json": {connect.WithProtoJSON()}, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
	}
}

// Streams pass the interceptors and the writer around them: messages one by one, trailers, and errors after messages with their reason.
func TestStreams(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	for name, options := range streamOptions() {
		client := rpctest.NewStreamClient(rpctest.H2C(t), r.url, append(options, rpctest.Bearer(r.key))...)
		count, err := client.Count.CallServerStream(t.Context(), connect.NewRequest(wrapperspb.String("3!")))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n := 0
		for count.Receive() {
			n++
		}
		if n != 3 || reasonOf(count.Err()) != "NOT_FOUND" || count.ResponseTrailer().Get("X-Counted") != "3" ||
			count.ResponseHeader().Get("Domicile-Consistency") != "token" || count.ResponseHeader().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d messages, %v, trailer %v, header %v", name, n, count.Err(), count.ResponseTrailer(), count.ResponseHeader())
		}
		echo := client.Echo.CallBidiStream(t.Context())
		for _, text := range []string{"a", "b"} {
			if err := echo.Send(wrapperspb.String(text)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			// The answer comes while the request goes on: nothing on the way holds it.
			if got, err := echo.Receive(); err != nil || got.GetValue() != text {
				t.Fatalf("%s: %v %v", name, got, err)
			}
		}
		if err := echo.Send(wrapperspb.String("stop")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := echo.Receive(); reasonOf(err) != "ETAG_MISMATCH" {
			t.Errorf("%s: %v", name, err)
		}
		noKey := rpctest.NewStreamClient(rpctest.H2C(t), r.url, options...)
		refused, err := noKey.Count.CallServerStream(t.Context(), connect.NewRequest(wrapperspb.String("1")))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if refused.Receive() || reasonOf(refused.Err()) != "CREDENTIAL_MISSING" {
			t.Errorf("%s without a key: %v", name, refused.Err())
		}
	}
}

func reasonOf(err error) string {
	if coded, ok := errors.AsType[*connect.Error](err); ok {
		return rpc.ReasonName(rpc.ToFault(coded).Reason)
	}
	return ""
}

// The health and reflection services are beside the guard, and stream.
func TestInfrastructure(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	request := r.request(t, http.MethodPost, "/grpc.health.v1.Health/Check", "application/json", strings.NewReader(`{"service":"domicile.profile.v1.ProfileService"}`))
	request.Header.Del("Authorization")
	if answer := rpctest.Exchange(t, rpctest.H1(t), request); !strings.Contains(answer.Body, "SERVING") {
		t.Errorf("%d %s", answer.Status, answer.Body)
	}
	want := []string{grpchealth.HealthV1ServiceName, grpcreflect.ReflectV1ServiceName, grpcreflect.ReflectV1AlphaServiceName}
	if diff := cmp.Diff(want, rpc.Infrastructure()); diff != "" {
		t.Errorf("infrastructure (-want +got):\n%s", diff)
	}
	for path, want := range map[string]bool{
		"/grpc.health.v1.Health/Watch": true, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": true,
		"/grpc.health.v1.Healthy/Check": false, "/grpc.health.v1.Health": false, "/grpc.health.v1.Health/Check/x": false,
		"/grpc.health.v1.Health/": false, "/v1/users": false,
	} {
		if got := rpc.IsInfrastructure(path); got != want {
			t.Errorf("IsInfrastructure(%q) = %t", path, got)
		}
	}
}

// A page of any origin may call, preflight included, and read the platform's headers. What another edge has forwarded gets its CORS
// headers there, and not twice.
func TestCORS(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	preflight := r.request(t, http.MethodOptions, "/v1/users/usr_1", "", nil)
	preflight.Header.Set("Origin", "https://app.example")
	preflight.Header.Set("Access-Control-Request-Method", "PATCH")
	preflight.Header.Set("Access-Control-Request-Headers", "authorization,content-type,domicile-tenant,idempotency-key")
	answer := rpctest.Exchange(t, rpctest.H1(t), preflight)
	if answer.Status/100 != 2 || answer.Header.Get("Access-Control-Allow-Origin") != "*" || answer.Header.Get("Access-Control-Allow-Methods") != "PATCH" {
		t.Errorf("preflight: %d %v", answer.Status, answer.Header)
	}
	call := get(t, r, rpctest.H1(t), "/v1/users/usr_404", http.Header{"Origin": {"https://app.example"}})
	exposed := strings.ToLower(call.Header.Get("Access-Control-Expose-Headers"))
	for _, name := range []string{"domicile-home", "retry-after", "grpc-status", "etag", "idempotency-replayed"} {
		if !strings.Contains(exposed, name) {
			t.Errorf("%s is not exposed: %s", name, exposed)
		}
	}
	forwarded := get(t, r, rpctest.H1(t), "/v1/users/usr_404", http.Header{"Origin": {"https://app.example"}, "Domicile-Route": {"x"}})
	if forwarded.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("CORS headers on a forwarded call: %v", forwarded.Header)
	}
}

// Spans continue the edge's trace and have nothing of the caller.
func TestTracing(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	r := newRegion(t, regionConfig{rpc: func(cfg *mount.Config) { cfg.Tracer, cfg.Propagator = provider, propagation.TraceContext{} }})
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	answer := get(t, r, rpctest.H1(t), "/v1/users/usr_404", http.Header{"Traceparent": {"00-" + trace + "-00f067aa0ba902b7-01"}})
	if answer.Status != http.StatusNotFound {
		t.Errorf("%d", answer.Status)
	}
	ended := spans.Ended()
	if len(ended) != 1 || ended[0].SpanContext().TraceID().String() != trace || !ended[0].Parent().IsRemote() {
		t.Fatalf("spans: %v", ended)
	}
	for _, attr := range ended[0].Attributes() {
		if strings.Contains(attr.Value.String(), "127.0.0.1") {
			t.Errorf("%s=%s", attr.Key, attr.Value.String())
		}
	}
}

func TestIncompleteConfigurationsAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := mount.HandlerOptions(mount.Config{}); err == nil {
		t.Error("options without anything")
	}
	if _, err := mount.NewHandler(mount.HandlerConfig{}); err == nil {
		t.Error("services without a guard")
	}
}
