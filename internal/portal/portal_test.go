package portal_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/docs"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/portal"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// document is a small OpenAPI document.
func document(version string) []byte {
	return []byte(`{"openapi":"3.1.0","info":{"title":"Ledger","version":"` + version + `"},"servers":[{"url":"https://api.ledger.example"}],"paths":{}}` +
		strings.Repeat(" ", 1000))
}

func archive(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	if _, err := z.Create("ledger.proto"); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func config(t *testing.T) portal.Config {
	t.Helper()
	topo := topologyfile.Default()
	frankfurt, _ := topo.Index("eu-central-1")
	return portal.Config{
		Topology: topo, Region: frankfurt, GlobalURL: "http://127.0.0.1:8080", Guides: docs.Guides, Clock: time.Now,
		Versions: []portal.Version{
			{Name: "v2", YAML: []byte("openapi: 3.1.0 # v2\n"), JSON: document("v2"), Connect: []byte("connect: v2\n"), Protos: archive(t), Descriptors: []byte("v2 descriptors")},
			{Name: "v1", YAML: []byte("openapi: 3.1.0 # v1\n"), JSON: document("v1")},
		},
		Look: func(context.Context) (ident.RegionID, map[ident.RegionID]portal.Sight) {
			return "eu-central-1", map[ident.RegionID]portal.Sight{
				"us-east-1": {Asked: true, Answered: true, RoundTrip: 90 * time.Millisecond}, "sa-east-1": {Asked: true},
			}
		},
	}
}

func newPortal(t *testing.T, cfg portal.Config) *portal.Portal {
	t.Helper()
	p, err := portal.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ask(p http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, path, http.NoBody)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	p := newPortal(t, config(t))
	for path, want := range map[string]struct{ contentType, text string }{
		"/openapi.yaml":                 {"application/yaml", "# v2"},
		"/openapi.json":                 {"application/json", `"version":"v2"`},
		"/openapi/v1.yaml":              {"application/yaml", "# v1"},
		"/openapi/v1.json":              {"application/json", `"version":"v1"`},
		"/openapi/v2.json":              {"application/json", `"version":"v2"`},
		"/openapi/v2/connect.yaml":      {"application/yaml", "connect: v2"},
		"/openapi/v2/proto.zip":         {"application/zip", "ledger.proto"},
		"/openapi/v2/descriptors.binpb": {"application/x-protobuf", "v2 descriptors"},
		"/llms.txt":                     {"text/plain; charset=utf-8", "http://127.0.0.1:8081/openapi/v2.yaml"},
		"/docs":                         {"text/html; charset=utf-8", "<h1>Ledger</h1>"},
		"/docs/reference":               {"text/html; charset=utf-8", "swagger-ui-bundle.js"},
		"/docs/guides":                  {"text/html; charset=utf-8", "Choosing an endpoint"},
		"/docs/guides/consistency":      {"text/html; charset=utf-8", "http://127.0.0.1:8085/v1/users:summaries"},
		"/docs/guides/reasons":          {"text/html; charset=utf-8", "WRONG_REGION"},
	} {
		plain := ask(p, http.MethodGet, path)
		if plain.Code != http.StatusOK || plain.Header().Get("Content-Type") != want.contentType || !strings.Contains(plain.Body.String(), want.text) {
			t.Errorf("%s: %d %v %.200q", path, plain.Code, plain.Header(), plain.Body)
			continue
		}
		packed := ask(p, http.MethodGet, path, "Accept-Encoding", "br, gzip;q=0.5")
		if packed.Header().Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(packed.Body)
			if err != nil {
				t.Fatal(err)
			}
			if expanded, err := io.ReadAll(z); err != nil || !bytes.Equal(expanded, plain.Body.Bytes()) {
				t.Errorf("%s: compressed it is something else: %v", path, err)
			}
			if packed.Header().Get("ETag") == plain.Header().Get("ETag") {
				t.Errorf("%s: both forms have the ETag %s", path, plain.Header().Get("ETag"))
			}
		}
		for _, tag := range []string{plain.Header().Get("ETag"), "W/" + plain.Header().Get("ETag"), `"other", ` + packed.Header().Get("ETag"), "*"} {
			if again := ask(p, http.MethodGet, path, "If-None-Match", tag); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
				t.Errorf("%s with If-None-Match %s: %d", path, tag, again.Code)
			}
		}
		if other := ask(p, http.MethodGet, path, "If-None-Match", `"other"`); other.Code != http.StatusOK {
			t.Errorf("%s with another tag: %d", path, other.Code)
		}
		head := ask(p, http.MethodHead, path)
		if head.Code != http.StatusOK || head.Body.Len() > 0 || head.Header().Get("Content-Length") != plain.Header().Get("Content-Length") {
			t.Errorf("HEAD %s: %d %v", path, head.Code, head.Header())
		}
	}
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	p := newPortal(t, config(t))
	for accept, want := range map[string]string{
		"": "", "gzip": "gzip", "gzip;q=0": "", "*": "gzip", "*, gzip;q=0": "", "br": "", "GZIP ; q=1": "gzip", "gzip;q=none": "", "identity": "",
		"gzip;Q=0": "", "gzip;\tq=0": "",
	} {
		if got := ask(p, http.MethodGet, "/openapi.json", "Accept-Encoding", accept).Header().Get("Content-Encoding"); got != want {
			t.Errorf("%q: %q, want %q", accept, got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	p := newPortal(t, config(t))
	for _, path := range []string{"/openapi/v3.yaml", "/openapi/v1/proto.zip", "/openapi/", "/docs/nothing", "/openapi/../secret"} {
		w := ask(p, http.MethodGet, path)
		var status struct {
			Details []struct {
				Reason   string            `json:"reason"`
				Metadata map[string]string `json:"metadata"`
			} `json:"details"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &status); err != nil || w.Code != http.StatusNotFound || len(status.Details) != 1 {
			t.Fatalf("%s: %d %s %v", path, w.Code, w.Body, err)
		}
		if d := status.Details[0]; d.Reason != "VERSION_UNAVAILABLE" || d.Metadata["versions"] != "v2,v1" {
			t.Errorf("%s: %+v", path, d)
		}
	}
	if w := ask(p, http.MethodGet, "/docs/nothing", "Accept", "text/html"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "Nothing here") {
		t.Errorf("a reader of pages gets %d %s", w.Code, w.Body)
	}
	if w := ask(p, http.MethodPost, "/openapi.yaml"); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("POST: %d %v", w.Code, w.Header())
	}
	if w := ask(p, http.MethodOptions, "/openapi.yaml"); w.Code != http.StatusNoContent || w.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("OPTIONS: %d %v", w.Code, w.Header())
	}
	if w := ask(p, http.MethodGet, "/docs/"); w.Code != http.StatusPermanentRedirect || w.Header().Get("Location") != "/docs" {
		t.Errorf("a slash too many: %d %v", w.Code, w.Header())
	}
}

var source = regexp.MustCompile(`(?:src|href)="([^"]*)"`)

// Pages load what the portal itself has, and no page allows anything else.
func TestPagesAreTheirOwn(t *testing.T) {
	t.Parallel()
	p := newPortal(t, config(t))
	for _, path := range []string{"/docs", "/docs/reference", "/docs/guides", "/docs/guides/errors"} {
		w := ask(p, http.MethodGet, path)
		policy := w.Header().Get("Content-Security-Policy")
		for _, want := range []string{
			"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'",
			"connect-src 'self' http://127.0.0.1:8081 http://127.0.0.1:8082 http://127.0.0.1:8083 http://127.0.0.1:8084 http://127.0.0.1:8085 http://127.0.0.1:8086 http://127.0.0.1:8080 https://api.ledger.example;",
		} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy %q lacks %q", path, policy, want)
			}
		}
		body := w.Body.String()
		if strings.Contains(body, " style=") || strings.Contains(body, "<style") || regexp.MustCompile(`<script[^>]*>[^<]`).MatchString(body) {
			t.Errorf("%s has scripts or styles in it", path)
		}
		for _, m := range source.FindAllStringSubmatch(body, -1) {
			at, _, _ := strings.Cut(m[1], "#")
			if !strings.HasPrefix(at, "/") {
				continue // a place in the page, or a link to another site or region
			}
			asset := ask(p, http.MethodGet, at, "Accept-Encoding", "gzip")
			if asset.Code != http.StatusOK {
				t.Errorf("%s leads to %s: %d", path, at, asset.Code)
			}
			if strings.HasPrefix(at, "/docs/assets/") && asset.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" {
				t.Errorf("%s is kept as %q", at, asset.Header().Get("Cache-Control"))
			}
		}
	}
}

// TestPolicyTakesHostsAlone has a document whose servers would open the policy.
func TestPolicyTakesHostsAlone(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	servers := `{"servers": [{"url": "https://*"}, {"url": "https://a.example;sandbox"}, {"url": "https://b.example"}]}`
	cfg.Versions = []portal.Version{{Name: "v1", YAML: []byte("openapi: 3.1.0\n"), JSON: []byte(servers)}}
	policy := ask(newPortal(t, cfg), http.MethodGet, "/docs").Header().Get("Content-Security-Policy")
	if strings.Contains(policy, "*") || strings.Contains(policy, "sandbox") || !strings.Contains(policy, " https://b.example;") {
		t.Errorf("the policy is %q", policy)
	}
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	w := ask(newPortal(t, config(t)), http.MethodHead, "/.well-known/api-catalog")
	if got := w.Header().Get("Link"); got != `</.well-known/api-catalog>; rel="api-catalog"` {
		t.Errorf("HEAD has the Link %q", got)
	}
	w = ask(newPortal(t, config(t)), http.MethodGet, "/.well-known/api-catalog")
	if got := w.Header().Get("Content-Type"); got != `application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"` {
		t.Errorf("its type is %q", got)
	}
	var got struct {
		Linkset []map[string]any `json:"linkset"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Linkset) != 3 {
		t.Fatalf("%s: %v", w.Body, err)
	}
	want := map[string]any{
		"anchor":      "http://127.0.0.1:8081/v1",
		"service-doc": []any{map[string]any{"href": "http://127.0.0.1:8081/docs", "type": "text/html"}},
		"service-desc": []any{
			map[string]any{"href": "http://127.0.0.1:8081/openapi/v1.yaml", "type": "application/yaml", "title": "OpenAPI, YAML"},
			map[string]any{"href": "http://127.0.0.1:8081/openapi/v1.json", "type": "application/json", "title": "OpenAPI, JSON"},
		},
	}
	if diff := cmp.Diff(want, got.Linkset[1]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if others, _ := got.Linkset[2]["api-catalog"].([]any); len(others) != 5 {
		t.Errorf("the other regions' catalogues are %v", got.Linkset[2])
	}
}

func TestRegions(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	looked, now := 0, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	look := cfg.Look
	cfg.Look = func(ctx context.Context) (ident.RegionID, map[ident.RegionID]portal.Sight) {
		looked++
		return look(ctx)
	}
	cfg.Clock = func() time.Time { return now }
	p := newPortal(t, cfg)
	var got struct {
		SeenFrom string `json:"seen_from"`
		Regions  []struct {
			ID        string   `json:"id"`
			State     string   `json:"state"`
			RoundTrip *float64 `json:"round_trip_milliseconds"`
		} `json:"regions"`
	}
	w := ask(p, http.MethodGet, "/docs/regions.json")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatal(w, err)
	}
	states := map[string]string{}
	for _, r := range got.Regions {
		states[r.ID] = r.State
		if (r.RoundTrip != nil) != (r.State == "reachable") || r.RoundTrip != nil && *r.RoundTrip != 90 {
			t.Errorf("%s is %v away", r.ID, r.RoundTrip)
		}
	}
	want := map[string]string{
		"eu-central-1": "here", "us-east-1": "reachable", "sa-east-1": "unreachable", "eu-west-1": "unknown", "us-west-2": "unknown", "ap-southeast-1": "unknown",
	}
	if diff := cmp.Diff(want, states); diff != "" || got.SeenFrom != "eu-central-1" {
		t.Errorf("from %s (-want +got):\n%s", got.SeenFrom, diff)
	}
	// Whoever asks without a key makes the regions ask each other no more often than every five seconds.
	for range 10 {
		ask(p, http.MethodGet, "/docs/regions.json")
	}
	now = now.Add(5 * time.Second)
	ask(p, http.MethodHead, "/docs/regions.json")
	if looked != 2 {
		t.Errorf("looked %d times, want 2", looked)
	}
}

// A portal without documents, and one of a region without a place on the map, are whole as well.
func TestLittleIsEnough(t *testing.T) {
	t.Parallel()
	topo, err := topologyfile.Parse("t.yaml", []byte("regions:\n  - {id: only-1, jurisdiction: EU, roles: [ROLE_HOME, ROLE_CONTROL], port: 8081}\n"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	cfg.Topology, cfg.Region, cfg.Versions, cfg.GlobalURL = topo, topology.NoRegion, nil, ""
	p := newPortal(t, cfg)
	if w := ask(p, http.MethodGet, "/docs"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "without OpenAPI documents") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(p, http.MethodGet, "/openapi.yaml"); w.Code != http.StatusNotFound {
		t.Errorf("a document: %d", w.Code)
	}
	if _, err := portal.New(portal.Config{}); err == nil {
		t.Error("a portal of nothing is made")
	}
}

func TestChangelog(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	if w := ask(newPortal(t, cfg), http.MethodGet, "/docs/changelog"); w.Code != http.StatusNotFound {
		t.Errorf("without releases: %d", w.Code)
	}
	cfg.Releases = []portal.Release{{Name: "v1.1.0", Date: "2026-11-21", Changes: []portal.Change{
		{Operations: []string{"GET /v1/<b>"}, Text: "was removed", Breaks: true}, {Text: "has another title"},
	}}}
	body := ask(newPortal(t, cfg), http.MethodGet, "/docs/changelog").Body.String()
	for _, want := range []string{"v1.1.0", "2026-11-21", "breaks", "GET /v1/&lt;b&gt;", "has another title"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not in %s", want, body)
		}
	}
}

// A guide whose examples call what the API does not have says so.
func TestGuidesOfAProduct(t *testing.T) {
	t.Parallel()
	const warned = "the users that Domicile’s own API keeps. What Ledger has is in"
	users := config(t)
	users.Versions[1].JSON = bytes.Replace(document("v1"), []byte(`"paths":{}`), []byte(`"paths":{"/v1/users":{}}`), 1)
	for _, c := range []struct {
		cfg  portal.Config
		path string
		want bool
	}{
		{config(t), "/docs/guides/first-call", true},
		{config(t), "/docs/guides/settings", false},
		{users, "/docs/guides/first-call", false},
	} {
		if page := ask(newPortal(t, c.cfg), http.MethodGet, c.path).Body.String(); strings.Contains(page, warned) != c.want {
			t.Errorf("%s says that its examples are of another API: %v, want %v", c.path, !c.want, c.want)
		}
	}
}
