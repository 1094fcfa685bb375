//go:build docs

package documents

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestLint holds all documents against the recommended rules of two linters. openapi/redocly.yaml and openapi/.spectral.yaml say what is off.
func TestLint(t *testing.T) {
	t.Parallel()
	programs := filepath.Join(tools(t), "node", "node_modules", ".bin")
	files, err := filepath.Glob(filepath.Join(root, "openapi", "v1", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("documents: %v, %v", files, err)
	}
	for name, args := range map[string][]string{
		"redocly":  {"lint", "--config", filepath.Join(root, "openapi", "redocly.yaml")},
		"spectral": {"lint", "--fail-severity=warn", "-r", filepath.Join(root, "openapi", ".spectral.yaml")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), filepath.Join(programs, name), append(args, files...)...)
			cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
