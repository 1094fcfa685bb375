package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/domicile-api/domicile/domiciletest"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/services"
)

// demoTenants are the demonstration tenants, with their homes.
var demoTenants = map[string]string{
	"acme-eu": "eu-central-1", "acme-us": "us-east-1", "acme-sg": "ap-southeast-1", "acme-br": "sa-east-1", "bank-eu": "eu-central-1",
}

// protocols are the ways to call one port.
func protocols() map[string]func(url, key string) profilev1connect.ProfileServiceClient {
	h1, h2 := &http.Client{Transport: &http.Transport{}}, domiciletest.NewH2CClient()
	with := func(c *http.Client, opts ...connect.ClientOption) func(string, string) profilev1connect.ProfileServiceClient {
		return func(url, key string) profilev1connect.ProfileServiceClient {
			return profilev1connect.NewProfileServiceClient(c, url, append(opts, domiciletest.Bearer(key))...)
		}
	}
	return map[string]func(url, key string) profilev1connect.ProfileServiceClient{
		"connect json":       with(h1, connect.WithProtoJSON()),
		"connect binary":     with(h1),
		"connect get":        with(h1, connect.WithHTTPGet()),
		"connect over http2": with(h2),
		"grpc":               with(h2, connect.WithGRPC()),
		"grpc json":          with(h2, connect.WithGRPC(), connect.WithProtoJSON()),
		"grpc-web":           with(h1, connect.WithGRPCWeb()),
		"grpc-web on http2":  with(h2, connect.WithGRPCWeb()),
	}
}

// TestEveryTenantThroughEveryRegion calls for each demonstration tenant through each region's port over each protocol: the
// answer is the home's, or the refusal that the tenant's policy asks for.
func TestEveryTenantThroughEveryRegion(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	for tenant, home := range demoTenants {
		key := p.DemoKey(tenant)
		created := do(t, call{method: http.MethodPost, url: p.Endpoint(home) + "/v1/users", key: key, body: newUser("matrix-" + tenant)}).mustBe(t, http.StatusOK, "")
		var want *profilev1.User
		for _, region := range p.Regions() {
			foreign := tenant == "bank-eu" && !strings.HasPrefix(region, "eu-")
			checkREST(t, p, restCase{tenant: tenant, home: home, region: region, id: created.text("id"), refused: foreign})
			for name, newClient := range protocols() {
				what := fmt.Sprintf("%s through %s over %s", tenant, region, name)
				ctx, info := connect.NewClientContext(t.Context())
				got, err := newClient(p.Endpoint(region), key).GetUser(ctx, &profilev1.GetUserRequest{Id: created.text("id")})
				if foreign {
					checkWrongRegion(t, what, err, p.Endpoint(home))
					continue
				}
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if want == nil {
					want = got.GetUser()
				}
				if diff := cmp.Diff(want, got.GetUser(), protocmp.Transform()); diff != "" {
					t.Errorf("%s: another user (-want +got):\n%s", what, diff)
				}
				if r := info.ResponseHeader().Get("Domicile-Region"); r != home {
					t.Errorf("%s: answered by %q instead of %s", what, r, home)
				}
				if e := info.ResponseHeader().Get("Domicile-Edge"); e != region {
					t.Errorf("%s: came in at %q instead of %s", what, e, region)
				}
			}
		}
	}
}

type restCase struct {
	tenant, home, region, id string
	refused                  bool
}

func checkREST(t *testing.T, p *domiciletest.Platform, c restCase) {
	t.Helper()
	a := do(t, call{method: http.MethodGet, url: p.Endpoint(c.region) + "/v1/users/" + c.id, key: p.DemoKey(c.tenant)})
	if c.refused {
		a.mustBe(t, http.StatusMisdirectedRequest, "WRONG_REGION")
		if a.header.Get("Domicile-Home") != c.home {
			t.Errorf("%s through %s: Domicile-Home is %q", c.tenant, c.region, a.header.Get("Domicile-Home"))
		}
		return
	}
	a.mustBe(t, http.StatusOK, "")
	if a.text("id") != c.id || a.header.Get("Domicile-Region") != c.home || a.header.Get("Domicile-Edge") != c.region {
		t.Errorf("%s through %s: id %q, region %q, edge %q", c.tenant, c.region, a.text("id"), a.header.Get("Domicile-Region"), a.header.Get("Domicile-Edge"))
	}
	if cc := a.header.Get("Cache-Control"); cc != "no-store" {
		t.Errorf("%s through %s: a user is sent with Cache-Control %q", c.tenant, c.region, cc)
	}
}

func checkWrongRegion(t *testing.T, what string, err error, endpoint string) {
	t.Helper()
	info := errorInfo(err)
	if info.GetReason() != "WRONG_REGION" || info.GetMetadata()["home_endpoint"] != endpoint || info.GetMetadata()["retry_safe"] != "true" {
		t.Errorf("%s: %v with %v instead of WRONG_REGION with the home's endpoint", what, err, info)
	}
}

// TestGlobalNameFollowsTheCaller sends callers of many countries to the global name.
func TestGlobalNameFollowsTheCaller(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	for country, edge := range map[string]string{
		"DE": "eu-central-1", "IE": "eu-west-1", "US": "us-east-1", "SG": "ap-southeast-1", "JP": "ap-southeast-1", "BR": "sa-east-1", "AR": "sa-east-1", "": "us-east-1",
	} {
		a := do(t, call{
			method: http.MethodGet, url: p.GlobalEndpoint() + "/v1/users", key: p.DemoKey("acme-eu"), header: map[string]string{"Domicile-Country": country},
		}).mustBe(t, http.StatusOK, "")
		if a.header.Get("Domicile-Edge") != edge || a.header.Get("Domicile-Region") != "eu-central-1" {
			t.Errorf("from %q: edge %q, region %q", country, a.header.Get("Domicile-Edge"), a.header.Get("Domicile-Region"))
		}
	}
}

// TestTenantIsNamedByHostKeyOrHeader resolves one tenant in each way, and refuses two at once.
func TestTenantIsNamedByHostKeyOrHeader(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	url, key := p.Endpoint("us-east-1")+"/v1/users", p.DemoKey("acme-eu")
	for name, c := range map[string]struct {
		header map[string]string
		key    string
		status int
		reason string
	}{
		"by key":                        {nil, key, 200, ""},
		"by host and key":               {map[string]string{"Host": "acme-eu.localhost:8083"}, key, 200, ""},
		"by header and key":             {map[string]string{"Domicile-Tenant": "acme-eu"}, key, 200, ""},
		"host and key differ":           {map[string]string{"Host": "acme-us.localhost"}, key, 400, "TENANT_MISMATCH"},
		"header and key differ":         {map[string]string{"Domicile-Tenant": "acme-us"}, key, 400, "TENANT_MISMATCH"},
		"by host, no key":               {map[string]string{"Host": "acme-eu.localhost"}, "", 401, "CREDENTIAL_MISSING"},
		"nothing named":                 {nil, "", 401, "CREDENTIAL_MISSING"},
		"unknown tenant by header":      {map[string]string{"Domicile-Tenant": "nobody"}, "", 404, "TENANT_UNKNOWN"},
		"unknown tenant by host":        {map[string]string{"Host": "nobody.localhost"}, "", 404, "TENANT_UNKNOWN"},
		"wrong checksum, home":          {map[string]string{}, key[:len(key)-1] + other(key[len(key)-1]), 401, "CREDENTIAL_INVALID"},
		"malformed secret still routes": {map[string]string{"Domicile-Routing": "strict"}, "dk_acme-eu_x_y", 421, "WRONG_REGION"},
	} {
		a := do(t, call{method: http.MethodGet, url: url, key: c.key, header: c.header})
		if a.status != c.status || a.reason() != c.reason {
			t.Errorf("%s: %d %q instead of %d %q: %s", name, a.status, a.reason(), c.status, c.reason, a.body)
		}
	}
}

func other(b byte) string {
	if b == 'a' {
		return "b"
	}
	return "a"
}

// TestStrictRoutingIsNeverForwarded asks each foreign edge with Domicile-Routing: strict.
func TestStrictRoutingIsNeverForwarded(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	for _, region := range p.Regions() {
		status, reason := http.StatusMisdirectedRequest, "WRONG_REGION"
		if region == "eu-central-1" {
			status, reason = http.StatusOK, ""
		}
		do(t, call{
			method: http.MethodGet, url: p.Endpoint(region) + "/v1/users", key: p.DemoKey("acme-eu"), header: map[string]string{"Domicile-Routing": "strict"},
		}).mustBe(t, status, reason)
	}
}

// TestRevocationHoldsEverywhere revokes at the control region and at home.
func TestRevocationHoldsEverywhere(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	for name, url := range map[string]string{"by control": p.OperationsEndpoint() + "/v1/tenants/acme-eu/keys/", "at home": p.Endpoint("eu-central-1") + "/v1/keys/"} {
		made := do(t, call{method: http.MethodPost, url: p.OperationsEndpoint() + "/v1/tenants/acme-eu/keys", key: p.OperatorKey(), body: map[string]any{}}).mustBe(t, 200, "")
		secret := made.text("secret")
		id := made.json["apiKey"].(map[string]any)["id"].(string)
		use := call{method: http.MethodGet, url: p.Endpoint("sa-east-1") + "/v1/users", key: secret}
		eventually(t, name+": the key works", func() bool { return do(t, use).status == http.StatusOK })
		revoke := call{method: http.MethodPost, url: url + id + ":revoke", key: p.OperatorKey(), body: map[string]any{}}
		if name == "at home" {
			revoke.key = secret
		}
		do(t, revoke).mustBe(t, 200, "")
		eventually(t, name+": the key is refused", func() bool { return do(t, use).reason() == "CREDENTIAL_INVALID" })
	}
}
