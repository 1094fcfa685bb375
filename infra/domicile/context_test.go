package domicile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/infra/domicile"
)

// CDK hands over what cdk.json has as JSON, and what -c sets as text.
func TestConfigOfContext(t *testing.T) {
	t.Parallel()
	kernel.Lock()
	defer kernel.Unlock()
	file := filepath.Join(t.TempDir(), "topology.yaml")
	if err := os.WriteFile(file, []byte("regions: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := domicile.Config{
		Name: "trial", Topology: []byte("regions: []\n"), Account: "111122223333", Accounts: map[string]string{"eu-west-1": "000000000001"},
		Domain: &domicile.Domain{Name: "api.example.com", Zone: "Z1", Zones: map[string]string{}}, Unprotected: true, LogDays: 7,
		Operators: []string{"192.0.2.0/24", "198.51.100.7/32"},
	}
	for name, context := range map[string]map[string]any{
		"cdk.json": {
			"accounts": map[string]any{"eu-west-1": "000000000001"}, "protect": false, "logDays": 7.0,
			"operators": []any{"192.0.2.0/24", "198.51.100.7/32"},
		},
		"-c": {
			"accounts": `{"eu-west-1":"000000000001"}`, "protect": "false", "logDays": "7", "operators": "192.0.2.0/24,198.51.100.7/32",
		},
	} {
		context["name"], context["account"], context["topology"] = "trial", "111122223333", file
		context["domain"], context["zone"] = "api.example.com", "Z1"
		got, err := domicile.FromContext(awscdk.NewApp(&awscdk.AppProps{Context: prefixed(context)}).Node())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, value := range map[string]any{"protect": "perhaps", "accounts": "{", "logDays": "some", "name": 3.0, "operators": 3.0} {
		_, err := domicile.FromContext(awscdk.NewApp(&awscdk.AppProps{Context: prefixed(map[string]any{name: value})}).Node())
		if err == nil || !strings.Contains(err.Error(), "domicile:"+name) {
			t.Errorf("%s is %v: %v", name, value, err)
		}
	}
}

func prefixed(context map[string]any) *map[string]any {
	all := map[string]any{}
	for name, value := range context {
		all["domicile:"+name] = value
	}
	return &all
}
