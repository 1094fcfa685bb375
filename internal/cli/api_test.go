package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/apidiff"
	"github.com/domicile-api/domicile/internal/cli"
)

// document is a small API of two regions; edits replace what it says.
func document(edits ...string) string {
	text := `openapi: 3.1.0
info: {title: Users, version: v1}
servers: [{url: "https://api.example.com"}]
x-regions: [{id: eu-central-1, jurisdiction: EU}, {id: us-east-1, jurisdiction: US}]
paths:
  /v1/users:
    get:
      operationId: ListUsers
      x-route: nearest
      parameters:
        - {name: pageSize, in: query, schema: {type: integer, maximum: 100}}
      responses:
        "200": {description: Users.}
`
	return strings.NewReplacer(edits...).Replace(text)
}

// ofRegion makes it a region's.
func ofRegion(region string, edits ...string) string {
	return document(append([]string{"servers:", "x-region: " + region + "\nservers:", "https://api", "https://" + region}, edits...)...)
}

// folder writes files into a new folder, made the working directory.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		put(t, filepath.Join(dir, name), text)
	}
	t.Chdir(dir)
	return dir
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// repository commits v1/global.yaml to a new repository, tags it v0.1.0 and changes it.
func repository(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir := folder(t, map[string]string{"openapi/v1/global.yaml": document()})
	git := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "One")
	git("tag", "v0.1.0")
	put(t, filepath.Join(dir, "openapi/v1/global.yaml"), document("maximum: 100", "maximum: 50"))
}

func command(t *testing.T, args ...string) run {
	t.Helper()
	return domicile(t, nil, args...)
}

func TestAPIDiff(t *testing.T) { //nolint:paralleltest // It has a working directory of its own.
	folder(t, map[string]string{
		"a.yaml": document(), "tighter.yaml": document("maximum: 100", "maximum: 50"), "wider.yaml": document("maximum: 100", "maximum: 200"),
		"elsewhere.yaml": document("x-route: nearest", "x-route: home"),
	})
	tests := []struct {
		b    string
		code int
		rows []string
		text string
	}{
		{"a.yaml", cli.ExitOK, []string{"none nothing changed"}, ""},
		{"wider.yaml", cli.ExitOK, []string{
			"compatible GET /v1/users for the `query` request parameter `pageSize`, the max was increased from `100.00` to `200.00` wider.yaml:11",
		}, ""},
		{"tighter.yaml", cli.ExitRefused, []string{
			"breaking GET /v1/users for the `query` request parameter `pageSize`, the max was decreased from `100.00` to `50.00` tighter.yaml:11",
		}, "domicile: 1 change breaks clients of a.yaml\n"},
		{"elsewhere.yaml", cli.ExitRefused, []string{
			"breaking GET /v1/users x-route changed from nearest to home for the operation elsewhere.yaml:9",
		}, "domicile: 1 change breaks clients of a.yaml\n"},
	}
	for _, tt := range tests {
		got := command(t, "api", "diff", "a.yaml", tt.b)
		if got.code != tt.code || got.stderr != tt.text {
			t.Errorf("%s: exit %d, %q; want %d, %q", tt.b, got.code, got.stderr, tt.code, tt.text)
		}
		if diff := cmp.Diff(append([]string{"EFFECT OPERATION CHANGE AT"}, tt.rows...), cells(got.stdout)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.b, diff)
		}
	}
	var report apidiff.Report
	got := command(t, "api", "diff", "a.yaml", "elsewhere.yaml", "--output", "json")
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || got.code != cli.ExitRefused {
		t.Fatalf("exit %d, %v: %s", got.code, err, got.stdout)
	}
	if report.Breaking != 1 || len(report.Changes) != 1 || report.Changes[0].Rule != "x-route-changed" || report.To != "elsewhere.yaml" {
		t.Errorf("got %s", got.stdout)
	}
}

// A document comes from a file, a URL, a revision or a release.
func TestAPIDiffSources(t *testing.T) { //nolint:paralleltest // It has a working directory of its own.
	repository(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/openapi.yaml" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(document()))
	}))
	defer server.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	put(t, "openapi/releases/v0.0.9/v1.yaml", document("maximum: 100", "maximum: 20"))
	put(t, "v0.0.8", document())
	const present = "openapi/v1/global.yaml"
	tests := []struct {
		a, b string
		code int
		want string
	}{
		{"v0.1.0", present, cli.ExitRefused, "1 change breaks clients of v0.1.0"},
		{"HEAD:" + present, present, cli.ExitRefused, "1 change breaks clients of HEAD:openapi/v1/global.yaml"},
		{server.URL + "/openapi.yaml", present, cli.ExitRefused, "1 change breaks clients of http://"},
		{present, "v0.1.0", cli.ExitOK, ""},
		{"v0.0.9", present, cli.ExitOK, ""}, // no tag, but the copy that the release left
		{"v0.0.8", "v0.1.0", cli.ExitOK, ""},
		{"v7.0.0", present, cli.ExitUsage, "there is no release v7.0.0 here: git has no openapi/v1/global.yaml in refs/tags/v7.0.0: "},
		{"v7.0.0", present, cli.ExitUsage, "nor is there a file openapi/releases/v7.0.0/v1.yaml"},
		{"nowhere:" + present, present, cli.ExitUsage, "git has no openapi/v1/global.yaml in nowhere: "},
		{"HEAD:nothing.yaml", present, cli.ExitUsage, "git has no nothing.yaml in HEAD: "},
		{"--", "--batch:x", cli.ExitUsage, "accepts 2 arg(s)"},
		{"nothing.yaml", present, cli.ExitUsage, "nothing.yaml: there is no such file; nor is it a URL, a release such as v1.2.3, or REVISION:PATH"},
		{"openapi", present, cli.ExitUsage, "is a directory"},
		{server.URL + "/other", present, cli.ExitUsage, "there is no document; the answer is 404 Not Found"},
		{gone.URL + "/openapi.yaml", present, cli.ExitUnreachable, "asking for the document: "},
		{"http://[", present, cli.ExitUsage, "it is no URL"},
	}
	for _, tt := range tests {
		if got := command(t, "api", "diff", tt.a, tt.b); got.code != tt.code || !strings.Contains(got.stderr, tt.want) || tt.want == "" && got.stderr != "" {
			t.Errorf("%s %s: exit %d, %q; want %d, %q", tt.a, tt.b, got.code, got.stderr, tt.code, tt.want)
		}
	}
	if got := command(t, "api", "diff", "--", "--batch:x", present); got.code != cli.ExitUsage || !strings.Contains(got.stderr, `"--batch" is not a revision`) {
		t.Errorf("an option as a revision: exit %d, %q", got.code, got.stderr)
	}
}

func TestAPIDiffBadDocuments(t *testing.T) { //nolint:paralleltest // It has a working directory of its own.
	folder(t, map[string]string{
		"a.yaml": document(), "no.yaml": "paths: [\n", "other.yaml": "name: x\n", "class.yaml": document("x-route: nearest", "x-data-class: SOME"),
		"large.yaml": strings.Repeat("#", 16<<20) + "\n" + document(),
	})
	for name, want := range map[string]string{
		"no.yaml": "no.yaml: neither YAML nor JSON: ", "other.yaml": "other.yaml: not an OpenAPI document", "large.yaml": "it is larger than 16 MiB",
		"class.yaml": "class.yaml:9: x-data-class: SOME is not known",
	} {
		if got := command(t, "api", "diff", "a.yaml", name); got.code != cli.ExitUsage || !strings.Contains(got.stderr, want) || got.stdout != "" {
			t.Errorf("%s: exit %d, %q; want %q", name, got.code, got.stderr, want)
		}
	}
}

// maze is a document with two to the power of depth ways to its last schema.
func maze(depth int, last string) string {
	var b strings.Builder
	b.WriteString(document(`{description: Users.}`, `{description: Users., content: {application/json: {schema: {$ref: "#/components/schemas/S0"}}}}`))
	b.WriteString("components:\n  schemas:\n")
	for i := range depth {
		next := fmt.Sprintf("{$ref: '#/components/schemas/S%d'}", i+1)
		fmt.Fprintf(&b, "    S%d: {allOf: [%s, %s]}\n", i, next, next)
	}
	fmt.Fprintf(&b, "    S%d: {type: %s}\n", depth, last)
	return b.String()
}

func TestAPIDiffCanBeEnded(t *testing.T) { //nolint:paralleltest // It has a working directory of its own.
	folder(t, map[string]string{"a.yaml": maze(21, "string"), "b.yaml": maze(21, "integer")})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	root := cli.New(cli.Config{Name: "domicile", Stdout: io.Discard, Stderr: io.Discard, Env: os.LookupEnv})
	root.SetArgs([]string{"api", "diff", "a.yaml", "b.yaml"})
	if err := root.ExecuteContext(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it ended with %v", err)
	}
}

func TestAPIDiffDoesNotSteerTheTerminal(t *testing.T) { //nolint:paralleltest // It has a working directory of its own.
	folder(t, map[string]string{"a.yaml": document(), "b.yaml": document("/v1/users:", `"/v1/users\e]0;mine\a":`)})
	got := command(t, "api", "diff", "a.yaml", "b.yaml")
	if strings.ContainsAny(got.stdout+got.stderr, "\x1b\a") || !strings.Contains(got.stdout, "/v1/users\ufffd]0;mine") {
		t.Errorf("%q %q", got.stdout, got.stderr)
	}
}

func TestAPIParity(t *testing.T) { //nolint:paralleltest // It has a working directory of its own.
	const eu, us = "eu-central-1.yaml", "us-east-1.yaml"
	good := map[string]string{
		"global.yaml": document(), eu: ofRegion("eu-central-1"), us: ofRegion("us-east-1"),
		// No region's.
		"connect.yaml": "openapi: 3.1.0",
	}
	law := "x-route: nearest\n      x-availability: {regions: [us-east-1], reason: law, note: Not yet.}"
	tests := []struct {
		name  string
		files map[string]string
		code  int
		out   string
		err   string
	}{
		{"alike", nil, cli.ExitOK, "none 1 operation is alike in 2 regions", ""},
		{"a route differs", map[string]string{us: ofRegion("us-east-1", "x-route: nearest", "x-route: home")}, cli.ExitRefused,
			`undeclared GET /v1/users us-east-1 x-route "home"; elsewhere "nearest"`, "1 difference between regions is without a declared reason"},
		{"a declared difference", map[string]string{us: ofRegion("us-east-1", "x-route: nearest", strings.Replace(law, "nearest", "home", 1))}, cli.ExitOK,
			`law: Not yet. GET /v1/users us-east-1 x-route "home"; elsewhere "nearest"`, ""},
		{"a missing document", map[string]string{us: ""}, cli.ExitRefused, "", "us-east-1.yaml is missing: global.yaml lists region us-east-1"},
		{"another region's document", map[string]string{us: ofRegion("eu-west-1")}, cli.ExitRefused, "", "us-east-1.yaml is of region eu-west-1"},
		{"a stray document", map[string]string{"mars-1.yaml": ofRegion("mars-1")}, cli.ExitRefused, "", "mars-1.yaml: there is no region mars-1"},
		{"no regions listed", map[string]string{"global.yaml": document("x-regions", "x-others")}, cli.ExitUsage, "", "global.yaml lists no regions in x-regions"},
		{"no global document", map[string]string{"global.yaml": ""}, cli.ExitUsage, "", "global.yaml: there is no such file"},
	}
	for _, tt := range tests {
		files := map[string]string{}
		maps.Copy(files, good)
		for name, text := range tt.files {
			files[name] = text
			if text == "" {
				delete(files, name)
			}
		}
		folder(t, files)
		got := command(t, "api", "parity", ".")
		rows := cells(got.stdout)
		switch {
		case got.code != tt.code || !strings.Contains(got.stderr, tt.err) || tt.err == "" && got.stderr != "":
			t.Errorf("%s: exit %d, %q; want %d, %q", tt.name, got.code, got.stderr, tt.code, tt.err)
		case tt.out != "" && (len(rows) != 2 || rows[1] != tt.out), tt.out == "" && got.stdout != "":
			t.Errorf("%s: got %q, want %q", tt.name, rows, tt.out)
		}
	}
}

func TestAPIParityOfFiles(t *testing.T) { //nolint:paralleltest // It has a working directory of its own.
	folder(t, map[string]string{"a.yaml": ofRegion("eu-central-1"), "b.yaml": ofRegion("us-east-1", "maximum: 100", "maximum: 50"), "global.yaml": document()})
	got := command(t, "api", "parity", "a.yaml", "b.yaml", "-o", "json")
	var report apidiff.ParityReport
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || got.code != cli.ExitRefused {
		t.Fatalf("exit %d, %v: %s", got.code, err, got.stdout)
	}
	want := []apidiff.Gap{{
		Operations: []string{"GET /v1/users"}, Regions: []string{"us-east-1"}, Place: "parameters > query pageSize > schema > maximum", Text: "50; elsewhere 100",
	}}
	if diff := cmp.Diff(want, report.Gaps); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, args := range [][]string{{"a.yaml"}, {"a.yaml", "global.yaml"}, {"a.yaml", "a.yaml"}, {".", "a.yaml"}, {}} {
		if got := command(t, append([]string{"api", "parity"}, args...)...); got.code != cli.ExitUsage || got.stderr == "" {
			t.Errorf("%v: exit %d, %q", args, got.code, got.stderr)
		}
	}
}

// From the first document to the second release, and no git in sight.
func TestAPIChangelog(t *testing.T) { //nolint:paralleltest // It has a working directory of its own.
	const present = "openapi/v1/global.yaml"
	folder(t, map[string]string{present: document()})
	must := func(args ...string) string {
		t.Helper()
		got := command(t, append([]string{"api", "changelog"}, args...)...)
		if got.code != cli.ExitOK || got.stderr != "" {
			t.Fatalf("%v: exit %d, %s", args, got.code, got.stderr)
		}
		return got.stdout
	}
	refuse := func(code int, text string, args ...string) {
		t.Helper()
		got := command(t, append([]string{"api", "changelog"}, args...)...)
		if got.code != code || !strings.Contains(got.stderr, text) {
			t.Errorf("%v: exit %d, %s; want %d, %s", args, got.code, got.stderr, code, text)
		}
	}
	refuse(cli.ExitRefused, "openapi/changelog/v1.yaml: no such file or directory; write it with --write", "--check")
	must("--write")
	must("--check")
	if out := must(); !strings.Contains(out, "# Changelog of API v1\n\n## Unreleased\n\nThere is no release yet") {
		t.Errorf("got %s", out)
	}
	must("--write", "--release", "v0.1.0", "--date", "2026-12-01")
	must("--check")
	refuse(cli.ExitRefused, "releases/v0.1.0/v1.yaml is there already; a release does not change", "--release", "v0.1.0")
	refuse(cli.ExitUsage, `"newest" is not the name of a release`, "--release", "newest")
	refuse(cli.ExitUsage, `"today" is not a day`, "--release", "v0.2.0", "--date", "today")
	refuse(cli.ExitUsage, "if any flags in the group", "--check", "--write")
	refuse(cli.ExitUsage, "there are no documents in elsewhere: no v1/global.yaml", "elsewhere")

	put(t, present, document("maximum: 100", "maximum: 50"))
	refuse(cli.ExitRefused, "openapi/changelog/v1.yaml is not what the documents say; write it anew with --write", "--check")
	must("openapi", "--write", "--release", "v0.2.0", "--date", "2026-12-24")
	must("openapi", "--check")
	if out := must(); !strings.Contains(out, "## v0.2.0 (2026-12-24)\n\nSince v0.1.0:\n\n### Breaks clients\n\n- `GET /v1/users`: ") {
		t.Errorf("got %s", out)
	}
	var logs []apidiff.Changelog
	if err := json.Unmarshal([]byte(must("-o", "json")), &logs); err != nil || len(logs) != 1 || len(logs[0].Releases) != 2 || logs[0].Unreleased.Since != "v0.2.0" {
		t.Errorf("%v: got %+v", err, logs)
	}
	// The command that compares releases finds them without tags as well.
	if got := command(t, "api", "diff", "v0.1.0", present); got.code != cli.ExitRefused {
		t.Errorf("exit %d, %s", got.code, got.stderr)
	}
	put(t, "openapi/releases/latest/v1.yaml", document())
	refuse(cli.ExitUsage, `"latest" is not the name of a release`)
}
