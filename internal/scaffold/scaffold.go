// Package scaffold writes a product of one's own: a project with the shape of Domicile's own, one service in it, and all that is made
// from its contracts, so that it builds and runs as it is.
//
// It promises to overwrite nothing: a folder that has anything in it is refused before the first file is written.
package scaffold

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"golang.org/x/mod/module"

	"github.com/domicile-api/domicile/internal/codegen"
	"github.com/domicile-api/domicile/internal/projection"
	"github.com/domicile-api/domicile/internal/protofile"
)

//go:embed all:template
var templates embed.FS

// ErrInput says that a project cannot be written with what was asked for. Nothing was written.
var ErrInput = errors.New("bad input")

// Config says what to write.
type Config struct {
	// Name is the product's name: of its program, its protobuf packages and its deployment.
	Name string
	// Module is its Go module's path; empty: example.org/<name>.
	Module string
	// Dir is the folder to write; it is made if it is not there, and must have nothing in it.
	Dir string
	// Local is the folder of a copy of Domicile to build on; empty: Version of the published one.
	Local string
	// Version is a published version of Domicile.
	Version string
}

// names are what the templates know.
type names struct {
	Name, Module, Package string
}

// nameForm is what a program, a protobuf package and a deployment can all be called.
var nameForm = regexp.MustCompile(`^[a-z](?:-?[a-z0-9])*$`)

// longest is how many letters a name has at the most.
const longest = 20

// taken are names that a product cannot have, and what they are already.
func taken() map[string]string {
	const contract, folder = "that of a protobuf package which the project imports", "a folder's that go treats in its own way"
	return map[string]string{
		"buf": contract, "domicile": contract, "google": contract,
		"internal": folder, "testdata": folder, "vendor": folder,
		"functions": "that of the folder which make functions writes beside the program",
	}
}

// New writes a project. It fails with ErrInput before it has written anything.
func New(ctx context.Context, cfg Config) error {
	if cfg.Module == "" {
		cfg.Module = "example.org/" + cfg.Name
	}
	if err := cfg.check(); err != nil {
		return err
	}
	base, err := findBase(ctx, cfg)
	if err != nil {
		return err
	}
	files, err := render(names{Name: cfg.Name, Module: cfg.Module, Package: strings.ReplaceAll(cfg.Name, "-", "_")})
	if err != nil {
		return err
	}
	contracts, err := Contracts()
	if err != nil {
		return err
	}
	for name, content := range contracts {
		files["third_party/"+name] = content
	}
	if err := base.addModules(files, cfg.Module); err != nil {
		return err
	}
	if err := write(cfg.Dir, files); err != nil {
		return err
	}
	if err := generate(ctx, cfg.Dir); err != nil {
		return err
	}
	return tidy(ctx, cfg.Dir)
}

// plain is a folder that a shell takes as it is.
var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// Next is what one types in a shell to go on from a project that is written.
func (c Config) Next() string {
	dir := c.Dir
	if !plain.MatchString(dir) {
		dir = "'" + strings.ReplaceAll(dir, "'", `'\''`) + "'"
	}
	return "  cd " + dir + "\n  make dev     # six regions, to try\n  make test    # the same, tested\n" +
		"  make openapi # the documents of its API, and of its portal\n"
}

func (c Config) check() error {
	if len(c.Name) > longest || !nameForm.MatchString(c.Name) {
		return fmt.Errorf("%w: the name %q is not 1 to %d lower-case letters, digits and single \"-\" between them, beginning with a letter",
			ErrInput, c.Name, longest)
	}
	if whose, ok := taken()[c.Name]; ok {
		return fmt.Errorf("%w: the name %q is %s", ErrInput, c.Name, whose)
	}
	if err := module.CheckPath(c.Module); err != nil {
		return fmt.Errorf("%w: the module's path: %w", ErrInput, err)
	}
	if strings.HasPrefix(c.Module+"/", platform+"/") {
		return fmt.Errorf("%w: the module's path %s is Domicile's own", ErrInput, c.Module)
	}
	return c.checkFolder()
}

func (c Config) checkFolder() error {
	if c.Dir == "" { // which os.ReadDir does not find, though every file would be written into the working folder
		return fmt.Errorf("%w: the folder to write has no name", ErrInput)
	}
	entries, err := os.ReadDir(c.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%w: the folder to write: %w", ErrInput, err)
	case len(entries) > 0:
		return fmt.Errorf("%w: %s has something in it, e.g. %q; nothing is overwritten", ErrInput, c.Dir, entries[0].Name())
	default:
		return nil
	}
}

// render fills the templates in. Their paths are names too.
func render(n names) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(templates, "template", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(templates, name)
		if err != nil {
			return err //nolint:wrapcheck // wrapped below
		}
		tmpl, err := template.New(path.Base(name)).Option("missingkey=error").Parse(string(text))
		if err != nil {
			return err //nolint:wrapcheck // wrapped below
		}
		var filled bytes.Buffer
		if err := tmpl.Execute(&filled, n); err != nil {
			return err //nolint:wrapcheck // wrapped below
		}
		to := strings.TrimSuffix(strings.TrimPrefix(name, "template/"), ".tmpl")
		to = strings.NewReplacer("__name__", n.Name, "__package__", n.Package).Replace(to)
		files[to] = filled.Bytes()
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("filling the templates in: %w", err)
	}
	return files, nil
}

// write writes files into a folder that has none of them.
func write(dir string, files map[string][]byte) error {
	for name, content := range files {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // source code is for everyone to read
			return fmt.Errorf("writing the project: %w", err)
		}
		mode := fs.FileMode(0o644)
		if bytes.HasPrefix(content, []byte("#!")) {
			mode = 0o755
		}
		if err := create(to, content, mode); err != nil {
			return fmt.Errorf("writing the project: %w", err)
		}
	}
	return nil
}

// create writes a file that is not there yet.
func create(name string, content []byte, mode fs.FileMode) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode) //nolint:gosec // the user names the folder
	if err != nil {
		return err //nolint:wrapcheck // wrapped by write
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

// generate makes what follows from the project's contracts, as its own `make generate` does.
func generate(ctx context.Context, dir string) error {
	plugins, err := codegen.ReadTemplate(filepath.Join(dir, "buf.gen.yaml"))
	if err != nil {
		return err
	}
	plugins.Env = []string{"GOWORK=off"} // a workspace around the folder knows nothing of the new module
	set, err := protofile.Read([]string{filepath.Join(dir, "proto")}, nil)
	if err != nil {
		return err
	}
	result, err := projection.Write(ctx, set)
	if err != nil {
		return err
	}
	for _, name := range set.Paths() {
		if text, ok := result.Texts[name]; ok {
			if err := os.WriteFile(set.Name(name), []byte(text), 0o644); err != nil { //nolint:gosec // source code
				return fmt.Errorf("writing projections: %w", err)
			}
		}
	}
	made, err := plugins.Run(ctx, dir, set.With(result.Texts))
	if err != nil {
		return fmt.Errorf("the files are written, and their code is not yet; run make generate and go mod tidy in %s: %w", dir, err)
	}
	_, err = plugins.Write(dir, made)
	return err
}
