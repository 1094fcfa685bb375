//go:build product

package test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/domicile-api/domicile/internal/scaffold"
)

// runBlock is a fenced block that is run.
var runBlock = regexp.MustCompile("(?ms)^<!-- run -->\n```sh\n(.*?)^```$")

// commands are what a guide has one run, in its order.
func commands(t *testing.T, guide string) []string {
	t.Helper()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	blocks := runBlock.FindAllStringSubmatch(string(text), -1)
	all := make([]string, len(blocks))
	for i, m := range blocks {
		all[i] = m[1]
	}
	return all
}

// A new product does with make what its README says: its CI passes, its six regions run and answer, its functions and its deployment
// build, and personal data lies nowhere in the open.
func TestMakeANewProduct(t *testing.T) {
	t.Parallel()
	began := time.Now()
	p := newProduct(t, "acme")
	if mod := p.read("go.mod"); strings.Contains(mod, "client/typescript") {
		t.Errorf("go.mod speaks of a folder that only Domicile has:\n%s", mod)
	}
	if ignored := p.read(".dockerignore"); !strings.Contains(ignored, ".domicile\n") {
		t.Errorf("an image would be built with the keys and data of make dev: .dockerignore is\n%s", ignored)
	}
	p.write("../go.work", "go 1.26.0\n") // a workspace that knows nothing of it
	p.run("env", "-u", "GOWORK", "make", "build")
	dir, base := filepath.Join(p.dir, ".domicile"), freeBase(t)
	cmd := exec.CommandContext(context.Background(), "bin/acme", "dev", "--data", dir, "--port-base", strconv.Itoa(base))
	cmd.Dir = p.dir
	dev := start(t, cmd, dir, base)
	t.Logf("six regions are ready %v after the first letter was typed", time.Since(began).Round(time.Millisecond))

	const canary = "zanarizebra"
	key := demoKeys(t, dir)["acme-eu"]
	made := do(t, call{product: true, method: http.MethodPost, url: dev.url(3) + "/v1/visits", key: key, body: map[string]any{
		"visitorName": "Ada " + canary, "visitorEmail": canary + "@example.com", "screening": canary, "office": "berlin-2",
	}}).mustBe(t, http.StatusOK, "")
	visit, _ := made.json["visit"].(map[string]any)
	id, _ := visit["id"].(string)
	pass := made.text("pass")
	if id == "" || pass == "" || made.header.Get("Domicile-Region") != "eu-central-1" {
		t.Fatalf("created %s in %s", made.body, made.header.Get("Domicile-Region"))
	}
	eventually(t, "Singapore knows the visit's office", func() bool {
		return do(t, call{product: true, method: http.MethodGet, url: dev.url(5) + "/v1/visits/" + id + "/summary", key: key}).text("office") == "berlin-2"
	})
	do(t, call{product: true, method: http.MethodPost, url: dev.url(6) + "/v1/visits/" + id + ":checkIn", key: key, body: map[string]any{"pass": pass}}).mustBe(t, 200, "")
	for _, secret := range []string{canary, pass} {
		if seen := regionsWith(t, dir, secret, id); len(seen) == 0 {
			t.Error("no region's files have the visit: are they the right files?")
		}
		if bytes.Contains(dev.out.Bytes(), []byte(secret)) {
			t.Errorf("what dev said has %q", secret)
		}
	}
	if !bytes.Contains(dev.out.Bytes(), []byte("/v1/visits")) {
		t.Errorf("dev does not say how to ask for visits:\n%s", dev.out)
	}
	if err := dev.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("dev ended with %v", err)
	}
	p.thenTheRest(t)
}

// thenTheRest is what takes minutes on a machine that has never built buf and CDK.
func (p product) thenTheRest(t *testing.T) {
	t.Helper()
	const guide = "../docs/guides/new-product.md"
	p.follow(guide)
	blocks := commands(t, guide)
	if len(blocks) < 2 {
		t.Fatalf("the guide has %d blocks to run", len(blocks))
	}
	for _, block := range blocks {
		p.run("bash", "-euo", "pipefail", "-c", block)
	}
	if document := p.read("openapi/v1/eu-central-1.yaml"); !strings.Contains(document, "/v1/visits/{id}:checkIn") || !strings.Contains(document, "guests") {
		t.Error("the document of Frankfurt does not have all of the API")
	}
	p.run(".ci/run")
	made := p.read("gen/acme/visits/v1/visits.pb.go")
	if !strings.Contains(made, "Guests") {
		t.Error("make generate has not made the field's code")
	}
	p.run("go", "tool", "-modfile=tools/go.mod", "buf", "generate")
	if p.read("gen/acme/visits/v1/visits.pb.go") != made {
		t.Error("buf generate makes other code than make generate")
	}
	p.run("make", "functions", "ARCH=amd64")
	for _, name := range []string{"edge", "relay", "apply", "sweep"} {
		if _, err := os.Stat(filepath.Join(p.dir, "bin/functions", name, "bootstrap")); err != nil {
			t.Errorf("a function: %v", err)
		}
	}
	deployment := product{dir: filepath.Join(p.dir, "infra"), t: t}
	deployment.run("go", "vet", ".")
	deployment.run("go", "mod", "tidy", "-diff")
}

// A product on a published version needs no copy of Domicile: what a module proxy has of it is enough.
func TestNewProductOnAPublishedVersion(t *testing.T) {
	const version = "v0.99.0"
	cache, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	proxy := t.TempDir()
	publish(t, proxy, "..", "github.com/domicile-api/domicile", version)
	publish(t, proxy, "../infra", "github.com/domicile-api/domicile/infra", version)
	t.Setenv("GOPROXY", "file://"+proxy+",file://"+strings.TrimSpace(string(cache))+"/cache/download")
	t.Setenv("GOMODCACHE", t.TempDir())
	t.Setenv("GONOSUMDB", "github.com/domicile-api/*")
	t.Setenv("GOFLAGS", "-modcacherw -buildvcs=false")
	p := product{dir: filepath.Join(t.TempDir(), "acme"), t: t}
	if err := scaffold.New(t.Context(), scaffold.Config{Name: "acme", Dir: p.dir, Version: version}); err != nil {
		t.Fatal(err)
	}
	if mod := p.read("go.mod"); !strings.Contains(mod, "github.com/domicile-api/domicile "+version) || strings.Contains(mod, "replace") {
		t.Errorf("go.mod:\n%s", mod)
	}
	for _, args := range [][]string{{"list", "-deps", "./..."}, {"mod", "verify"}, {"mod", "tidy", "-diff"}} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = p.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("go %v: %v\n%s", args, err, out)
		}
	}
}

// publish puts a module into a folder that serves as a module proxy.
func publish(t *testing.T, proxy, dir, path, version string) {
	t.Helper()
	to := filepath.Join(proxy, path, "@v")
	if err := os.MkdirAll(to, 0o750); err != nil {
		t.Fatal(err)
	}
	archive, err := os.Create(filepath.Join(to, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		zip.CreateFromDir(archive, module.Version{Path: path, Version: version}, dir), archive.Close(),
		os.WriteFile(filepath.Join(to, version+".mod"), mod, 0o600),
		os.WriteFile(filepath.Join(to, version+".info"), []byte(`{"Version":"`+version+`"}`), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
}
