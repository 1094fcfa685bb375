package mount_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/rpc/mount"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
)

var discard = slog.New(slog.DiscardHandler)

// One failure has one reason, message and metadata in each protocol, and the reason decides the HTTP status where HTTP has one.
func TestErrorsHaveOneShape(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	var reason errorsv1.Reason
	r.profiles.OnCall = func(context.Context, proto.Message) error {
		f := fault.New(reason, "100 %% as it is").With("home_region", "eu-central-1")
		f.RetryAfter = 1500 * time.Millisecond
		f.Violations = []fault.Violation{{Field: "user.email", Rule: "string.email", Message: "must be an e-mail address"}}
		f.Cause = errors.New("canary-cause")
		return f
	}
	for number := range errorsv1.Reason_name {
		if number == 0 {
			continue
		}
		reason = errorsv1.Reason(number)
		name := rpc.ReasonName(reason)
		for _, w := range rpctest.Wires(profilev1connect.ProfileServiceGetUserProcedure, "/v1/users/usr_1") {
			method, body := http.MethodPost, []byte(nil)
			if w.Body == nil {
				method = http.MethodGet
			} else {
				body = w.Body(t, &profilev1.GetUserRequest{Id: "usr_1"})
			}
			got := rpctest.Exchange(t, w.Client(t), r.request(t, method, w.Path, w.ContentType, bytes.NewReader(body)))
			status := rpc.HTTPStatus(reason)
			if strings.HasPrefix(w.Name, "gRPC") {
				status = http.StatusOK
			}
			want := rpctest.Failure{
				Status: status, Reason: name, Message: "100 % as it is", Metadata: map[string]string{"home_region": "eu-central-1"},
				Violations: []string{"user.email string.email"},
			}
			opts := cmp.FilterPath(func(p cmp.Path) bool {
				field := p.Last().String()
				return field == ".Code" || field == ".Header" || field == ".Body"
			}, cmp.Ignore())
			if diff := cmp.Diff(want, got, opts); diff != "" {
				t.Errorf("%s over %s (-want +got):\n%s", name, w.Name, diff)
			}
			if strings.Contains(got.Body, "canary") {
				t.Errorf("%s over %s: the cause was sent: %s", name, w.Name, got.Body)
			}
			if status != http.StatusOK && (got.Header.Get("Retry-After") != "2" || got.Header.Get("Domicile-Home") != "eu-central-1" ||
				got.Header.Get("Cache-Control") != "no-store") {
				t.Errorf("%s over %s: headers %v", name, w.Name, got.Header)
			}
			if challenge := got.Header.Get("WWW-Authenticate"); status == http.StatusUnauthorized && challenge == "" {
				t.Errorf("%s over %s: Www-Authenticate %q", name, w.Name, challenge)
			}
		}
	}
}

// What protovalidate says of a message that a handler checks itself holds the caller's value; it leaves as the platform's violation.
func TestViolationsThatAHandlerFinds(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	r.profiles.OnCall = func(context.Context, proto.Message) error {
		return fmt.Errorf("checking: %w", protovalidate.Validate(&profilev1.CreateUserRequest{User: &profilev1.User{Email: "canary"}}))
	}
	for _, w := range rpctest.Wires(profilev1connect.ProfileServiceGetUserProcedure, "/v1/users/usr_1") {
		method, body := http.MethodGet, []byte(nil)
		if w.Body != nil {
			method, body = http.MethodPost, w.Body(t, &profilev1.GetUserRequest{Id: "usr_1"})
		}
		got := rpctest.Exchange(t, w.Client(t), r.request(t, method, w.Path, w.ContentType, bytes.NewReader(body)))
		if got.Reason != "INVALID_ARGUMENT" || len(got.Violations) == 0 || strings.Contains(got.Body, "canary") {
			t.Errorf("%s: %+v", w.Name, got)
		}
	}
}

// What is internal is logged once with its cause, and a panic without what was thrown.
func TestInternalErrorsAreLoggedAndNotSent(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"error":         func() error { return errors.New("cause-of-it") },
		"panic":         func() error { panic("canary@example.com") },
		"runtime panic": func() error { return []error{}[len(strings.Fields(""))] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			r := newRegion(t, regionConfig{rpc: func(cfg *mount.Config) { cfg.Logger = slog.New(slog.NewJSONHandler(&log, nil)) }})
			r.profiles.OnCall = func(context.Context, proto.Message) error { return fail() }
			for _, w := range rpctest.Wires(profilev1connect.ProfileServiceGetUserProcedure, "/v1/users/usr_1") {
				if w.Body == nil {
					continue
				}
				log.Reset()
				got := rpctest.Exchange(t, w.Client(t), r.request(t, http.MethodPost, w.Path, w.ContentType,
					bytes.NewReader(w.Body(t, &profilev1.GetUserRequest{Id: "usr_1"}))))
				if got.Reason != "INTERNAL" || got.Message != "an internal error" {
					t.Errorf("%s: %+v", w.Name, got)
				}
				if n := strings.Count(log.String(), "internal error"); n != 1 {
					t.Errorf("%s: %d lines: %s", w.Name, n, log.String())
				}
				if strings.Contains(log.String()+got.Body, "canary") {
					t.Errorf("%s: what was thrown came out: %s", w.Name, log.String())
				}
				if name == "error" != strings.Contains(log.String(), "cause-of-it") {
					t.Errorf("%s: cause in the log: %s", w.Name, log.String())
				}
				if strings.Contains(name, "panic") && !strings.Contains(log.String(), "errors_test.go") {
					t.Errorf("%s: no stack in the log: %s", w.Name, log.String())
				}
			}
		})
	}
}
