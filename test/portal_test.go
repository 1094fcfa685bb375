package test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/domiciletest"
	"github.com/domicile-api/domicile/gen/domicile/operations/v1/operationsv1connect"
	"github.com/domicile-api/domicile/openapi"
	"github.com/domicile-api/domicile/services"
)

// Each region serves its own document at its port, and the global name that of all; nobody needs a key, and every page may read it.
func TestEveryRegionHasItsDocument(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), OpenAPI: openapi.Files})
	get := func(url string, header ...string) answer {
		t.Helper()
		c := call{method: http.MethodGet, url: url, header: map[string]string{"Origin": "https://tools.example"}}
		for i := 0; i < len(header); i += 2 {
			c.header[header[i]] = header[i+1]
		}
		return do(t, c)
	}
	type head struct {
		Region  string `json:"x-region"` //nolint:tagliatelle // as OpenAPI has extensions
		Servers []struct {
			URL string `json:"url"`
		} `json:"servers"`
	}
	for _, region := range p.Regions()[:2] {
		got := get(p.Endpoint(region) + "/openapi.json")
		var document head
		if err := json.Unmarshal(got.body, &document); err != nil || got.status != http.StatusOK {
			t.Fatalf("%d %.300s: %v", got.status, got.body, err)
		}
		if document.Region != region || document.Servers[0].URL != p.Endpoint(region) {
			t.Errorf("%s serves the document of %q at %q", region, document.Region, document.Servers[0].URL)
		}
		if got.header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(strings.ToLower(got.header.Get("Access-Control-Expose-Headers")), "etag") {
			t.Errorf("a page of another origin may not read it: %v", got.header)
		}
		if again := get(p.Endpoint(region)+"/openapi/v1.json", "If-None-Match", got.header.Get("ETag")); again.status != http.StatusNotModified {
			t.Errorf("what is known is sent again: %d", again.status)
		}
		for _, path := range []string{"/openapi/v1.yaml", "/openapi/v1/connect.yaml", "/openapi/v1/proto.zip", "/openapi/v1/descriptors.binpb", "/.well-known/api-catalog", "/llms.txt", "/docs"} {
			if got := get(p.Endpoint(region) + path); got.status != http.StatusOK || len(got.body) == 0 {
				t.Errorf("%s at %s: %d", path, region, got.status)
			}
		}
	}
	var document head
	if err := json.Unmarshal(get(p.GlobalEndpoint()+"/openapi.json").body, &document); err != nil || document.Region != "" {
		t.Errorf("the global name serves the document of %q: %v", document.Region, err)
	}
	for _, path := range []string{"/openapi/v9.yaml", "/openapi"} {
		got := get(p.Endpoint("eu-central-1")+path).mustBe(t, http.StatusNotFound, "VERSION_UNAVAILABLE")
		if !strings.Contains(string(got.body), `"versions":"v1"`) {
			t.Errorf("the refusal of %s does not name the versions: %s", path, got.body)
		}
	}
	get(p.Endpoint("eu-central-1")+"/nothing").mustBe(t, http.StatusNotFound, "VERSION_UNAVAILABLE")
	get(p.OperationsEndpoint()+"/docs").mustBe(t, http.StatusNotFound, "VERSION_UNAVAILABLE")
}

// What a region says of the others is what it has seen.
func TestRegionsSayWhomTheySee(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All()})
	operators := operationsv1connect.NewOperationsServiceClient(http.DefaultClient, p.OperationsEndpoint(), domiciletest.Bearer(p.OperatorKey()))
	inject(t, operators, partition("ap-southeast-1"))
	states := func(url string) (string, map[string]string) {
		var seen struct {
			From    string `json:"seen_from"`
			Regions []struct {
				ID    string `json:"id"`
				State string `json:"state"`
			} `json:"regions"`
		}
		if err := json.Unmarshal(do(t, call{method: http.MethodGet, url: url + "/docs/regions.json"}).body, &seen); err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, r := range seen.Regions {
			out[r.ID] = r.State
		}
		return seen.From, out
	}
	for url, from := range map[string]string{p.Endpoint("eu-central-1"): "eu-central-1", p.GlobalEndpoint(): "us-east-1"} {
		got, seen := states(url)
		if got != from || seen[from] != "here" || seen["ap-southeast-1"] != "unreachable" || seen["sa-east-1"] != "reachable" {
			t.Errorf("%s sees %v, want it from %s", got, seen, from)
		}
	}
	if _, seen := states(p.Endpoint("ap-southeast-1")); seen["eu-central-1"] != "unreachable" {
		t.Errorf("the region that is cut off sees %v", seen)
	}
}
