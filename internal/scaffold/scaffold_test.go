package scaffold_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/scaffold"
)

// The versions of a product's tools, and of its CDK, are ours.
func TestTemplatesHaveOurVersions(t *testing.T) {
	t.Parallel()
	const license = `"license": "Apache-2.0",` // ours; a product's is for its owner to say
	for ours, c := range map[string]struct{ template, old, now, without string }{
		"../../tools/go.mod":            {"tools/go.mod.tmpl", "module github.com/domicile-api/domicile/tools", "module {{.Module}}/tools", ""},
		"../../tools/go.sum":            {"tools/go.sum.tmpl", "", "", ""},
		"../../infra/package.json":      {"infra/package.json.tmpl", `"domicile-infra"`, `"{{.Name}}-infra"`, "  " + license + "\n"},
		"../../infra/package-lock.json": {"infra/package-lock.json.tmpl", `"domicile-infra"`, `"{{.Name}}-infra"`, "      " + license + "\n"},
	} {
		want, err := os.ReadFile(ours)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile("template/" + c.template)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Replace(strings.ReplaceAll(string(want), c.old, c.now), c.without, "", 1), string(got)); diff != "" {
			t.Errorf("template/%s is not %s (-ours +template):\n%s", c.template, ours, diff)
		}
	}
}

// What products import is there, in the folders that their buf.yaml names, and what only regions say to each other is not.
func TestContracts(t *testing.T) {
	t.Parallel()
	files, err := scaffold.Contracts()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"domicile/domicile/policy/v1/policy.proto":  true,
		"protovalidate/buf/validate/validate.proto": true, "protovalidate/LICENSE": true, "googleapis/google/api/http.proto": true,
		"domicile/domicile/peer/v1/peer.proto": false, "domicile/google/protobuf/descriptor.proto": false,
	} {
		if _, ok := files[name]; ok != want {
			t.Errorf("%s is there: %v", name, ok)
		}
	}
}

// A name that go, buf or make could not do anything with is refused, and so is a folder that is not one, before anything is written.
func TestNewRefusesWhatCannotBeBuilt(t *testing.T) {
	free := filepath.Join(t.TempDir(), "free")
	t.Chdir(t.TempDir())
	for name, c := range map[string]struct {
		cfg  scaffold.Config
		want string
	}{
		"two hyphens":       {scaffold.Config{Name: "a--b", Dir: free}, `"a--b"`},
		"21 letters":        {scaffold.Config{Name: "abcdefghijklmnopqrstu", Dir: free}, "1 to 20"},
		"go's internal":     {scaffold.Config{Name: "internal", Dir: free}, "go treats"},
		"go's vendor":       {scaffold.Config{Name: "vendor", Dir: free}, "go treats"},
		"make's functions":  {scaffold.Config{Name: "functions", Dir: free}, "make functions"},
		"Domicile's module": {scaffold.Config{Name: "acme", Dir: free, Module: "github.com/domicile-api/domicile"}, "Domicile's own"},
		"a module below it": {scaffold.Config{Name: "acme", Dir: free, Module: "github.com/domicile-api/domicile/acme"}, "Domicile's own"},
		"a nameless folder": {scaffold.Config{Name: "acme"}, "has no name"},
	} {
		if err := scaffold.New(t.Context(), c.cfg); !errors.Is(err, scaffold.ErrInput) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, dir := range []string{free, "Makefile"} {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there: %v", dir, err)
		}
	}
}

// What one is told to type goes into the folder, whatever it is called.
func TestNextIsForAShell(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"acme", "two words", "it's", `a"b`, "$HOME", "a;b"} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		cd, _, _ := strings.Cut(scaffold.Config{Dir: dir}.Next(), "\n")
		out, err := exec.CommandContext(t.Context(), "bash", "-c", cd+" && pwd").CombinedOutput()
		if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != dir {
			t.Errorf("%q leads to %q, %v", cd, got, err)
		}
	}
}
