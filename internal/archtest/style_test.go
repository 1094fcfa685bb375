package archtest

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// maxLines bounds a file; DESIGN.md, Habits.
const maxLines = 600

// hasPathPrefix tells whether an import path is prefix or below it.
func hasPathPrefix(path, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// isStandard tells whether an import path is of the standard library, whose first element has no dot.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// source is a Go file of the module that people wrote.
type source struct {
	path   string // from the module's root, with slashes
	text   []byte
	syntax *ast.File
	files  *token.FileSet
}

// sources returns all Go files but generated ones.
func sources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || isOtherModule(path)):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files := token.NewFileSet()
		syntax, err := parser.ParseFile(files, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		if ast.IsGenerated(syntax) {
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		all = append(all, source{path: filepath.ToSlash(name), text: text, syntax: syntax, files: files})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d files; the rules would test nothing", len(all))
	}
	return all
}

func isOtherModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// A file beyond the bound has more than one concept in it.
func TestFilesAreShort(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if n := bytes.Count(s.text, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines; at most %d, and near 400: give each concept its own file", s.path, n, maxLines)
		}
	}
}

// A package's comment says what it promises; that is where a reader begins.
func TestPackagesAreDocumented(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, s := range sources(t) {
		dir := filepath.ToSlash(filepath.Dir(s.path))
		documented[dir] = documented[dir] || s.syntax.Doc != nil
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("the package in %s has no doc comment; say what it promises", dir)
		}
	}
}

// Other modules build the root module as it is published; a replace would hold here only.
func TestNoReplace(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Module struct {
			Path string `json:"Path"` //nolint:tagliatelle // go mod's names
		} `json:"Module"` //nolint:tagliatelle // go mod's names
		Replace []any `json:"Replace"` //nolint:tagliatelle // go mod's names
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if mod.Module.Path != module {
		t.Fatalf("looked at the go.mod of %s", mod.Module.Path)
	}
	if len(mod.Replace) > 0 {
		t.Errorf("go.mod has %d replace directives; go run %s/cmd/domicile@latest must work without a clone", len(mod.Replace), module)
	}
}

// serverLog is where net/http's own log lines, which name callers' addresses, are rewritten for slog; http.Server asks for a
// *log.Logger.
const serverLog = "internal/rpc/server.go"

// The standard log package and prints to standard output go around the redacting handler of slog. A program's main may speak to
// its terminal, and tests may use what they like.
func TestOnlySlogLogs(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_test.go") || strings.HasPrefix(s.path, "cmd/") {
			continue
		}
		for _, i := range s.syntax.Imports {
			if i.Path.Value == `"log"` && s.path != serverLog {
				t.Errorf("%s imports log; use log/slog (slog.NewLogLogger where a *log.Logger is asked for)", s.path)
			}
		}
		calls(s, func(pkg, name string, at token.Position) {
			if pkg == "fmt" && (name == "Print" || name == "Printf" || name == "Println") {
				t.Errorf("%s:%d: fmt.%s; write to the writer that the command was given, or log by slog", s.path, at.Line, name)
			}
		})
	}
}

// A test that sleeps is slow or flaky or both. In a synctest bubble, time is the test's own and a sleep is none; the tests of a
// package whose helpers open bubbles run in them.
func TestTestsDoNotSleep(t *testing.T) {
	t.Parallel()
	all := sources(t)
	bubbles := map[string]bool{}
	for _, s := range all {
		if strings.HasSuffix(s.path, "_test.go") && bytes.Contains(s.text, []byte(`"testing/synctest"`)) {
			bubbles[path.Dir(s.path)] = true
		}
	}
	for _, s := range all {
		if !strings.HasSuffix(s.path, "_test.go") || bubbles[path.Dir(s.path)] {
			continue
		}
		calls(s, func(pkg, name string, at token.Position) {
			if pkg == "time" && name == "Sleep" {
				t.Errorf("%s:%d: a test sleeps; wait for the event, or use a clock of the test or testing/synctest", s.path, at.Line)
			}
		})
	}
}

// calls finds the calls of package-level functions as they are written; pkg is the import path.
func calls(s source, found func(pkg, name string, at token.Position)) {
	imported := map[string]string{}
	for _, i := range s.syntax.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		name := path[strings.LastIndex(path, "/")+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		imported[name] = path
	}
	ast.Inspect(s.syntax, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if selector, ok := call.Fun.(*ast.SelectorExpr); ok {
			if pkg, ok := selector.X.(*ast.Ident); ok && imported[pkg.Name] != "" {
				found(imported[pkg.Name], selector.Sel.Name, s.files.Position(call.Pos()))
			}
		}
		return true
	})
}
