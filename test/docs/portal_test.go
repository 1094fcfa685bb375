//go:build docs

package docs_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/domiciletest"
	"github.com/domicile-api/domicile/openapi"
	"github.com/domicile-api/domicile/services"
)

// task is what portal.mjs is to do.
type task struct {
	Region    string            `json:"region"`
	Abroad    string            `json:"abroad"`
	AbroadID  string            `json:"abroad_id"`
	Global    string            `json:"global"`
	Key       string            `json:"key"`
	StrictKey string            `json:"strict_key"`
	Origins   []string          `json:"origins"`
	Shots     string            `json:"shots"`
	Zones     map[string]string `json:"zones"`
}

// report is what it found.
type report struct {
	Problems []string           `json:"problems"`
	Measured map[string]float64 `json:"measured"`
	Samples  map[string]string  `json:"samples"`
}

// firstPage bounds what is transferred for the front page and for the reference, compressed.
const firstPage = 3 << 19 // 1.5 MiB

// The portal in a real browser: it loads without a complaint and asks nobody else, it can be used by keyboard and heard, a call tried in it is
// made, and the samples that it shows do what they say. Pictures are written for people to look at.
func TestPortalInChromium(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), OpenAPI: openapi.Files, Demo: true})
	createUser(t, p)
	got := look(t, task{
		Region: p.Endpoint("eu-central-1"), Abroad: p.Endpoint("us-east-1"), AbroadID: "us-east-1", Global: p.GlobalEndpoint(),
		Key: p.DemoKey("acme-eu"), StrictKey: p.DemoKey("bank-eu"), Origins: origins(p), Shots: shots(t),
		Zones: map[string]string{"anywhere": "locale", "jurisdiction": "regulatedNote", "never": "email"},
	})
	for _, problem := range got.Problems {
		t.Error(problem)
	}
	for _, page := range []string{"front_transferred_bytes", "reference_transferred_bytes"} {
		if size := got.Measured[page]; size == 0 || size > firstPage {
			t.Errorf("%s: %.0f, want at most %d", page, size, firstPage)
		}
	}
	for name, value := range got.Measured {
		t.Logf("%s: %.0f", name, value)
	}
	for language, text := range got.Samples {
		t.Run(language, func(t *testing.T) { t.Parallel(); run(t, language, text, p.DemoKey("acme-eu")) })
	}
	if len(got.Samples) != len(languages) {
		t.Errorf("there are samples in %d languages, want %d", len(got.Samples), len(languages))
	}
	t.Cleanup(func() {
		if log := p.Log(); strings.Contains(log, "@example.com") || strings.Contains(log, "/docs") {
			t.Error("the log tells who read what")
		}
	})
}

// createUser makes a user for the reference to list.
func createUser(t *testing.T, p *domiciletest.Platform) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.Endpoint("eu-central-1")+"/v1/users",
		strings.NewReader(`{"givenName":"Ada","familyName":"Lovelace","email":"ada.browser@example.com","locale":"en-GB"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.DemoKey("acme-eu"))
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Body.Close() != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("creating a user: %s", answer.Status)
	}
}

func origins(p *domiciletest.Platform) []string {
	all := make([]string, 0, 1+len(p.Regions()))
	all = append(all, p.GlobalEndpoint())
	for _, region := range p.Regions() {
		all = append(all, p.Endpoint(region))
	}
	return all
}

// shots is where the pictures go: DOMICILE_DOCS_SHOTS, or a folder that ends with the test.
func shots(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("DOMICILE_DOCS_SHOTS")
	if folder == "" {
		return t.TempDir()
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	t.Logf("pictures are in %s", folder)
	return folder
}

// look runs the browser.
func look(t *testing.T, what task) report {
	t.Helper()
	if os.Getenv("DOMICILE_DOCS_MODULES") == "" || os.Getenv("CHROMIUM") == "" {
		t.Fatal("run it by test/docs/test-docs.sh, which installs the browser and its driver")
	}
	asked, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "portal.mjs")
	cmd.Stdin = bytes.NewReader(asked)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	told, err := cmd.Output()
	if err != nil {
		t.Fatalf("looking at the portal: %v\n%s", err, &complaints)
	}
	var r report
	if err := json.Unmarshal(told, &r); err != nil {
		t.Fatalf("reading what was seen: %v\n%s", err, told)
	}
	return r
}

// languages say how a sample is run: the file it is written to, and the command.
var languages = map[string]struct {
	file    string
	command []string
}{
	"curl":       {"sample.sh", []string{"bash"}},
	"go":         {"sample.go", []string{"go", "run"}},
	"typescript": {"sample.mjs", []string{"node"}}, // The sample has no types in it, so that it is JavaScript as well.
	"python":     {"sample.py", []string{"python3"}},
}

// run runs a sample as a reader would. The samples make one user each, so each gets an address of its own.
func run(t *testing.T, language, text, key string) {
	t.Helper()
	how, known := languages[language]
	if !known {
		t.Fatalf("nobody knows how to run it")
	}
	dir := t.TempDir()
	own := strings.NewReplacer("ada@example.com", language+"@example.com", "$(uuidgen)", "sample-"+language).Replace(text)
	if err := os.WriteFile(filepath.Join(dir, how.file), []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), how.command[0], append(how.command[1:], how.file)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "KEY="+key, "GOFLAGS=-mod=mod")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "200") || !strings.Contains(string(out), "eu-central-1") {
		t.Errorf("%v\n%s\n%s", err, own, out)
	}
}
