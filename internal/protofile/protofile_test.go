package protofile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	_ "github.com/domicile-api/domicile/gen/domicile/policy/v1" // imported by a contract
	"github.com/domicile-api/domicile/internal/protofile"
)

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const first = "syntax = \"proto3\";\npackage a;\nimport \"other/b.proto\";\nimport \"domicile/policy/v1/policy.proto\";\n// Says.\nmessage A {\n  B b = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];\n}\n"

func TestCompile(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{
		"own/a.proto": first, "own/notes.txt": "no contract", "lib/other/b.proto": "syntax = \"proto3\";\npackage a;\nmessage B {}\n",
	})
	set, err := protofile.Read([]string{filepath.Join(dir, "own")}, []string{filepath.Join(dir, "lib")})
	if err != nil {
		t.Fatal(err)
	}
	files, err := set.Compile(t.Context(), set.Paths()...)
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	a := files[0].Messages().ByName("A")
	if got, want := set.At(a), filepath.Join(dir, "own/a.proto")+":6:1"; got != want {
		t.Errorf("A is at %s, want %s", got, want)
	}
	if got := files[0].SourceLocations().ByDescriptor(a).LeadingComments; got != " Says.\n" {
		t.Errorf("the comment is %q", got)
	}
}

// All that is wrong is said at once, in order, with the names that the user knows.
func TestCompileSaysWhere(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{"a.proto": "syntax = \"proto3\";\nmessage A {\n  X x = 1;\n  Y y = 2;\n}\n"})
	set, err := protofile.Read([]string{dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "a.proto")
	want := name + ":3:3: field A.x: unknown type X\n" + name + ":4:3: field A.y: unknown type Y"
	if _, err := set.Compile(t.Context(), set.Paths()...); err == nil || err.Error() != want {
		t.Errorf("-want +got:\n%s", cmp.Diff(want, err.Error()))
	}
	mended := set.With(map[string]string{"a.proto": "syntax = \"proto3\";\nimport \"none.proto\";\n"})
	if _, err := mended.Compile(t.Context(), "a.proto"); err == nil || !strings.Contains(err.Error(), name+":2:8:") {
		t.Errorf("an import of nothing: %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	one, two := write(t, map[string]string{"a.proto": ""}), write(t, map[string]string{"a.proto": ""})
	for name, c := range map[string]struct {
		roots []string
		want  string
	}{
		"nothing there":   {[]string{t.TempDir()}, "there is no .proto file below"},
		"no folder":       {[]string{filepath.Join(one, "none")}, "no such file"},
		"one path, twice": {[]string{one, two}, `would be imported by one name, "a.proto"`},
	} {
		if _, err := protofile.Read(c.roots, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
