package test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/internal/protofile"
	"github.com/domicile-api/domicile/internal/residency/check"
)

// product is a product that `domicile new` wrote into a temporary folder: a module outside of this one, so that the compiler holds it to
// the public packages.
type product struct {
	dir string
	t   *testing.T
}

func newProduct(t *testing.T, name string) product {
	t.Helper()
	p := product{dir: filepath.Join(t.TempDir(), name), t: t}
	cmd := command(t.Context(), "new", name, "--module", "example.org/"+name, "--local", "..", p.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("domicile new: %v\n%s", err, out)
	}
	return p
}

// run runs a program in the product's folder, and fails the test if it fails.
func (p product) run(name string, args ...string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), name, args...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// domicile runs the command line in the product's folder and returns its exit code.
func (p product) domicile(args ...string) (code int, out string) {
	p.t.Helper()
	cmd := command(p.t.Context(), args...)
	cmd.Dir = p.dir
	text, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(text)
}

func (p product) read(name string) string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

func (p product) write(name, text string) {
	p.t.Helper()
	to := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// follow does to the product what a guide says.
func (p product) follow(guide string) {
	p.t.Helper()
	made, added := files(p.t, guide)
	if len(made)+len(added) == 0 {
		p.t.Fatalf("%s makes nothing", guide)
	}
	for _, name := range slices.Sorted(maps.Keys(made)) {
		p.write(name, made[name])
	}
	for _, i := range added {
		p.write(i.file, i.into(p.t, p.read(i.file)))
	}
}

// A new product is current in all that is made from its contracts; with the guide's service it builds, and its tests, which start six
// regions, write in one, read in another and look for what must not be found, pass.
func TestAddAServiceToANewProduct(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds and tests another module")
	}
	p := newProduct(t, "ledger")
	for _, args := range [][]string{{"generate", "--check"}, {"contracts", "--check", "third_party"}} {
		if code, out := p.domicile(args...); code != 0 {
			t.Errorf("%v in a new product: exit %d\n%s", args, code, out)
		}
	}
	p.follow("../docs/guides/add-a-service.md")
	if code, out := p.domicile("generate", "--check"); code != 1 || !strings.Contains(out, "NoteSummary") {
		t.Errorf("generate --check before NoteSummary is written: exit %d\n%s", code, out)
	}
	if code, out := p.domicile("generate"); code != 0 {
		t.Fatalf("generate: exit %d\n%s", code, out)
	}
	p.passesTheResidencyCheck()
	p.run("go", "vet", "./...")
	p.run("go", "test", "./...")
}

// passesTheResidencyCheck holds the product's contracts to all rules of buf-plugin-domicile.
func (p product) passesTheResidencyCheck() {
	p.t.Helper()
	set, err := protofile.Read([]string{filepath.Join(p.dir, "proto")}, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	files, err := set.Compile(p.t.Context(), set.Paths()...)
	if err != nil {
		p.t.Fatal(err)
	}
	contract := &check.Contract{}
	for _, f := range files {
		contract.Files = append(contract.Files, f)
	}
	for _, rule := range check.Rules() {
		if rule.Compares {
			continue
		}
		for _, finding := range rule.Check(contract) {
			p.t.Errorf("%s: %s: %s", rule.ID, set.At(finding.At), finding.Text)
		}
	}
}

// The guide's field is in both projections after generate, and the product builds with it.
func TestAddAFieldToANewProduct(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds another module")
	}
	p := newProduct(t, "acme")
	p.follow("../docs/guides/new-product.md")
	if code, out := p.domicile("generate"); code != 0 {
		t.Fatalf("generate: exit %d\n%s", code, out)
	}
	if n := strings.Count(p.read("proto/acme/visits/v1/visits.proto"), "\n  uint32 guests = 12 ["); n != 3 {
		t.Errorf("the entity and its two projections have the field in %d places", n)
	}
	p.run("go", "vet", "./services/...")
}

// What cannot be written is refused before anything is, with what is wrong.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	taken := t.TempDir()
	if err := os.WriteFile(filepath.Join(taken, "mine"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	free := filepath.Join(t.TempDir(), "free")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no name":             {nil, "accepts between 1 and 2 arg(s)"},
		"a name with capital": {[]string{"Acme", free, "--local", ".."}, "lower-case letters"},
		"a long name":         {[]string{strings.Repeat("a", 21), free, "--local", ".."}, "1 to 20"},
		"a protobuf package":  {[]string{"google", free, "--local", ".."}, "protobuf package"},
		"a bad module":        {[]string{"acme", free, "--local", "..", "--module", "acme"}, "missing dot"},
		"a folder in use":     {[]string{"acme", taken, "--local", ".."}, "nothing is overwritten"},
		"a file":              {[]string{"acme", filepath.Join(taken, "mine"), "--local", ".."}, "not a directory"},
		"no Domicile":         {[]string{"acme", free, "--local", taken}, "not a copy of Domicile"},
		"another module":      {[]string{"acme", free, "--local", "../tools"}, "not a copy of Domicile"},
		"no version":          {[]string{"acme", free}, "--local"},
	} {
		code, _, stderr := domicile(nil, append([]string{"new"}, c.args...)...)
		if code != 2 || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d, and not %q in %s", name, code, c.want, stderr)
		}
	}
	if _, err := os.Stat(free); err == nil {
		t.Error("a refused project is there")
	}
	if entries, err := os.ReadDir(taken); err != nil || len(entries) != 1 {
		t.Errorf("the folder in use has %v, %v", entries, err)
	}
}
