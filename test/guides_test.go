package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const outOfTree = "outoftree"

// fileBlock is a fenced block that is, or continues, the file that the comment before it names.
var fileBlock = regexp.MustCompile("(?ms)^<!-- file: (\\S+) -->\n```[a-z]+\n(.*?)^```$")

// files returns what a guide makes, by path.
func files(t *testing.T, guide string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]string{}
	for _, m := range fileBlock.FindAllStringSubmatch(string(text), -1) {
		if before := made[m[1]]; before != "" {
			made[m[1]] = before + "\n"
		}
		made[m[1]] += m[2]
	}
	return made
}

// The product that the guide makes is the one that is tested, file by file; only its generated code and its go.mod are not
// in the guide.
func TestAddAServiceMakesTheProduct(t *testing.T) {
	t.Parallel()
	made := files(t, "../docs/guides/add-a-service.md")
	there := map[string]string{}
	err := filepath.WalkDir(outOfTree, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(outOfTree, path)
		if err != nil {
			return err
		}
		switch name {
		case "gen", "third_party":
			return filepath.SkipDir
		case "go.mod", "go.sum", ".gitignore":
			return nil
		}
		if entry.IsDir() {
			return nil
		}
		content, err := os.ReadFile(path)
		there[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(there, made); diff != "" {
		t.Errorf("the guide and test/outoftree differ (-product +guide):\n%s", diff)
	}
}

// The product is a module outside of this one, so the compiler holds it to the public packages.
func TestTheProductBuildsAndPasses(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds and tests another module")
	}
	for _, args := range [][]string{{"vet", "./..."}, {"test", "./..."}} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = outOfTree
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
