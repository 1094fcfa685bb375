package guard_test

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/guard"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/handover"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routeheader"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

// origin is a region whose edge signs.
type origin struct {
	region ident.RegionID
	id     string
	key    ed25519.PrivateKey
}

func newOrigin(t testing.TB, region ident.RegionID) origin {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return origin{region, routeheader.KeyID(public), key}
}

func (o origin) sign(at time.Time, target ident.RegionID, tenant ident.TenantID, epoch ident.Epoch) string {
	return routeheader.NewSigner(routeheader.SignerConfig{
		Region: o.region, KeyID: o.id, Key: o.key, Clock: func() time.Time { return at },
	}).Sign(target, tenant, epoch)
}

func keys(origins ...origin) func(region, keyID string) (ed25519.PublicKey, bool) {
	return func(region, keyID string) (ed25519.PublicKey, bool) {
		for _, o := range origins {
			if string(o.region) == region && o.id == keyID {
				public, ok := o.key.Public().(ed25519.PublicKey)
				return public, ok
			}
		}
		return nil, false
	}
}

// A plain net/http service behind the guard answers what an edge routed to it, knows the route, and answers nothing else.
func TestGuard(t *testing.T) {
	t.Parallel()
	us, stranger := newOrigin(t, "us-east-1"), newOrigin(t, "us-east-1")
	cfg := guard.Config{
		Region: "eu-central-1", Keys: keys(us), Clock: clock,
		Epoch: func(tenant string) (uint64, bool) { return 3, tenant == "acme" },
	}
	good := us.sign(now, "eu-central-1", "acme", 3)
	for _, tt := range []struct {
		name    string
		change  func(*guard.Config)
		headers []string
		reason  string
	}{
		{"a good header", nil, []string{good}, ""},
		{"none", nil, nil, "MISROUTED"},
		{"two", nil, []string{good, good}, "MISROUTED"},
		{"for another region", nil, []string{us.sign(now, "us-west-2", "acme", 3)}, "MISROUTED"},
		{"of a stranger", nil, []string{stranger.sign(now, "eu-central-1", "acme", 3)}, "MISROUTED"},
		{"too old", nil, []string{us.sign(now.Add(-time.Minute), "eu-central-1", "acme", 3)}, "MISROUTED"},
		{"from the future", nil, []string{us.sign(now.Add(time.Minute), "eu-central-1", "acme", 3)}, "MISROUTED"},
		{"changed", nil, []string{strings.Replace(good, "v1.", "v1.A", 1)}, "MISROUTED"},
		{"of an ownership that has ended", nil, []string{us.sign(now, "eu-central-1", "acme", 2)}, "STALE_EPOCH"},
		{"of an ownership not known here yet", nil, []string{us.sign(now, "eu-central-1", "acme", 4)}, ""},
		{"of a tenant not known here", nil, []string{us.sign(now, "eu-central-1", "new", 1)}, ""},
		{"nobody asks for epochs", func(c *guard.Config) { c.Epoch = nil }, []string{us.sign(now, "eu-central-1", "acme", 1)}, ""},
		{"no keys", func(c *guard.Config) { c.Keys = nil }, []string{good}, "MISROUTED"},
		{"no region", func(c *guard.Config) { c.Region = "" }, []string{good}, "MISROUTED"},
		{"a longer age", func(c *guard.Config) { c.MaxAge = time.Hour }, []string{us.sign(now.Add(-time.Minute), "eu-central-1", "acme", 3)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := cfg
			if tt.change != nil {
				tt.change(&cfg)
			}
			reached := false
			server := httptest.NewServer(guard.New(cfg)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				reached = true
				route, ok := guard.FromContext(r.Context())
				if !ok || route.Region != "eu-central-1" || route.Edge != "us-east-1" || route.Tenant == "" || route.Epoch == 0 {
					t.Errorf("route: %+v %v", route, ok)
				}
				if len(r.Header["Domicile-Route"]) > 0 {
					t.Error("the handler sees the header")
				}
				_, _ = fmt.Fprint(w, "answered")
			})))
			defer server.Close()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/any", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header["Domicile-Route"] = tt.headers
			answer, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = answer.Body.Close() }()
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if tt.reason == "" {
				if answer.StatusCode != http.StatusOK || string(body) != "answered" || !reached {
					t.Errorf("%d %s", answer.StatusCode, body)
				}
				return
			}
			if answer.StatusCode != http.StatusMisdirectedRequest || !strings.Contains(string(body), `"`+tt.reason+`"`) || reached {
				t.Errorf("%d %s, reached %v; want %s", answer.StatusCode, body, reached, tt.reason)
			}
		})
	}
}

// What this region's edge hands over in the process needs no header, and its epoch is judged all the same.
func TestHandOver(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		call   call.Call
		header string
		status int
	}{
		{"for this region", call.Call{Region: "eu-central-1", Edge: "eu-central-1", Tenant: "acme", Epoch: 3}, "", http.StatusOK},
		{"for another", call.Call{Region: "us-east-1", Tenant: "acme", Epoch: 3}, "", http.StatusMisdirectedRequest},
		{"of an ended ownership", call.Call{Region: "eu-central-1", Tenant: "acme", Epoch: 2}, "", http.StatusMisdirectedRequest},
	} {
		rec := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(handover.With(t.Context(), &tt.call), http.MethodGet, "/", nil)
		guard.New(guard.Config{Region: "eu-central-1", Epoch: func(string) (uint64, bool) { return 3, true }})(
			http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got, _ := guard.FromContext(r.Context())
				want := guard.Route{Tenant: "acme", Epoch: 3, Edge: "eu-central-1", Region: "eu-central-1"}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("route (-want +got):\n%s", diff)
				}
			})).ServeHTTP(rec, r)
		if rec.Code != tt.status {
			t.Errorf("%s: %d %s", tt.name, rec.Code, rec.Body)
		}
	}
}

func TestNoRouteWithoutTheGuard(t *testing.T) {
	t.Parallel()
	if route, ok := guard.FromContext(t.Context()); ok {
		t.Errorf("%+v", route)
	}
}
