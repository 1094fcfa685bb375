package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/internal/cli"
)

// openapi runs the command, and returns its exit code and what it complained of.
func openapi(args ...string) (int, string) {
	var stdout, stderr bytes.Buffer
	code := cli.Main(cli.Config{
		Name: "domicile", Stdout: &stdout, Stderr: &stderr, Env: func(string) (string, bool) { return "", false },
	}, append([]string{"openapi"}, args...))
	return code, stderr.String()
}

// A mistake is told, and nothing is written.
func TestOpenAPIRefuses(t *testing.T) {
	t.Parallel()
	contracts := filepath.Join("..", "..", "proto")
	overlay := filepath.Join(t.TempDir(), "overlay.yaml")
	if err := os.WriteFile(overlay, []byte("info:\n  title: T\noperations:\n  GetUsr:\n    description: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"a region that is not there", []string{"--proto", contracts, "--region", "mars-north-1"}, cli.ExitRefused, "default.yaml:29: the document of \"mars-north-1\": the topology has no such region"},
		{"an operation that is not there", []string{"--proto", contracts, "--overlay", overlay}, cli.ExitRefused, "overlay.yaml:4: there is no operation GetUsr"},
		{"no contracts", []string{"--proto", t.TempDir()}, cli.ExitRefused, "there is no .proto file"},
		{"no generator", []string{"--generator", " "}, cli.ExitUsage, "--generator is the command line"},
		{"a topology that is not there", []string{"--topology", "nowhere.yaml"}, cli.ExitUsage, "nowhere.yaml"},
	}
	for _, tt := range tests {
		out := filepath.Join(t.TempDir(), "openapi")
		code, complaint := openapi(append(tt.args, "--out", out)...)
		if code != tt.code || !strings.Contains(complaint, tt.want) {
			t.Errorf("%s: exit code %d, want %d; it said %q, want %q", tt.name, code, tt.code, complaint, tt.want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: something was written", tt.name)
		}
	}
}
