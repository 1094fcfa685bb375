package mount_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/rpc/mount"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
)

// syncBuffer is a buffer for a log that several goroutines write.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestAuthentication(t *testing.T) { //nolint:tparallel // the look-ups of each are counted
	t.Parallel()
	r := newRegion(t, regionConfig{})
	noTenant := newRegion(t, regionConfig{route: func(c *call.Call) { c.Tenant = "" }})
	other := r.keys.Tenant(t, "acme-us")
	unknown := (&profilesKeys{}).tenant(t)
	mistyped := r.key[:len(r.key)-1] + string(rune(r.key[len(r.key)-1]^1))
	const users, tenants, revoke = "/v1/users/usr_404", "/v1/tenants/x", "/v1/keys/k1:revoke"
	for _, tt := range []struct { //nolint:paralleltest // the look-ups of each are counted
		name, path string
		header     []string
		region     *region
		reason     string
		asked      int
	}{
		{"no key", users, nil, r, "CREDENTIAL_MISSING", 0},
		{"an empty header", users, []string{""}, r, "CREDENTIAL_MISSING", 0},
		{"another scheme", users, []string{"Basic dTpw"}, r, "CREDENTIAL_INVALID", 0},
		{"no token", users, []string{"Bearer "}, r, "CREDENTIAL_INVALID", 0},
		{"not a key", users, []string{"Bearer " + canary}, r, "CREDENTIAL_INVALID", 0},
		{"two keys", users, []string{"Bearer " + r.key, "Bearer " + r.key}, r, "CREDENTIAL_INVALID", 0},
		{"a wrong checksum costs no look-up", users, []string{"Bearer " + mistyped}, r, "CREDENTIAL_INVALID", 0},
		{"another tenant's key", users, []string{"Bearer " + other}, r, "CREDENTIAL_INVALID", 0},
		{"an unknown key", users, []string{"Bearer " + unknown}, r, "CREDENTIAL_INVALID", 1},
		{"the tenant's key", users, []string{"Bearer " + r.key}, r, "NOT_FOUND", 1},
		{"the scheme in lower case", users, []string{"bearer " + r.key}, r, "NOT_FOUND", 1},
		{"an operator where users are seen", users, []string{"Bearer " + r.operator}, r, "PERMISSION_DENIED", 1},
		{"an operator where GLOBAL alone is seen", revoke, []string{"Bearer " + r.operator}, r, "VERSION_UNAVAILABLE", 1},
		{"an operator where a projection is seen", users + "/summary", []string{"Bearer " + r.operator}, r, "NOT_FOUND", 1},
		{"an operator's method", tenants, []string{"Bearer " + r.operator}, r, "VERSION_UNAVAILABLE", 1},
		{"a tenant's key at an operator's method", tenants, []string{"Bearer " + r.key}, r, "PERMISSION_DENIED", 1},
		{"an unknown key at an operator's method", tenants, []string{"Bearer " + unknown}, r, "CREDENTIAL_INVALID", 1},
		{"a tenant's method, routed without a tenant", users, []string{"Bearer " + r.key}, noTenant, "MISROUTED", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.region.keys.Asked()
			method := http.MethodGet
			if tt.path == revoke {
				method = http.MethodPost
			}
			request := tt.region.request(t, method, tt.path, "", nil)
			request.Header["Authorization"] = tt.header
			got := rpctest.Exchange(t, rpctest.H1(t), request)
			if got.Reason != tt.reason {
				t.Errorf("%s %s, want %s", got.Reason, got.Message, tt.reason)
			}
			if asked := tt.region.keys.Asked() - before; asked != tt.asked {
				t.Errorf("%d look-ups, want %d", asked, tt.asked)
			}
			if strings.Contains(got.Body, canary) || strings.Contains(got.Body, "dk_") {
				t.Errorf("the answer echoes: %s", got.Body)
			}
		})
	}
}

type profilesKeys struct{}

// tenant makes a key that nobody knows.
func (profilesKeys) tenant(t *testing.T) string {
	t.Helper()
	r := newRegion(t, regionConfig{})
	return r.key
}

// A call that was routed as one method is refused by any other.
func TestMethodIsTheOneRouted(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{route: func(c *call.Call) { c.Procedure = profilev1connect.ProfileServiceListUsersProcedure }})
	if got := rpctest.Exchange(t, rpctest.H1(t), r.request(t, http.MethodGet, "/v1/users/usr_1", "", nil)); got.Reason != "MISROUTED" || got.Status != 421 {
		t.Errorf("%+v", got)
	}
}

func createBody(t testing.TB, w rpctest.Wire, handle string) []byte {
	t.Helper()
	user := validUser()
	user.Handle = handle
	if w.Body == nil {
		return rpctest.JSONBody(t, user)
	}
	return w.Body(t, &profilev1.CreateUserRequest{User: user})
}

// A repetition answers what the first call answered, in every protocol; the same key with another request is a mismatch.
func TestRepetition(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	for _, w := range rpctest.Wires(profilev1connect.ProfileServiceCreateUserProcedure, "/v1/users") {
		before := r.profiles.Calls()
		var header http.Header
		send := func(handle string) rpctest.Failure {
			request := r.request(t, http.MethodPost, w.Path, w.ContentType, bytes.NewReader(createBody(t, w, handle)))
			request.Header.Set("Idempotency-Key", "key-over-"+strings.ReplaceAll(w.Name, " ", "-"))
			header = request.Header
			return rpctest.Exchange(t, w.Client(t), request)
		}
		first, again := send("ada"), send("ada")
		if first.Status != http.StatusOK || first.Body == "" || first.Body != again.Body {
			t.Errorf("%s: %d %q, then %d %q", w.Name, first.Status, first.Body, again.Status, again.Body)
		}
		if first.Header.Get("Idempotency-Replayed") != "" || again.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: replayed %v, then %v", w.Name, first.Header, again.Header)
		}
		if n := r.profiles.Calls() - before; n != 1 {
			t.Errorf("%s: %d calls of the handler", w.Name, n)
		}
		request := r.request(t, http.MethodPost, w.Path, w.ContentType, bytes.NewReader(createBody(t, w, "eve")))
		request.Header = header
		if got := rpctest.Exchange(t, w.Client(t), request); got.Reason != "IDEMPOTENCY_MISMATCH" {
			t.Errorf("%s: %s for another request", w.Name, got.Reason)
		}
	}
}

// Of two equal calls at the same time, the one that loses the commit answers what the winner answered, not that it failed.
func TestRepetitionThatLosesTheCommit(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	r.profiles.OnCall = func(ctx context.Context, m proto.Message) error {
		// Meanwhile an equal call has committed.
		create, ok := m.(*profilev1.CreateUserRequest)
		if !ok {
			return nil
		}
		r.profiles.Memory.Remember(call.From(ctx), &profilev1.CreateUserResponse{User: &profilev1.User{Id: "usr_winner", Handle: create.GetUser().GetHandle()}})
		return fault.New(errorsv1.Reason_REASON_ALREADY_EXISTS, "the address is taken")
	}
	for _, w := range rpctest.Wires(profilev1connect.ProfileServiceCreateUserProcedure, "/v1/users") {
		request := r.request(t, http.MethodPost, w.Path, w.ContentType, bytes.NewReader(createBody(t, w, "ada")))
		request.Header.Set("Idempotency-Key", "race-"+strings.ReplaceAll(w.Name, " ", "-"))
		answer := rpctest.Exchange(t, w.Client(t), request)
		if answer.Status != http.StatusOK || !strings.Contains(answer.Body, "usr_winner") || answer.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: %d %q %v", w.Name, answer.Status, answer.Body, answer.Header)
		}
	}
}

func TestIdempotencyKeyForm(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	for _, tt := range []struct {
		name, method, path string
		keys               []string
		reason             string
	}{
		{"empty", "POST", "/v1/users", []string{""}, "INVALID_ARGUMENT"},
		{"too long", "POST", "/v1/users", []string{strings.Repeat("x", 256)}, "INVALID_ARGUMENT"},
		{"a space", "POST", "/v1/users", []string{canary + " x"}, "INVALID_ARGUMENT"},
		{"not ASCII", "POST", "/v1/users", []string{canary + "é"}, "INVALID_ARGUMENT"},
		{"twice", "POST", "/v1/users", []string{"a", "a"}, "INVALID_ARGUMENT"},
		{"on a read it is ignored", "GET", "/v1/users/usr_404", []string{canary + " é", "x"}, "NOT_FOUND"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := ""
			if tt.method == "POST" {
				body = string(rpctest.JSONBody(t, validUser()))
			}
			request := r.request(t, tt.method, tt.path, "application/json", strings.NewReader(body))
			request.Header["Idempotency-Key"] = tt.keys
			got := rpctest.Exchange(t, rpctest.H1(t), request)
			if got.Reason != tt.reason || strings.Contains(got.Body, canary) {
				t.Errorf("%s %s", got.Reason, got.Body)
			}
		})
	}
}

func FuzzIdempotencyKey(f *testing.F) {
	for _, seed := range []string{"", "a", "a b", "é", strings.Repeat("x", 255), strings.Repeat("x", 256), "\x7f", "~!"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		got, given, err := mount.ParseIdempotencyKey(http.Header{"Idempotency-Key": {key}})
		visible := len(key) >= 1 && len(key) <= 255 && strings.IndexFunc(key, func(r rune) bool { return r < '!' || r > '~' }) < 0
		if given != visible || (err == nil) != visible || visible && got != key {
			t.Errorf("%q: %q %v %v", key, got, given, err)
		}
		if err != nil && !fault.Is(err, errorsv1.Reason_REASON_INVALID_ARGUMENT) {
			t.Errorf("%q: %v", key, err)
		}
	})
}
