package scaffold

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// The modules of Domicile that a product requires.
const (
	platform = "github.com/domicile-api/domicile"
	infra    = platform + "/infra"
)

// unpublished is the version that a replaced module is required with.
const unpublished = "v0.0.0"

// base is the Domicile that a product is built on. Its own go.mod and go.sum say what builds it, so that a new product's are right
// without asking anybody.
type base struct {
	version string
	local   bool
	// dirs are the folders of the modules, and sums the lines of go.sum for themselves.
	dirs map[string]string
	sums map[string]string
}

// findBase finds it: in a folder, or by its version in the module cache, where go puts it.
func findBase(ctx context.Context, cfg Config) (*base, error) {
	if cfg.Local == "" {
		return downloadBase(ctx, cfg.Version)
	}
	dir, err := filepath.Abs(cfg.Local)
	if err != nil {
		return nil, fmt.Errorf("%w: --local: %w", ErrInput, err)
	}
	b := &base{version: unpublished, local: true, dirs: map[string]string{platform: dir, infra: filepath.Join(dir, "infra")}}
	for path, folder := range b.dirs {
		data, err := os.ReadFile(filepath.Join(folder, "go.mod")) //nolint:gosec // the user names the folder
		if errors.Is(err, fs.ErrNotExist) || (err == nil && modfile.ModulePath(data) != path) {
			return nil, fmt.Errorf("%w: --local: %s is not a copy of Domicile: %s does not have the module %s", ErrInput, cfg.Local, folder, path)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: --local: %w", ErrInput, err)
		}
	}
	return b, nil
}

// downloaded is what go mod download says of a module.
type downloaded struct {
	Dir      string `json:"Dir"`      //nolint:tagliatelle // go's names
	Sum      string `json:"Sum"`      //nolint:tagliatelle // the same
	GoModSum string `json:"GoModSum"` //nolint:tagliatelle // the same
	Error    string `json:"Error"`    //nolint:tagliatelle // the same
}

func downloadBase(ctx context.Context, version string) (*base, error) {
	if !semver.IsValid(version) || semver.Build(version) != "" { // "(devel)", or with changes that nobody else has
		return nil, fmt.Errorf("%w: this build has no version that others can download; name a copy of Domicile with --local", ErrInput)
	}
	b := &base{version: version, dirs: map[string]string{}, sums: map[string]string{}}
	for _, path := range []string{platform, infra} {
		cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", path+"@"+version) //nolint:gosec // the arguments are checked
		cmd.Env = append(os.Environ(), "GOWORK=off")
		out, err := cmd.Output()
		var got downloaded
		if jsonErr := json.Unmarshal(out, &got); jsonErr != nil || got.Error != "" || err != nil {
			return nil, fmt.Errorf("downloading %s %s (--local builds on a copy): %s: %w", path, version, got.Error, errors.Join(err, jsonErr))
		}
		b.dirs[path] = got.Dir
		b.sums[path] = fmt.Sprintf("%s %s %s\n%s %s/go.mod %s\n", path, version, got.Sum, path, version, got.GoModSum)
	}
	return b, nil
}

// addModules adds go.mod and go.sum of the product and of its infra.
func (b *base) addModules(files map[string][]byte, module string) error {
	tools := []string{
		platform + "/cmd/buf-plugin-domicile", platform + "/cmd/domicile",
		"connectrpc.com/connect/cmd/protoc-gen-connect-go", "google.golang.org/protobuf/cmd/protoc-gen-go",
	}
	direct := []string{"connectrpc.com/connect", "github.com/aws/aws-lambda-go", "google.golang.org/protobuf"}
	var err error
	if files["go.mod"], files["go.sum"], err = b.derive(module, platform, direct, tools); err != nil {
		return err
	}
	// Nobody needs to download CDK before infra is worked on, so that go mod tidy does not look at it.
	direct = []string{"github.com/aws/aws-cdk-go/awscdk/v2", "github.com/aws/jsii-runtime-go"}
	files["infra/go.mod"], files["infra/go.sum"], err = b.derive(module+"/infra", infra, direct, nil)
	return err
}

// derive makes a go.mod and a go.sum of a module that requires one of Domicile's, from that one's: the same versions of everything.
// direct are the requirements that the module imports itself.
func (b *base) derive(module, on string, direct, tools []string) (mod, sum []byte, err error) {
	data, err := os.ReadFile(filepath.Join(b.dirs[on], "go.mod"))
	if err != nil {
		return nil, nil, fmt.Errorf("reading Domicile's go.mod: %w", err)
	}
	theirs, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("reading Domicile's go.mod: %w", err)
	}
	ours := &modfile.File{Syntax: &modfile.FileSyntax{}}
	if err := errors.Join(ours.AddModuleStmt(module), ours.AddGoStmt(theirs.Go.Version)); err != nil {
		return nil, nil, fmt.Errorf("writing go.mod: %w", err)
	}
	if err := ignore(ours, theirs, on); err != nil {
		return nil, nil, err
	}
	for _, tool := range tools {
		if err := ours.AddTool(tool); err != nil {
			return nil, nil, fmt.Errorf("writing go.mod: %w", err)
		}
	}
	ours.AddNewRequire(on, b.version, false)
	testOnly := []string{"github.com/google/go-cmp"}
	for _, r := range theirs.Require {
		switch {
		case slices.Contains(testOnly, r.Mod.Path) && len(tools) == 0: // go mod tidy sees to the product's own
		case r.Mod.Path == platform:
			ours.AddNewRequire(r.Mod.Path, b.version, true)
		default:
			ours.AddNewRequire(r.Mod.Path, r.Mod.Version, !slices.Contains(direct, r.Mod.Path))
		}
	}
	if err := b.replace(ours, on); err != nil {
		return nil, nil, err
	}
	ours.SetRequireSeparateIndirect(ours.Require)
	ours.Cleanup()
	if sum, err = os.ReadFile(filepath.Join(b.dirs[on], "go.sum")); err != nil {
		return nil, nil, fmt.Errorf("reading Domicile's go.sum: %w", err)
	}
	return modfile.Format(ours.Syntax), append(sum, b.sums[platform]+b.sums[infra]...), nil
}

// ignore leaves the folders out that Domicile's module leaves out. Those of the platform's own are folders that a product does not have.
func ignore(ours, theirs *modfile.File, on string) error {
	if on == platform {
		return nil
	}
	for _, ignored := range theirs.Ignore {
		if err := ours.AddIgnore(ignored.Path); err != nil {
			return fmt.Errorf("writing go.mod: %w", err)
		}
	}
	return nil
}

// replace points to the copy on this machine, if there is one.
func (b *base) replace(mod *modfile.File, on string) error {
	for _, path := range slices.Compact([]string{platform, on}) {
		if !b.local {
			continue
		}
		if err := mod.AddReplace(path, "", b.dirs[path], ""); err != nil {
			return fmt.Errorf("writing go.mod: %w", err)
		}
	}
	return nil
}

// tidy has go leave out of go.mod and go.sum what the product does not need. They are right without it, only longer.
func tidy(ctx context.Context, dir string) error {
	var complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "mod", "tidy")
	cmd.Dir, cmd.Stderr, cmd.Env = dir, &complaints, append(os.Environ(), "GOWORK=off")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the project is written and runs, but go.mod has more than it needs; run go mod tidy in %s: %w\n%s",
			dir, err, strings.TrimSpace(complaints.String()))
	}
	return nil
}
