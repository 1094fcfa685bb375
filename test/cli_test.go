package test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/domiciletest"
	"github.com/domicile-api/domicile/internal/cli"
	"github.com/domicile-api/domicile/services"
)

// domicile runs the command line in this process.
func domicile(env map[string]string, args ...string) (code int, stdout, stderr string) {
	var out, complaints bytes.Buffer
	code = cli.Main(cli.Config{
		Name: "domicile", Services: services.All(), Stdout: &out, Stderr: &complaints,
		Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	}, args)
	return code, out.String(), complaints.String()
}

// TestCommandLine runs the operator's commands against a platform, by flags, variables, file and data folder.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	env := map[string]string{"DOMICILE_SERVER": p.OperationsEndpoint(), "DOMICILE_OPERATOR_KEY": p.OperatorKey()}
	file := filepath.Join(t.TempDir(), "flags.yaml")
	if err := os.WriteFile(file, []byte("server: "+p.OperationsEndpoint()+"\nkey: "+p.OperatorKey()+"\noutput: json\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env    map[string]string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		"by variables":           {env, []string{"whereis", "acme-eu"}, cli.ExitOK, "eu-central-1", ""},
		"by data folder":         {nil, []string{"whereis", "acme-sg", "--data", p.Dir()}, cli.ExitOK, "ap-southeast-1", ""},
		"by file":                {nil, []string{"whereis", "acme-br", "--config", file}, cli.ExitOK, `"home": "sa-east-1"`, ""},
		"flag before file":       {nil, []string{"whereis", "acme-br", "--config", file, "-o", "table"}, cli.ExitOK, "TENANT", ""},
		"variable before file":   {map[string]string{"DOMICILE_OUTPUT": "table"}, []string{"whereis", "acme-br", "--config", file}, cli.ExitOK, "TENANT", ""},
		"by host":                {env, []string{"whereis", "acme-us.localhost"}, cli.ExitOK, "us-east-1", ""},
		"by key, secret dropped": {env, []string{"whereis", p.DemoKey("acme-us")}, cli.ExitOK, "us-east-1", ""},
		"unknown tenant":         {env, []string{"whereis", "nobody"}, cli.ExitRefused, "", "TENANT_UNKNOWN"},
		"explain":                {env, []string{"explain", "--tenant", "bank-eu", "--from", "US", "--method", "GetUser"}, cli.ExitOK, "WRONG_REGION", ""},
		"explain JSON":           {env, []string{"explain", "--tenant", "acme-eu", "--from", "US", "--method", "GetUser", "-o", "json"}, cli.ExitOK, "ROUTE_ACTION_FORWARD", ""},
		"explain without method": {env, []string{"explain", "--tenant", "bank-eu", "--from", "US"}, cli.ExitUsage, "", "--method"},
		"explain unknown method": {env, []string{"explain", "--tenant", "bank-eu", "--from", "US", "--method", "Nothing"}, cli.ExitRefused, "", "method"},
		"policies left out":      {env, []string{"tenants", "create", "new-one"}, cli.ExitRefused, "", "tenant.transit"},
		"bad enum":               {env, []string{"tenants", "create", "new-one", "--transit", "maybe"}, cli.ExitUsage, "", "forward or strict"},
		"purge without yes":      {env, []string{"tenants", "purge", "acme-eu"}, cli.ExitUsage, "", "--yes"},
		"purge of an active one": {env, []string{"tenants", "purge", "acme-eu", "--yes"}, cli.ExitRefused, "", "delete it first"},
		"list":                   {env, []string{"tenants", "list"}, cli.ExitOK, "bank-eu", ""},
		"keys":                   {env, []string{"keys", "list", "acme-eu"}, cli.ExitOK, "demonstration", ""},
		"topology":               {env, []string{"topology", "show"}, cli.ExitOK, "São Paulo", ""},
		"wrong operator key":     {map[string]string{"DOMICILE_SERVER": p.OperationsEndpoint(), "DOMICILE_OPERATOR_KEY": "do_x_y"}, []string{"tenants", "list"}, cli.ExitRefused, "", "CREDENTIAL_INVALID"},
		"nobody there":           {map[string]string{"DOMICILE_SERVER": "http://127.0.0.1:1", "DOMICILE_OPERATOR_KEY": "do_x_y"}, []string{"tenants", "list"}, cli.ExitUnreachable, "", "does not answer"},
		"no platform named":      {nil, []string{"tenants", "list", "--data", t.TempDir()}, cli.ExitUsage, "", "--server"},
		"unknown command":        {nil, []string{"tenant"}, cli.ExitUsage, "", "unknown command"},
		"unknown flag":           {nil, []string{"whereis", "--nothing"}, cli.ExitUsage, "", "--help"},
		"bad output":             {env, []string{"tenants", "list", "-o", "xml"}, cli.ExitUsage, "", "table or json"},
		"bad variable":           {map[string]string{"DOMICILE_PORT_BASE": "many"}, []string{"dev"}, cli.ExitUsage, "", "DOMICILE_PORT_BASE"},
		"demo on the network":    {nil, []string{"dev", "--host", "0.0.0.0", "--data", t.TempDir()}, cli.ExitUsage, "", "loopback"},
		"serve without region":   {nil, []string{"serve"}, cli.ExitUsage, "", "eu-central-1"},
		"serve unknown service":  {nil, []string{"serve", "--region", "eu-central-1", "--service", "nothing"}, cli.ExitUsage, "", "profile"},
		"edge without directory": {nil, []string{"serve", "--region", "us-east-1", "--role", "edge", "--data", t.TempDir()}, cli.ExitRefused, "", "last good copy"},
		"generate from nothing":  {nil, []string{"generate", "--projections-only", "nowhere"}, cli.ExitUsage, "", "nowhere"},
		"generate with nothing":  {nil, []string{"generate", "--template", "nowhere.yaml"}, cli.ExitUsage, "", "nowhere.yaml"},
		"generate is current":    {nil, []string{"generate", "--projections-only", "--check", "../proto"}, cli.ExitOK, "", ""},
		"contracts are not":      {nil, []string{"contracts", "--check", t.TempDir()}, cli.ExitRefused, "", "policy.proto"},
		"contracts nowhere":      {nil, []string{"contracts"}, cli.ExitUsage, "", "contracts FOLDER"},
		"version":                {nil, []string{"version"}, cli.ExitOK, "go1.", ""},
		"completion":             {nil, []string{"completion", "bash"}, cli.ExitOK, "domicile", ""},
	} {
		code, stdout, stderr := domicile(c.env, c.args...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: exit %d instead of %d, or texts without %q, %q:\n%s\n%s", name, code, c.code, c.stdout, c.stderr, stdout, stderr)
		}
	}
}

// TestTopologyCheck points at what is wrong.
func TestTopologyCheck(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(file, []byte("regions:\n  - id: a1\n    jurisdiction: EU\n    roles: [HOME]\n    port: 9000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := domicile(nil, "topology", "check", file)
	if code != cli.ExitRefused || !strings.Contains(stderr, file+":") || !strings.Contains(stderr, "control") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
