package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A document of a region that there is no more goes; what is not a document of a version stays.
func TestWriteDocuments(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	if err := writeDocuments(out, map[string][]byte{"v1/global.yaml": []byte("old"), "v1/gone.yaml": []byte("x"), "vendor/kept.yaml": []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "overlay.yaml"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeDocuments(out, map[string][]byte{"v1/global.yaml": []byte("new"), "v2/global.yaml": []byte("new")}); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, pattern := range []string{"*.yaml", "*/*.yaml"} {
		paths, err := filepath.Glob(filepath.Join(out, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(out, path)
			if err != nil {
				t.Fatal(err)
			}
			got[filepath.ToSlash(name)] = string(data)
		}
	}
	want := map[string]string{"overlay.yaml": "x", "vendor/kept.yaml": "x", "v1/global.yaml": "new", "v2/global.yaml": "new"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
