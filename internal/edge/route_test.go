package edge_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
	"github.com/domicile-api/domicile/internal/topology"
)

const createUser = profilev1connect.ProfileServiceCreateUserProcedure

func bodyOf(t testing.TB, w rpctest.Wire) []byte {
	t.Helper()
	if w.Body == nil {
		return rpctest.JSONBody(t, validUser())
	}
	return w.Body(t, &profilev1.CreateUserRequest{User: validUser()})
}

// Every tenant through every region's port over every protocol is answered by its home, or refused as its policy says.
func TestEveryTenantThroughEveryRegion(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	for tenant, record := range tenants {
		if tenant == "gone-eu" {
			continue
		}
		home := p.home(tenant)
		for _, through := range p.places {
			for _, w := range rpctest.Wires(createUser, "/v1/users") {
				before := home.profiles.Calls()
				got := rpctest.Exchange(t, w.Client(t), p.request(t, through.id, tenant, http.MethodPost, w.Path, w.ContentType, bytes.NewReader(bodyOf(t, w))))
				name := string(tenant) + " through " + string(through.id) + " over " + w.Name
				if strings.HasPrefix(record.GetHome(), "eu") && tenant == "bank-eu" && !strings.HasPrefix(string(through.id), "eu") {
					want := map[string]string{"home_region": "eu-central-1", "home_endpoint": home.url, "retry_safe": "true"}
					if diff := cmp.Diff(want, got.Metadata); diff != "" || got.Reason != "WRONG_REGION" || home.profiles.Calls() != before {
						t.Errorf("%s: %s, metadata (-want +got):\n%s", name, got.Reason, diff)
					}
					if !strings.HasPrefix(w.Name, "gRPC") && (got.Status != 421 || got.Header.Get("Domicile-Home") != "eu-central-1") {
						t.Errorf("%s: %d %v", name, got.Status, got.Header)
					}
					continue
				}
				if got.Reason != "" || got.Status != http.StatusOK || home.profiles.Calls() != before+1 {
					t.Errorf("%s: %d %s %s", name, got.Status, got.Reason, got.Message)
				}
				for header, want := range map[string]ident.RegionID{"Domicile-Region": home.id, "Domicile-Edge": through.id, "Domicile-Home": home.id} {
					if v := got.Header.Values(header); len(v) != 1 || v[0] != string(want) {
						t.Errorf("%s: %s: %v, want %s", name, header, v, want)
					}
				}
				if !strings.Contains(strings.Join(got.Header.Values("Server-Timing"), ","), "edge;dur=") {
					t.Errorf("%s: Server-Timing %v", name, got.Header["Server-Timing"])
				}
			}
		}
	}
}

func TestWhoseCallItIs(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	eu, us, bank := p.tenant["acme-eu"], p.tenant["acme-us"], p.tenant["bank-eu"]
	const users = "/v1/users/usr_404"
	for _, tt := range []struct {
		name, through, path, host, key, header string
		strict                                 bool
		reason                                 string
	}{
		{name: "by key", through: "us-east-1", key: eu, reason: "NOT_FOUND"},
		{name: "by host and key", through: "us-east-1", host: "acme-eu.localhost:8083", key: eu, reason: "NOT_FOUND"},
		{name: "by the tenant's own host", through: "us-east-1", host: "API.acme.example.", key: eu, reason: "NOT_FOUND"},
		{name: "by header, without a key", through: "us-east-1", header: "acme-eu", reason: "CREDENTIAL_MISSING"},
		{name: "by host, without a key", through: "us-east-1", host: "acme-eu.localhost", reason: "CREDENTIAL_MISSING"},
		{name: "all agree", through: "us-east-1", host: "acme-eu.localhost", key: eu, header: "acme-eu", reason: "NOT_FOUND"},
		{name: "host and key differ", through: "us-east-1", host: "acme-eu.localhost", key: us, reason: "TENANT_MISMATCH"},
		{name: "header and key differ", through: "us-east-1", key: us, header: "acme-eu", reason: "TENANT_MISMATCH"},
		{name: "host and header differ", through: "us-east-1", host: "acme-eu.localhost", header: "acme-us", reason: "TENANT_MISMATCH"},
		{name: "two headers differ", through: "us-east-1", header: "acme-eu,acme-us", reason: "TENANT_MISMATCH"},
		{name: "a host of nobody's, and a key", through: "us-east-1", host: "canary.example", key: eu, reason: "NOT_FOUND"},
		{name: "nothing", through: "us-east-1", reason: "CREDENTIAL_MISSING"},
		{name: "a host of nobody's alone", through: "us-east-1", host: "canary.example", reason: "TENANT_UNKNOWN"},
		{name: "an unknown tenant's host", through: "us-east-1", host: "canary.localhost", reason: "TENANT_UNKNOWN"},
		{name: "an unknown tenant's key", through: "us-east-1", key: "dk_canary_k1_x", reason: "TENANT_UNKNOWN"},
		{name: "an unknown tenant in the header", through: "us-east-1", header: "canary", reason: "TENANT_UNKNOWN"},
		{name: "a strange tenant in the header", through: "us-east-1", header: "canary\t/../", reason: "TENANT_UNKNOWN"},
		{name: "a deleted tenant", through: "us-east-1", key: p.tenant["gone-eu"], reason: "TENANT_UNKNOWN"},
		{name: "no key at all", through: "us-east-1", key: "canary", reason: "CREDENTIAL_INVALID"},
		{name: "no key at all, and an unknown tenant's header", through: "us-east-1", key: "canary", header: "canary", reason: "TENANT_UNKNOWN"},
		{name: "an address as host", through: "us-east-1", host: "[::1]:8080", key: eu, reason: "NOT_FOUND"},
		{name: "a damaged key still routes", through: "us-east-1", key: "dk_acme-eu_canary", reason: "CREDENTIAL_INVALID"},
		{name: "a damaged key, where its tenant may not be", through: "us-east-1", key: "dk_bank-eu_canary", reason: "WRONG_REGION"},
		{name: "a good key, where its tenant may not be", through: "us-east-1", key: bank, reason: "WRONG_REGION"},
		{name: "no key, where the tenant may not be", through: "us-east-1", host: "bank.example", reason: "WRONG_REGION"},
		{name: "strict abroad", through: "us-east-1", key: eu, strict: true, reason: "WRONG_REGION"},
		{name: "strict in the jurisdiction, not at home", through: "eu-west-1", key: eu, strict: true, reason: "WRONG_REGION"},
		{name: "strict at home", through: "eu-central-1", key: eu, strict: true, reason: "NOT_FOUND"},
		{name: "an operator's method, by an operator", through: "eu-west-1", path: "/v1/tenants/x", key: p.operator, reason: "VERSION_UNAVAILABLE"},
		{name: "an operator's method, by a tenant", through: "eu-west-1", path: "/v1/tenants/x", key: eu, reason: "PERMISSION_DENIED"},
		{name: "an operator's method, by nobody", through: "eu-west-1", path: "/v1/tenants/x", reason: "CREDENTIAL_MISSING"},
		{name: "a tenant's method, by an operator", through: "us-east-1", key: p.operator, header: "acme-eu", reason: "PERMISSION_DENIED"},
		{name: "a tenant's method, by an operator for nobody", through: "us-east-1", key: p.operator, reason: "TENANT_UNKNOWN"},
		{name: "an unknown path", through: "us-east-1", path: "/v1/canary", key: eu, reason: "VERSION_UNAVAILABLE"},
		{name: "an unknown version", through: "us-east-1", path: "/v9/users", key: eu, reason: "VERSION_UNAVAILABLE"},
		{name: "a path of another HTTP method", through: "us-east-1", path: "/v1/users:lookup", key: eu, reason: "UNSUPPORTED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := users
			if tt.path != "" {
				path = tt.path
			}
			r := p.request(t, ident.RegionID(tt.through), "", http.MethodGet, path, "", nil)
			if tt.host != "" {
				r.Host = tt.host
			}
			if tt.key != "" {
				r.Header.Set("Authorization", "Bearer "+tt.key)
			}
			for value := range strings.SplitSeq(tt.header, ",") {
				r.Header.Add("Domicile-Tenant", value)
			}
			if tt.strict {
				r.Header.Set("Domicile-Routing", "strict")
			}
			got := rpctest.Exchange(t, rpctest.H1(t), r)
			if got.Reason != tt.reason {
				t.Errorf("%d %s %s, want %s", got.Status, got.Reason, got.Message, tt.reason)
			}
			if strings.Contains(got.Body, "canary") {
				t.Errorf("the answer echoes: %s", got.Body)
			}
		})
	}
}

// A call that another edge has forwarded is judged by the guard and goes no further; a client's word for it is worth nothing.
func TestForwardedCallsAreNotForwarded(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	signer := p.signer("us-east-1")
	forHome := func() string { return signer.Sign("eu-central-1", "acme-eu", 3) }
	for _, tt := range []struct {
		name, through string
		header        func() string
		reason        string
	}{
		{"signed for this region", "eu-central-1", forHome, "NOT_FOUND"},
		{"signed for another region", "eu-west-1", forHome, "MISROUTED"},
		{"of an old epoch", "eu-central-1", func() string { return signer.Sign("eu-central-1", "acme-eu", 2) }, "STALE_EPOCH"},
		{"of another tenant", "eu-central-1", func() string { return signer.Sign("eu-central-1", "bank-eu", 3) }, "CREDENTIAL_INVALID"},
		{"of no tenant", "eu-central-1", func() string { return signer.Sign("eu-central-1", "", 0) }, "MISROUTED"},
		{"forged", "eu-central-1", func() string { return strings.Replace(forHome(), "v1.", "v1.A", 1) }, "MISROUTED"},
		{"nonsense", "us-east-1", func() string { return "canary" }, "MISROUTED"},
		{"empty", "us-east-1", func() string { return "" }, "MISROUTED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, w := range rpctest.Wires(profilev1connect.ProfileServiceGetUserProcedure, "/v1/users/usr_404") {
				method, body := http.MethodGet, []byte(nil)
				if w.Body != nil {
					method, body = http.MethodPost, w.Body(t, &profilev1.GetUserRequest{Id: "usr_404"})
				}
				r := p.request(t, ident.RegionID(tt.through), "acme-eu", method, w.Path, w.ContentType, bytes.NewReader(body))
				r.Header["Domicile-Route"] = []string{tt.header()}
				if got := rpctest.Exchange(t, w.Client(t), r); got.Reason != tt.reason || strings.Contains(got.Body, "canary") {
					t.Errorf("%s: %s %s", w.Name, got.Reason, got.Body)
				}
			}
		})
	}
}

func TestRegionsThatTakeNoCalls(t *testing.T) {
	t.Parallel()
	central := topology.Index(0)
	for reason, cfg := range map[string]func(*edge.Config){
		"NO_LAWFUL_REGION": func(c *edge.Config) { c.Health = health([]topology.Index{central}, nil) },
		"REGION_DRAINING":  func(c *edge.Config) { c.Health = health(nil, []topology.Index{central}) },
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, platformConfig{edge: func(_ *place, c *edge.Config) { cfg(c) }})
			got := rpctest.Exchange(t, rpctest.H1(t), p.request(t, "us-east-1", "acme-eu", http.MethodGet, "/v1/users/x", "", nil))
			if got.Reason != reason || got.Status != http.StatusServiceUnavailable {
				t.Errorf("%d %s", got.Status, got.Reason)
			}
		})
	}
}

// The global name hands a call to the edge nearest to the caller.
func TestGlobalName(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	edges := make(map[topology.Index]http.Handler)
	for _, pl := range p.places {
		edges[pl.index] = pl.edge
	}
	trusting, err := edge.NewGlobal(edge.GlobalConfig{Topology: p.topology, Edges: edges, TrustCountry: true})
	if err != nil {
		t.Fatal(err)
	}
	strict, err := edge.NewGlobal(edge.GlobalConfig{Topology: p.topology, Edges: edges})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, viewer, said, edge string
		global                   http.Handler
	}{
		{"CDN", "DE", "", "eu-central-1", strict},
		{"CDN, lower case", "br", "", "sa-east-1", strict},
		{"nobody says", "", "", "us-east-1", strict},
		{"the caller says", "DE", "SG", "ap-southeast-1", trusting},
		{"the caller is not believed", "DE", "SG", "eu-central-1", strict},
		{"nonsense", "canary", "", "us-east-1", strict},
	} {
		rec := newRecorder()
		r := p.request(t, "eu-central-1", "acme-eu", http.MethodGet, "/v1/users/usr_404", "", nil)
		r.Body = http.NoBody
		r.Header.Set("Cloudfront-Viewer-Country", tt.viewer)
		r.Header.Set("Domicile-Country", tt.said)
		tt.global.ServeHTTP(rec, r)
		if got := rec.Header().Get("Domicile-Edge"); got != tt.edge || rec.Header().Get("Domicile-Region") != "eu-central-1" {
			t.Errorf("%s: came in at %q, answered by %q", tt.name, got, rec.Header().Get("Domicile-Region"))
		}
	}
	if _, err := edge.NewGlobal(edge.GlobalConfig{Topology: p.topology}); err == nil {
		t.Error("a global name without edges")
	}
}
