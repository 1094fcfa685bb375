//go:build docs

package documents

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSchemathesis sends what the documents allow, and what they do not, to a running dev: a tenant's operations with the tenant's key at its
// home, and an operator's, which would delete that tenant, with an operator's key at the control region of another dev.
func TestSchemathesis(t *testing.T) {
	t.Parallel()
	program := filepath.Join(tools(t), "python", "bin", "schemathesis")
	for name, c := range map[string]struct {
		document string
		region   int // as dev.url has it
		filter   []string
	}{
		"tenant":   {"eu-central-1.yaml", 1, []string{"--exclude-by", "/x-route == control"}},
		"operator": {"us-east-1.yaml", 3, []string{"--include-by", "/x-route == control"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startDev(t)
			here, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			args := append([]string{"--config-file", filepath.Join(here, "schemathesis.toml"), "run", document(t, c.document), "--no-color"}, c.filter...)
			cmd := exec.CommandContext(t.Context(), program, args...)
			cmd.Dir = t.TempDir()
			cmd.Env = append(os.Environ(),
				"DOMICILE_DOCS_HOOKS="+filepath.Join(here, "hooks.py"), "DOMICILE_DOCS_URL="+d.url(c.region), "DOMICILE_DOCS_TENANT="+tenant,
				"DOMICILE_DOCS_TENANT_KEY="+d.tenantKey, "DOMICILE_DOCS_OPERATOR_KEY="+d.demo.OperatorKey, "DOMICILE_DOCS_SPARE_KEY="+d.spareKey)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%s", out[max(0, len(out)-1200):])
		})
	}
}
