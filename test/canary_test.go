package test

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/domiciletest"
	"github.com/domicile-api/domicile/services"
)

// TestCanaryIsFoundNowhere writes personal data through a foreign region, provokes errors about it, and looks for it in each
// file, log line and metric. It looks for what must be found too, so that it cannot pass by looking in the wrong place.
func TestCanaryIsFoundNowhere(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	const canary = "zanarizebra"
	url, key := p.Endpoint("us-east-1")+"/v1/users", p.DemoKey("acme-eu")
	made := do(t, call{method: http.MethodPost, url: url, key: key, body: newUser(canary), header: map[string]string{"Idempotency-Key": "canary-1"}}).mustBe(t, 200, "")
	id := made.text("id")
	do(t, call{method: http.MethodPost, url: url, key: key, body: newUser(canary)}).mustBe(t, http.StatusConflict, "ALREADY_EXISTS")
	do(t, call{method: http.MethodPost, url: url + ":lookup", key: key, body: map[string]any{"email": canary + "@example.com"}}).mustBe(t, 200, "")
	do(t, call{method: http.MethodPatch, url: url + "/" + id, key: key, body: map[string]any{"familyName": "second" + canary}}).mustBe(t, 200, "")
	for _, bad := range []string{`{"` + canary + `":1}`, `{"email":"` + canary + `"}`, `{"role":"` + canary + `"}`, `{"email":"` + canary} {
		a := do(t, call{method: http.MethodPost, url: url, key: key, body: bad}).mustBe(t, http.StatusBadRequest, "INVALID_ARGUMENT")
		if bytes.Contains(a.body, []byte(canary)) {
			t.Errorf("an error repeats what was sent: %s", a.body)
		}
	}
	metrics := do(t, call{method: http.MethodGet, url: p.OperationsEndpoint() + "/metrics"})
	for _, place := range []struct{ name, text string }{{"the metrics", string(metrics.body)}, {"the log", p.Log()}} {
		if strings.Contains(place.text, canary) {
			t.Errorf("%s have the canary", place.name)
		}
	}
	if !strings.Contains(p.Log(), "acme-eu") {
		t.Error("the log does not speak of the tenant at all: is it the right log?")
	}
	// A tenant that keeps its projections in the jurisdiction.
	bank := do(t, call{
		method: http.MethodPost, url: p.Endpoint("eu-west-1") + "/v1/users", key: p.DemoKey("bank-eu"), body: newUser(canary),
	}).mustBe(t, 200, "").text("id")
	eventually(t, "copies are where they may be", func() bool {
		return len(regionsWith(t, p.Dir(), canary, id)) == 6 && len(regionsWith(t, p.Dir(), canary, bank)) == 2
	})
	if seen := regionsWith(t, p.Dir(), canary, bank); !seen["eu-central-1"] || !seen["eu-west-1"] {
		t.Errorf("the id of a user whose projections stay in the EU lies in %v", seen)
	}
}

// regionsWith returns the regions whose files have an id. The canary must be in none.
func regionsWith(t *testing.T, dir, canary, id string) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if bytes.Contains(data, []byte(canary)) {
			t.Errorf("%s has the canary", rel)
		}
		if bytes.Contains(data, []byte(id)) {
			seen[strings.SplitN(filepath.ToSlash(rel), "/", 2)[0]] = true
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return seen
}
