package archtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// module is the path of the module under test.
const module = "github.com/domicile-api/domicile"

// listed is what go list says of a package.
type listed struct {
	ImportPath string   `json:"ImportPath"` //nolint:tagliatelle // go list's names
	Imports    []string `json:"Imports"`    //nolint:tagliatelle // go list's names
	Deps       []string `json:"Deps"`       //nolint:tagliatelle // go list's names
}

// name is the package's path inside the module: "internal/rpc", or "." for the root.
func (p listed) name() string {
	if p.ImportPath == module {
		return "."
	}
	return strings.TrimPrefix(p.ImportPath, module+"/")
}

// list runs go list once for all tests: it is slow, and the answer does not change while they run.
var list = sync.OnceValues(func() ([]listed, error) {
	cmd := exec.CommandContext(context.Background(), "go", "list", "-json=ImportPath,Imports,Deps", "./...")
	cmd.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.String())
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("reading what go list says: %w", err)
		}
		all = append(all, p)
	}
})

// packages returns all packages of the module.
func packages(t *testing.T) []listed {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("go list found %d packages; the rules would test nothing", len(all))
	}
	return all
}

// within tells whether a package is one of folders, or below one that ends in "/...".
func within(name string, folders ...string) bool {
	for _, f := range folders {
		root, below := strings.CutSuffix(f, "/...")
		if name == root || (below && strings.HasPrefix(name, root+"/")) {
			return true
		}
	}
	return false
}

// inModule returns the name of an imported package of this module.
func inModule(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}
