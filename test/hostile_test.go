package test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/domicile-api/domicile/domiciletest"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routeheader"
	"github.com/domicile-api/domicile/services"
)

// raw sends bytes to a region and returns the answer to them.
func raw(t *testing.T, endpoint, request string) answer {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return talk(t, conn, request)
}

// talk sends bytes on a connection and reads the answer that ends it.
func talk(t *testing.T, conn net.Conn, request string) answer {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(bound)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil && len(got) == 0 {
		t.Fatal(err)
	}
	a := parse(t, got)
	holdAgainstDocument(t, request, a)
	return a
}

// TestHostilePaths sends paths that are not clean, escaped where they need not be, or almost known. None is redirected, and none is
// repeated in an answer.
func TestHostilePaths(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	const echo = "zweiundvierzig"
	unknown := []int{http.StatusNotFound}
	for path, statuses := range map[string][]int{
		"//v1/users": unknown, "/v1//users": unknown, "/v1/./users": unknown, "/v1/../v1/users/" + echo: unknown,
		"/v1/users:" + echo: unknown, "/v1/users;" + echo: unknown, "/V1/users": unknown, "/v1/users:summaries/": unknown,
		"/v1/users/" + echo + "/": unknown, "/v1/users/" + echo + ":lookup": unknown, "/v1/users/..%2f..%2f" + echo: unknown,
		"/v1/users/": {400}, "/v1/users/%00": {400}, "/v1/users/%ff": {400}, "/v1/users/%2e%2e": {400},
		"/v1%2Fusers": {200}, "/v1/users%3Asummaries": {200},
		"/grpc.health.v1.Health/../v1/users/" + echo:                 unknown,
		"/grpc.health.v1.Health//" + echo:                            unknown,
		"/grpc.reflection.v1.ServerReflection/../../" + echo:         unknown,
		"/grpc.reflection.v1alpha.ServerReflection/%2e%2e/" + echo:   unknown,
		"/domicile.profile.v1.ProfileService/":                       unknown,
		"/domicile.profile.v1.ProfileService//GetUser":               unknown,
		"/domicile.profile.v1.ProfileService/../../v1/users/" + echo: unknown,
		"/debug/pprof/": unknown, "/metrics": unknown,
	} {
		for _, region := range []string{"eu-central-1", "us-east-1"} {
			for name, extra := range map[string]string{"": "", "with a forged route": "Domicile-Route: v1.a.b\r\n"} {
				a := raw(t, p.Endpoint(region), "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer "+
					p.DemoKey("acme-eu")+"\r\n"+extra+"\r\n")
				want := statuses[0]
				if extra != "" && !strings.HasPrefix(path, "/grpc.") {
					want = http.StatusMisdirectedRequest
				}
				if extra != "" && strings.HasPrefix(path, "/grpc.") && a.status == http.StatusMisdirectedRequest {
					want = a.status
				}
				if a.status != want || a.status >= 400 && a.reason() == "" || bytes.Contains(a.body, []byte(echo)) {
					t.Errorf("%s %s through %s: %d instead of %d: %.300s", path, name, region, a.status, want, a.body)
				}
			}
		}
	}
}

// TestHostsNameTenants writes a tenant's host in all ways that mean it, beside another tenant's key: it is a mismatch each time, also
// when that other tenant was given the host.
func TestHostsNameTenants(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	thief := p.CreateTenant(t, &tenancyv1.Tenant{
		Id: "thief", Home: "us-east-1", Standby: "none", Transit: tenancyv1.Transit_TRANSIT_FORWARD,
		Projections: tenancyv1.Projections_PROJECTIONS_NONE, Hosts: []string{"acme-eu.localhost", "thief.example."},
	})
	get := func(host, key string) answer {
		return do(t, call{method: http.MethodGet, url: p.Endpoint("us-east-1") + "/v1/users", key: key, header: map[string]string{"Host": host}})
	}
	for _, host := range []string{
		"acme-eu.localhost", "ACME-EU.LOCALHOST", "acme-eu.localhost.", "acme-eu.localhost:19083", "acme-eu.localhost.:80", "[acme-eu.localhost]",
	} {
		if a := get(host, thief); a.reason() != "TENANT_MISMATCH" {
			t.Errorf("%s with another tenant's key: %d %q", host, a.status, a.reason())
		}
		if a := get(host, p.DemoKey("acme-eu")); a.status != http.StatusOK {
			t.Errorf("%s with the tenant's own key: %d %q", host, a.status, a.reason())
		}
	}
	for _, host := range []string{"thief.example", "thief.example.", "THIEF.example:443"} {
		if a := get(host, thief); a.status != http.StatusOK {
			t.Errorf("%s: %d %q", host, a.status, a.reason())
		}
		if a := get(host, p.DemoKey("acme-us")); a.reason() != "TENANT_MISMATCH" {
			t.Errorf("%s with another tenant's key: %d %q", host, a.status, a.reason())
		}
	}
	for _, target := range []string{"http://acme-us.localhost/v1/users", "http://ACME-US.localhost.:1/v1/users"} {
		a := raw(t, p.Endpoint("us-east-1"), "GET "+target+" HTTP/1.1\r\nHost: acme-eu.localhost\r\nConnection: close\r\nAuthorization: Bearer "+
			p.DemoKey("acme-eu")+"\r\n\r\n")
		if a.reason() != "TENANT_MISMATCH" {
			t.Errorf("absolute form %s: %d %q", target, a.status, a.reason())
		}
	}
}

// TestRepeatedHeaders gives headers twice, in lists, or by name in Connection: none weakens a rule.
func TestRepeatedHeaders(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	eu, us := "Authorization: Bearer "+p.DemoKey("acme-eu"), "Authorization: Bearer "+p.DemoKey("acme-us")
	for name, c := range map[string]struct {
		headers []string
		status  int
		reason  string
	}{
		"two keys":                      {[]string{eu, us}, 401, "CREDENTIAL_INVALID"},
		"the same key twice":            {[]string{eu, eu}, 401, "CREDENTIAL_INVALID"},
		"two keys in one":               {[]string{eu + "," + p.DemoKey("acme-us")}, 401, "CREDENTIAL_INVALID"},
		"no scheme":                     {[]string{"Authorization: " + p.DemoKey("acme-eu"), "Domicile-Tenant: acme-eu"}, 401, "CREDENTIAL_INVALID"},
		"basic":                         {[]string{"Authorization: Basic " + p.DemoKey("acme-eu"), "Domicile-Tenant: acme-eu"}, 401, "CREDENTIAL_INVALID"},
		"another tenant's secret":       {[]string{us[:len("Authorization: Bearer dk_acme-us_")] + p.DemoKey("acme-eu")[len("dk_acme-eu_"):]}, 401, "CREDENTIAL_INVALID"},
		"two tenants":                   {[]string{us, "Domicile-Tenant: acme-us", "Domicile-Tenant: acme-eu"}, 400, "TENANT_MISMATCH"},
		"a list of tenants":             {[]string{us, "Domicile-Tenant: acme-us,acme-eu"}, 400, "TENANT_MISMATCH"},
		"a tenant in capitals":          {[]string{us, "Domicile-Tenant: ACME-US"}, 400, "TENANT_MISMATCH"},
		"strict second":                 {[]string{eu, "Domicile-Routing: any", "Domicile-Routing: strict"}, 421, "WRONG_REGION"},
		"strict in a list":              {[]string{eu, "Domicile-Routing: any, Strict"}, 421, "WRONG_REGION"},
		"strict named hop-by-hop":       {[]string{eu, "Domicile-Routing: strict", "Connection: domicile-routing"}, 421, "WRONG_REGION"},
		"a misspelt strict":             {[]string{eu, "Domicile-Routing: stric"}, 400, "INVALID_ARGUMENT"},
		"an empty routing":              {[]string{eu, "Domicile-Routing: "}, 400, "INVALID_ARGUMENT"},
		"an empty route":                {[]string{eu, "Domicile-Route: "}, 421, "MISROUTED"},
		"two routes":                    {[]string{eu, "Domicile-Route: a", "Domicile-Route: b"}, 421, "MISROUTED"},
		"the key named hop-by-hop":      {[]string{eu, "Connection: authorization"}, 401, "CREDENTIAL_MISSING"},
		"the route named hop-by-hop":    {[]string{eu, "Connection: domicile-route"}, 200, ""},
		"a route with an underscore":    {[]string{eu, "Domicile_Route: a"}, 200, ""},
		"an operator without a tenant":  {[]string{"Authorization: Bearer " + p.OperatorKey()}, 404, "TENANT_UNKNOWN"},
		"an operator's key as a tenant": {[]string{"Authorization: Bearer " + p.OperatorKey(), "Domicile-Tenant: acme-eu"}, 403, "PERMISSION_DENIED"},
	} {
		a := raw(t, p.Endpoint("us-east-1"), "GET /v1/users HTTP/1.1\r\nHost: localhost\r\n"+strings.Join(c.headers, "\r\n")+"\r\nConnection: close\r\n\r\n")
		if a.status != c.status || a.reason() != c.reason {
			t.Errorf("%s: %d %q instead of %d %q: %.300s", name, a.status, a.reason(), c.status, c.reason, a.body)
		}
	}
}

// TestRequestSmuggling sends requests whose end is a matter of opinion. Each connection gets one answer, and no user more is made.
func TestRequestSmuggling(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	key := p.DemoKey("acme-eu")
	hidden := "POST /v1/users HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + key + "\r\nContent-Type: application/json\r\nContent-Length: 79\r\n\r\n" +
		`{"givenName":"S","familyName":"M","email":"smuggled@example.com","locale":"de"}`
	for name, head := range map[string]string{
		"two lengths":         "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"a list of lengths":   "Content-Length: 2, 3\r\n\r\n{}",
		"a signed length":     "Content-Length: +2\r\n\r\n{}",
		"two encodings":       "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"a disguised chunked": "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"a bad chunk":         "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
		"a space in a name":   "Content-Length : 2\r\n\r\n{}",
		"length and chunked":  "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
	} {
		for _, region := range []string{"eu-central-1", "us-east-1"} {
			a := raw(t, p.Endpoint(region), "POST /v1/users HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer "+key+
				"\r\nContent-Type: application/json\r\n"+head+hidden)
			if a.status < 400 || a.status >= 500 && a.status != http.StatusNotImplemented {
				t.Errorf("%s through %s: %d %.200s", name, region, a.status, a.body)
			}
		}
	}
	// The edge sends HTTP/1.1 to the home: what HTTP/2 lets into a path must not become a request line of its own.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Endpoint("us-east-1")+"/v1/users", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL = &url.URL{Scheme: "http", Host: req.URL.Host, Path: "/v1/users", RawQuery: "pageSize=1 HTTP/1.1"}
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := domiciletest.NewH2CClient().Do(req)
	if err == nil {
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest || !bytes.Contains(body, []byte("INVALID_ARGUMENT")) {
			t.Errorf("a space in the query over HTTP/2: %d %s", resp.StatusCode, body)
		}
	}
	list := do(t, call{method: http.MethodGet, url: p.Endpoint("eu-central-1") + "/v1/users", key: key}).mustBe(t, 200, "")
	if bytes.Contains(list.body, []byte("smuggled")) {
		t.Errorf("a hidden request was answered: %s", list.body)
	}
}

// TestCompressionBomb sends 200 MB of one letter in a small body.
func TestCompressionBomb(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	_, _ = io.WriteString(w, `{"givenName":"`)
	letters := bytes.Repeat([]byte("a"), 1<<20)
	for range 64 {
		_, _ = w.Write(letters)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/users", "/domicile.profile.v1.ProfileService/CreateUser"} {
		for _, region := range []string{"eu-central-1", "us-east-1"} {
			do(t, call{
				method: http.MethodPost, url: p.Endpoint(region) + path, key: p.DemoKey("acme-eu"), body: bomb.String(),
				header: map[string]string{"Content-Encoding": "gzip"},
			}).mustBe(t, http.StatusRequestEntityTooLarge, "TOO_LARGE")
		}
	}
}

// TestIdempotencyKeysAreNoBackDoor uses one key for different things and by different callers.
func TestIdempotencyKeysAreNoBackDoor(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	send := func(method, path, key string, body any) answer {
		c := call{method: method, url: p.Endpoint("us-east-1") + path, key: key, body: body, header: map[string]string{"Idempotency-Key": "one"}}
		return do(t, c)
	}
	eu, us := p.DemoKey("acme-eu"), p.DemoKey("acme-us")
	made := send(http.MethodPost, "/v1/users", eu, newUser("idem")).mustBe(t, 200, "")
	other := send(http.MethodPost, "/v1/users", us, newUser("idem")).mustBe(t, 200, "")
	if other.text("id") == made.text("id") || other.header.Get("Idempotency-Replayed") != "" {
		t.Error("a tenant got the answer of another's call")
	}
	id := made.text("id")
	send(http.MethodDelete, "/v1/users/"+id, eu, nil).mustBe(t, http.StatusUnprocessableEntity, "IDEMPOTENCY_MISMATCH")
	send(http.MethodPatch, "/v1/users/"+id, eu, map[string]any{"locale": "fr"}).mustBe(t, http.StatusUnprocessableEntity, "IDEMPOTENCY_MISMATCH")
	// The same request by a key that is no good gets no stored answer.
	send(http.MethodPost, "/v1/users", eu[:len(eu)-1], newUser("idem")).mustBe(t, http.StatusUnauthorized, "CREDENTIAL_INVALID")
	do(t, call{method: http.MethodDelete, url: p.Endpoint("us-east-1") + "/v1/users/" + id, key: eu}).mustBe(t, 200, "")
	again := send(http.MethodPost, "/v1/users", eu, newUser("idem")).mustBe(t, 200, "")
	if again.text("id") != id || again.header.Get("Idempotency-Replayed") != "true" {
		t.Error("the repetition of a create made another user after the delete")
	}
	do(t, call{method: http.MethodGet, url: p.Endpoint("us-east-1") + "/v1/users/" + id, key: eu}).mustBe(t, http.StatusNotFound, "NOT_FOUND")
}

// TestPageTokensAreBound uses a page token for another tenant and another list.
func TestPageTokensAreBound(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	list := func(path, key, token string) answer {
		return do(t, call{method: http.MethodGet, url: p.Endpoint("us-east-1") + path + "?pageSize=1&pageToken=" + url.QueryEscape(token), key: key})
	}
	for _, tenant := range []string{"acme-eu", "acme-us"} {
		for i := range 2 {
			do(t, call{method: http.MethodPost, url: p.Endpoint("us-east-1") + "/v1/users", key: p.DemoKey(tenant), body: newUser(fmt.Sprint("page", i))}).mustBe(t, 200, "")
		}
	}
	token := list("/v1/users", p.DemoKey("acme-eu"), "").mustBe(t, 200, "").text("nextPageToken")
	list("/v1/users", p.DemoKey("acme-eu"), token).mustBe(t, 200, "")
	list("/v1/users", p.DemoKey("acme-us"), token).mustBe(t, 400, "TOKEN_INVALID")
	list("/v1/users:summaries", p.DemoKey("acme-eu"), token).mustBe(t, 400, "TOKEN_INVALID")
	for _, forged := range []string{token[:len(token)-1], token + "A", strings.ToLower(token), "=", "%", strings.Repeat("A", 512)} {
		if a := list("/v1/users", p.DemoKey("acme-eu"), forged); a.reason() != "TOKEN_INVALID" && a.reason() != "INVALID_ARGUMENT" {
			t.Errorf("a forged token: %d %q", a.status, a.reason())
		}
	}
}

// TestRouteHeadersOfAnEdge uses what an edge could sign, good keys included, for what it must not be good for.
func TestRouteHeadersOfAnEdge(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	sign := func(origin, target string, tenant ident.TenantID, epoch ident.Epoch, at time.Time) string {
		seed, err := os.ReadFile(filepath.Join(p.Dir(), origin, "route.key"))
		if err != nil || len(seed) != ed25519.SeedSize {
			t.Fatalf("the route key of %s: %d bytes, %v", origin, len(seed), err)
		}
		key := ed25519.NewKeyFromSeed(seed)
		return routeheader.NewSigner(routeheader.SignerConfig{
			Region: ident.RegionID(origin), KeyID: routeheader.KeyID(key.Public().(ed25519.PublicKey)), Key: key, Clock: func() time.Time { return at },
		}).Sign(ident.RegionID(target), tenant, epoch)
	}
	now := time.Now()
	eu, us := p.DemoKey("acme-eu"), p.DemoKey("acme-us")
	for name, c := range map[string]struct {
		region, key, route string
		status             int
		reason             string
	}{
		"as an edge does":              {"eu-central-1", eu, sign("us-east-1", "eu-central-1", "acme-eu", 1, now), 200, ""},
		"to a region that is not home": {"us-east-1", eu, sign("us-east-1", "us-east-1", "acme-eu", 1, now), 421, "MISROUTED"},
		"to the standby":               {"eu-west-1", eu, sign("us-east-1", "eu-west-1", "acme-eu", 1, now), 421, "MISROUTED"},
		"taken to another region":      {"us-east-1", eu, sign("us-east-1", "eu-central-1", "acme-eu", 1, now), 421, "MISROUTED"},
		"for another tenant's key":     {"eu-central-1", us, sign("us-east-1", "eu-central-1", "acme-eu", 1, now), 401, "CREDENTIAL_INVALID"},
		"for no tenant":                {"eu-central-1", eu, sign("us-east-1", "eu-central-1", "", 0, now), 421, "MISROUTED"},
		"of an epoch that has ended":   {"eu-central-1", eu, sign("us-east-1", "eu-central-1", "acme-eu", 0, now), 421, "STALE_EPOCH"},
		"a minute old":                 {"eu-central-1", eu, sign("us-east-1", "eu-central-1", "acme-eu", 1, now.Add(-time.Minute)), 421, "MISROUTED"},
		"from the future":              {"eu-central-1", eu, sign("us-east-1", "eu-central-1", "acme-eu", 1, now.Add(time.Minute)), 421, "MISROUTED"},
	} {
		a := do(t, call{method: http.MethodGet, url: p.Endpoint(c.region) + "/v1/users", key: c.key, header: map[string]string{"Domicile-Route": c.route}})
		if a.status != c.status || a.reason() != c.reason {
			t.Errorf("%s: %d %q instead of %d %q: %s", name, a.status, a.reason(), c.status, c.reason, a.body)
		}
	}
}

// TestSlowCallOutlivesItsTenant begins calls before their tenant is deleted and purged, and ends them after that: they are refused as
// any later call is.
func TestSlowCallOutlivesItsTenant(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	for _, purge := range []bool{false, true} {
		id := fmt.Sprintf("slow-%t", purge)
		key := p.CreateTenant(t, &tenancyv1.Tenant{
			Id: id, Home: "eu-central-1", Standby: "eu-west-1", Transit: tenancyv1.Transit_TRANSIT_FORWARD,
			Projections: tenancyv1.Projections_PROJECTIONS_EVERYWHERE,
		})
		users := call{method: http.MethodPost, url: p.Endpoint("eu-central-1") + "/v1/users", key: key, body: newUser("before")}
		do(t, users).mustBe(t, 200, "")
		body := `{"givenName":"S","familyName":"L","email":"slow@example.com","locale":"de"}`
		conns := map[string]net.Conn{}
		for _, region := range []string{"eu-central-1", "us-east-1"} {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.Endpoint(region), "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := fmt.Fprintf(conn, "POST /v1/users HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nAuthorization: Bearer %s\r\n"+
				"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", key, len(body)); err != nil {
				t.Fatal(err)
			}
			// The answer says that the call is past the edge's decision, and its body wanted.
			hint := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
			if _, err := io.ReadFull(conn, hint); err != nil || !bytes.Contains(hint, []byte("100 Continue")) {
				t.Fatalf("%q, %v", hint, err)
			}
			conns[region] = conn
		}
		tenant := p.OperationsEndpoint() + "/v1/tenants/" + id
		do(t, call{method: http.MethodDelete, url: tenant, key: p.OperatorKey()}).mustBe(t, 200, "")
		if purge {
			do(t, call{method: http.MethodPost, url: tenant + ":purge", key: p.OperatorKey(), body: map[string]any{}}).mustBe(t, 200, "")
			eventually(t, "the tenant is erased", func() bool {
				return do(t, call{method: http.MethodGet, url: tenant, key: p.OperatorKey()}).text("eraseTime") != ""
			})
		}
		eventually(t, "the home knows", func() bool { return do(t, users).reason() == "TENANT_UNKNOWN" })
		for region, conn := range conns {
			if a := talk(t, conn, body); a.status != http.StatusNotFound || a.reason() != "TENANT_UNKNOWN" {
				t.Errorf("purged %t, through %s: %d %q: %s", purge, region, a.status, a.reason(), a.body)
			}
		}
	}
}

// TestNothingOfACallerIsLogged sends personal data in every place that a request has, through a foreign edge, with debug logs on.
func TestNothingOfACallerIsLogged(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	const canary = "kanarienvogel"
	headers := map[string]string{
		"User-Agent": canary, "Referer": canary, "X-Forwarded-For": "203.0.113.77", "Forwarded": "for=203.0.113.77", "Cookie": canary,
		"Tracestate": "v=" + canary, "Baggage": "v=" + canary, "Idempotency-Key": canary, "X-Request-Id": canary, "Origin": "https://" + canary + ".example",
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	for _, c := range []call{
		{method: http.MethodPost, url: "/v1/users", body: newUser(canary)},
		{method: http.MethodPost, url: "/v1/users", body: `{"` + canary + `":1}`},
		{method: http.MethodGet, url: "/v1/users/" + canary + "?" + canary + "=" + canary},
		{method: http.MethodPost, url: "/v1/users:lookup", body: map[string]any{"email": canary + "@example.com"}},
		{method: http.MethodGet, url: "/" + canary},
		{method: "KANARIENVOGEL", url: "/v1/users"},
		{method: http.MethodPost, url: "/v1/users", body: canary, contentType: "application/" + canary},
	} {
		c.url, c.key, c.header = p.Endpoint("us-east-1")+c.url, p.DemoKey("acme-eu"), headers
		if _, err := try(context.Background(), c); err != nil {
			t.Fatal(err)
		}
	}
	metrics := do(t, call{method: http.MethodGet, url: p.OperationsEndpoint() + "/metrics"}).body
	for what, text := range map[string]string{"log": p.Log(), "metrics": string(metrics)} {
		lower := strings.ToLower(text)
		for _, secret := range []string{canary, "203.0.113.77", p.DemoKey("acme-eu")} {
			if i := strings.Index(lower, strings.ToLower(secret)); i >= 0 {
				t.Errorf("the %s has %q: …%s…", what, secret, lower[max(0, i-200):min(len(lower), i+100)])
			}
		}
	}
}

// parse reads an answer; a request that net/http refuses by itself gets one without a reason.
func parse(t *testing.T, got []byte) answer {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(got)), nil) //nolint:bodyclose // It is a part of got.
	if err != nil {
		t.Fatalf("%v: %.200q", err, got)
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatalf("%v: %.200q", err, got)
	}
	_ = json.Unmarshal(a.body, &a.json)
	return a
}
