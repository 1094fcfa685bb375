package edge_test

import (
	"crypto/ed25519"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/gen/domicile/settings/v1/settingsv1connect"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/handover"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routeheader"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// routeKeys are the public route keys of a test's platform.
type routeKeys struct{ *platform }

// RouteKey implements routeheader.KeySource.
func (k routeKeys) RouteKey(region ident.RegionID, keyID string) (ed25519.PublicKey, bool) {
	return k.index.RouteKey(region, keyID)
}

// handedOver is what the services of a region ask.
func (p *platform) handedOver(pl *place) func(string) bool {
	return func(header string) bool {
		verifier := routeheader.NewVerifier(routeheader.VerifierConfig{Region: pl.id, Keys: routeKeys{p}, Clock: time.Now})
		claims, err := verifier.Verify(header)
		return err == nil && claims.GetOrigin() == string(pl.id)
	}
}

// apart starts an edge of a region in front of that region's services, which have the region's port of the platform.
func (p *platform) apart(t *testing.T, id ident.RegionID, service protoreflect.ServiceDescriptor) string {
	t.Helper()
	pl, message := p.places[id], p.topology.Proto()
	region := message.GetRegions()[pl.index]
	region.ServicesEndpoint, region.Endpoint = pl.url, "http://edge.example"
	topo, err := topologyfile.New(message)
	if err != nil {
		t.Fatal(err)
	}
	e, err := edge.New(edge.Config{
		Region: pl.index, Topology: topo, Services: []protoreflect.ServiceDescriptor{service}, Signer: p.signer(id), Apart: true,
		Resolver: directory.NewResolver(directory.ResolverConfig{Index: p.index, Table: p.table, Topology: topo, Clock: time.Now}),
		Local:    http.NotFoundHandler(), Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(e)
	t.Cleanup(func() {
		server.Close()
		_ = e.Close()
	})
	return server.URL
}

// An edge that runs apart sends to its region's services what they answer or might answer, and everything else home at once; the services
// decide as if the call had come in there.
func TestEdgeApart(t *testing.T) {
	t.Parallel()
	service := settingsv1.File_domicile_settings_v1_settings_proto.Services().Get(0)
	for name, tt := range map[string]struct {
		gate     edge.Nearest
		tenant   string
		answered string
		reason   string
	}{
		"at home":                  {nearest{}, "acme-sg", "ap-southeast-1", ""},
		"answered by the services": {nearest{admitted: true}, "acme-eu", "ap-southeast-1", ""},
		"taken home by them":       {nearest{}, "acme-eu", "eu-central-1", ""},
		"strict, abroad":           {nearest{admitted: true}, "bank-eu", "", "WRONG_REGION"},
		"unknown":                  {nearest{admitted: true}, "", "", "CREDENTIAL_MISSING"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var answered []ident.RegionID
			var p *platform
			p = newPlatform(t, platformConfig{edge: func(pl *place, c *edge.Config) {
				c.Services, c.Any = []protoreflect.ServiceDescriptor{service}, tt.gate
				c.HandedOver = func(header string) bool { return p.handedOver(pl)(header) }
				c.Local = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					answered = append(answered, pl.id)
					if body, err := io.ReadAll(r.Body); err != nil || string(body) != `{"namespace":"ui"}` {
						t.Errorf("the body is %q: %v", body, err)
					}
					if pl.id == "ap-southeast-1" && handover.From(r.Context()) == nil {
						t.Error("the services' edge did not decide")
					}
					w.WriteHeader(http.StatusOK)
				})
			}})
			url := p.apart(t, "ap-southeast-1", service)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+settingsv1connect.SettingsServiceUpdateSettingsProcedure, strings.NewReader(`{"namespace":"ui"}`))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			if tt.tenant != "" {
				r.Header.Set("Authorization", "Bearer "+p.tenant[ident.TenantID(tt.tenant)])
			}
			got := rpctest.Exchange(t, rpctest.H1(t), r)
			if got.Reason != tt.reason {
				t.Errorf("%d %s, want %q", got.Status, got.Reason, tt.reason)
			}
			mu.Lock()
			defer mu.Unlock()
			if tt.answered == "" && len(answered) > 0 || tt.answered != "" && (len(answered) != 1 || string(answered[0]) != tt.answered) {
				t.Errorf("answered by %v, want %q", answered, tt.answered)
			}
		})
	}
}

// A region's services take over from their own region's edge alone: another edge's word is judged as it is.
func TestNoOtherHandsOver(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, platformConfig{})
	handed := p.handedOver(p.places["ap-southeast-1"])
	for name, tt := range map[string]struct {
		origin, target ident.RegionID
		want           bool
	}{
		"its own":             {"ap-southeast-1", "ap-southeast-1", true},
		"another's":           {"eu-central-1", "ap-southeast-1", false},
		"its own for another": {"ap-southeast-1", "eu-central-1", false},
	} {
		if got := handed(p.signer(tt.origin).Sign(tt.target, "acme-eu", 3)); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Pages and documents are the region's services' to answer, whoever is named beside them; other unknown paths stay unknown.
func TestDocumentationApart(t *testing.T) {
	t.Parallel()
	service := settingsv1.File_domicile_settings_v1_settings_proto.Services().Get(0)
	for path, there := range map[string]bool{
		"/docs": true, "/docs/guides/errors": true, "/openapi.yaml": true, "/openapi/v1/proto.zip": true, "/.well-known/api-catalog": true,
		"/llms.txt": true, "/docsx": false, "/.well-known/other": false, "/": false,
	} {
		p := newPlatform(t, platformConfig{})
		asked := 0
		services := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			if r.URL.Path != path || len(r.Header[routeheader.Name]) != 1 {
				t.Errorf("%s arrives as %s, %v", path, r.URL.Path, r.Header)
			}
			w.Header().Set("ETag", `"x"`)
			w.WriteHeader(http.StatusNotModified)
		}))
		t.Cleanup(services.Close)
		p.places["ap-southeast-1"].url = services.URL
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.apart(t, "ap-southeast-1", service)+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		got, err := rpctest.H1(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = got.Body.Close()
		if want := map[bool]int{true: http.StatusNotModified, false: http.StatusNotFound}[there]; got.StatusCode != want || (asked == 1) != there {
			t.Errorf("%s: %d, asked %d times; it is there: %v", path, got.StatusCode, asked, there)
		}
	}
}
