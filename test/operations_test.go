package test

import (
	"net/http"
	"testing"

	"github.com/domicile-api/domicile/domiciletest"
	"github.com/domicile-api/domicile/services"
)

// TestTenantsOverREST keeps a tenant and its keys over REST, through a region that is not the control region.
func TestTenantsOverREST(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	at := p.Endpoint("eu-west-1") + "/v1/tenants"
	operate := func(method, path string, body any) answer {
		return do(t, call{method: method, url: at + path, key: p.OperatorKey(), body: body}).mustBe(t, http.StatusOK, "")
	}
	made := operate(http.MethodPost, "", map[string]any{
		"id": "rest-eu", "home": "eu-central-1", "standby": "eu-west-1", "transit": "TRANSIT_STRICT", "projections": "PROJECTIONS_NONE",
	})
	if made.text("id") != "rest-eu" || made.text("etag") == "" {
		t.Errorf("made %s", made.body)
	}
	changed := operate(http.MethodPatch, "/rest-eu?updateMask=displayName", map[string]any{"displayName": "By REST", "etag": made.text("etag")})
	if changed.text("displayName") != "By REST" || changed.text("transit") != "TRANSIT_STRICT" {
		t.Errorf("changed to %s", changed.body)
	}
	operate(http.MethodPost, "/rest-eu/keys", map[string]any{"displayName": "first"})
	if keys, _ := operate(http.MethodGet, "/rest-eu/keys", nil).json["apiKeys"].([]any); len(keys) != 1 {
		t.Errorf("%d keys instead of one", len(keys))
	}
	if tenants, _ := operate(http.MethodGet, "?pageSize=100", nil).json["tenants"].([]any); len(tenants) != 6 {
		t.Errorf("%d tenants instead of five and one", len(tenants))
	}
	found := operate(http.MethodGet, ":resolve?id=rest-eu", nil)
	if found.text("tenant") != "rest-eu" || found.text("standby") != "eu-west-1" {
		t.Errorf("resolved to %s", found.body)
	}
}

// TestSummariesAreAskedAfter repeats reads that have an ETag: what has not changed is not sent again, and what has is.
func TestSummariesAreAskedAfter(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	home, key := p.Endpoint("eu-central-1"), p.DemoKey("acme-eu")
	id := do(t, call{method: http.MethodPost, url: home + "/v1/users", key: key, body: newUser("etag")}).mustBe(t, http.StatusOK, "").text("id")
	for _, path := range []string{"/v1/users/" + id + "/summary", "/v1/users:summaries"} {
		read := call{method: http.MethodGet, url: home + path, key: key}
		first := do(t, read).mustBe(t, http.StatusOK, "")
		read.header = map[string]string{"If-None-Match": first.header.Get("ETag")}
		if again := do(t, read); again.status != http.StatusNotModified || len(again.body) != 0 {
			t.Errorf("%s: %d %s", path, again.status, again.body)
		}
		do(t, call{method: http.MethodPatch, url: home + "/v1/users/" + id, key: key, body: map[string]any{"handle": "h" + path[len(path)-1:]}}).mustBe(t, http.StatusOK, "")
		do(t, read).mustBe(t, http.StatusOK, "")
	}
}
