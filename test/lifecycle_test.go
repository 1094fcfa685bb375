package test

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/domiciletest"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/services"
)

// TestTenantLifecycle creates a tenant, deletes and undeletes it, purges it, and starts the platform again: what was purged stays
// dead, in the home and in the standby.
func TestTenantLifecycle(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	key := p.CreateTenant(t, &tenancyv1.Tenant{
		Id: "ephemeral", Home: "eu-central-1", Standby: "eu-west-1", Transit: tenancyv1.Transit_TRANSIT_FORWARD,
		Projections: tenancyv1.Projections_PROJECTIONS_EVERYWHERE, Hosts: []string{"API.ephemeral.example"},
	})
	users := call{method: http.MethodGet, url: p.Endpoint("us-east-1") + "/v1/users", key: key}
	made := do(t, call{method: http.MethodPost, url: users.url, key: key, body: newUser("ephemeral")}).mustBe(t, 200, "")
	if len(lies(t, filepath.Join(p.Dir(), "eu-central-1", "store"), made.text("id"))) == 0 {
		t.Error("the user's row is in no file: is it looked for in the right place?")
	}
	byHost := users
	byHost.header = map[string]string{"Host": "api.EPHEMERAL.example:443"}
	do(t, byHost).mustBe(t, 200, "")

	operator := func(method, path string) answer {
		return do(t, call{method: method, url: p.OperationsEndpoint() + "/v1/tenants/ephemeral" + path, key: p.OperatorKey()})
	}
	post := func(verb string) answer {
		return do(t, call{method: http.MethodPost, url: p.OperationsEndpoint() + "/v1/tenants/ephemeral:" + verb, key: p.OperatorKey(), body: map[string]any{}})
	}
	operator(http.MethodDelete, "").mustBe(t, 200, "")
	eventually(t, "a deleted tenant is unknown everywhere", func() bool { return do(t, users).reason() == "TENANT_UNKNOWN" })
	post("undelete").mustBe(t, 200, "")
	eventually(t, "an undeleted tenant is back with its users", func() bool {
		a := do(t, users)
		return a.status == 200 && strings.Contains(string(a.body), made.text("id"))
	})
	post("purge").mustBe(t, 400, "INVALID_ARGUMENT")
	operator(http.MethodDelete, "").mustBe(t, 200, "")
	post("purge").mustBe(t, 200, "")
	eventually(t, "home and standby have erased the tenant", func() bool {
		return operator(http.MethodGet, "").mustBe(t, 200, "").text("eraseTime") != ""
	})
	if places := lies(t, filepath.Join(p.Dir(), "eu-central-1", "store"), made.text("id")); len(places) > 0 {
		t.Errorf("an erased user's row is still in %v", places)
	}
	post("undelete").mustBe(t, 404, "NOT_FOUND")
	do(t, call{method: http.MethodPost, url: p.OperationsEndpoint() + "/v1/tenants", key: p.OperatorKey(), body: map[string]any{
		"id": "ephemeral", "home": "us-east-1", "standby": "none", "transit": "TRANSIT_STRICT", "projections": "PROJECTIONS_NONE",
	}}).mustBe(t, http.StatusConflict, "ALREADY_EXISTS")
	p.Restart(t)
	do(t, users).mustBe(t, http.StatusNotFound, "TENANT_UNKNOWN")
}

// TestRestartGoesOn starts again on the same data: the same tenants, users and keys, and an idempotency key still stands for its call.
func TestRestartGoesOn(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	create := call{
		method: http.MethodPost, url: p.Endpoint("us-east-1") + "/v1/users", key: p.DemoKey("acme-eu"), body: newUser("restart"),
		header: map[string]string{"Idempotency-Key": "restart"},
	}
	before := do(t, create).mustBe(t, 200, "")
	key, operator := p.DemoKey("acme-eu"), p.OperatorKey()
	p.Restart(t)
	if p.DemoKey("acme-eu") != key || p.OperatorKey() != operator {
		t.Error("the second start has other keys")
	}
	after := do(t, create).mustBe(t, 200, "")
	if after.text("id") != before.text("id") || after.text("etag") != before.text("etag") || after.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the repetition after the restart is %s", after.body)
	}
}

// lies returns the files below a folder that hold a text.
func lies(t *testing.T, dir, text string) []string {
	t.Helper()
	var places []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			places = append(places, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return places
}
