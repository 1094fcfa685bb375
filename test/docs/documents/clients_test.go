//go:build docs

package documents

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestGoClient generates a Go client from the document, builds it and lets it create, change, list and delete a user. It is a module of its
// own, with the generator pinned in its go.mod.
func TestGoClient(t *testing.T) {
	t.Parallel()
	dir := copyOf(t, "goclient")
	command(t, dir, nil, "go", "tool", "oapi-codegen", "-config", "oapi-codegen.yaml", document(t, "eu-central-1.yaml"))
	command(t, dir, nil, "go", "vet", ".")
	command(t, dir, nil, "go", "build", "-o", "client", ".")
	d := startDev(t)
	command(t, dir, d.clientEnv(), filepath.Join(dir, "client"))
}

// TestTypeScriptClient generates types from the document, compiles a client with them, as strictly as TypeScript can, and lets it do the same.
func TestTypeScriptClient(t *testing.T) {
	t.Parallel()
	programs := filepath.Join(tools(t), "node", "node_modules", ".bin")
	dir := copyOf(t, "tsclient")
	command(t, dir, nil, filepath.Join(programs, "openapi-typescript"), document(t, "eu-central-1.yaml"), "-o", "schema.d.ts")
	command(t, dir, nil, filepath.Join(programs, "tsc"), "-p", ".")
	d := startDev(t)
	command(t, dir, d.clientEnv(), "node", filepath.Join("out", "client.js"))
}

func (d *dev) clientEnv() []string {
	return []string{"DOMICILE_URL=" + d.url(1), "DOMICILE_KEY=" + d.tenantKey}
}

// copyOf copies a folder, so that nothing is generated in the working tree.
func copyOf(t *testing.T, folder string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// command runs a program; it fails the test when the program fails.
func command(t *testing.T, dir string, env []string, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Env = dir, append(append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", filepath.Base(program), args, err, out)
	}
}
