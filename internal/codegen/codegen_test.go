package codegen_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/pluginpb"

	_ "github.com/domicile-api/domicile/gen/domicile/policy/v1" // imported by a contract
	"github.com/domicile-api/domicile/internal/codegen"
	"github.com/domicile-api/domicile/internal/protofile"
)

// asPlugin, set in the environment, makes the test binary a plugin. Its value says what the plugin does wrong.
const asPlugin = "DOMICILE_TEST_AS_PLUGIN"

func TestMain(m *testing.M) {
	if how, ok := os.LookupEnv(asPlugin); ok {
		plugin(how)
		return
	}
	os.Exit(m.Run())
}

// plugin writes for each file a text that says what it was asked.
func plugin(how string) {
	in, err := io.ReadAll(os.Stdin)
	request := &pluginpb.CodeGeneratorRequest{}
	if err != nil || proto.Unmarshal(in, request) != nil {
		os.Exit(2)
	}
	response := &pluginpb.CodeGeneratorResponse{}
	switch how {
	case "refuses":
		response.Error = new("I will not")
	case "dies":
		_, _ = io.WriteString(os.Stderr, "out of ink\n")
		os.Exit(3)
	case "babbles":
		_, _ = io.WriteString(os.Stdout, "\xff")
		return
	}
	var order []string
	for _, f := range request.GetProtoFile() {
		order = append(order, f.GetName())
	}
	for _, name := range request.GetFileToGenerate() {
		response.File = append(response.File, &pluginpb.CodeGeneratorResponse_File{
			Name: new(name + ".txt"), Content: new(request.GetParameter() + ": " + strings.Join(order, " ")),
		})
	}
	out, err := proto.Marshal(response)
	if err != nil {
		os.Exit(2)
	}
	_, _ = os.Stdout.Write(out)
}

const shop = `syntax = "proto3";
package shop.v1;
import "domicile/policy/v1/policy.proto";
import "shop/v1/things.proto";
message Order {
  string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  Thing thing = 2 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
}
`

// product writes a small product and returns its folder.
func product(t *testing.T, template string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"proto/shop/v1/shop.proto":   shop,
		"proto/shop/v1/things.proto": "syntax = \"proto3\";\npackage shop.v1;\nmessage Thing {}\n",
		"buf.gen.yaml":               template,
		"gen/old.txt":                "made by nobody",
	} {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const head = "version: v2\nclean: true\ninputs:\n  - directory: proto\nplugins:\n"

func TestRun(t *testing.T) {
	t.Setenv(asPlugin, "")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := product(t, head+"  - local: ["+self+"]\n    out: gen\n    opt: [module=shop, simple]\n")
	template, err := codegen.ReadTemplate(filepath.Join(dir, "buf.gen.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	set, err := protofile.Read([]string{filepath.Join(dir, template.Inputs[0])}, nil)
	if err != nil {
		t.Fatal(err)
	}
	made, err := template.Run(t.Context(), dir, set)
	if err != nil {
		t.Fatal(err)
	}
	const says = "module=shop,simple: google/protobuf/descriptor.proto domicile/policy/v1/policy.proto shop/v1/things.proto shop/v1/shop.proto"
	want := map[string][]byte{"gen/shop/v1/shop.proto.txt": []byte(says), "gen/shop/v1/things.proto.txt": []byte(says)}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	all := []string{"gen/old.txt", "gen/shop/v1/shop.proto.txt", "gen/shop/v1/things.proto.txt"}
	for _, expected := range [][]string{all, nil} {
		stale, err := template.Stale(dir, made)
		if err != nil {
			t.Fatal(err)
		}
		written, err := template.Write(dir, made)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(expected, stale); diff != "" || !cmp.Equal(stale, written) {
			t.Errorf("stale (-want +got), and then written %v:\n%s", written, diff)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "gen/old.txt")); err == nil {
		t.Error("what no plugin makes is still there")
	}
}

func TestRunSaysWhatFailed(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	one := "  - local: " + self + "\n    out: gen\n"
	for name, c := range map[string]struct{ how, plugins, want string }{
		"refuses":  {"refuses", one, self + ": I will not"},
		"dies":     {"dies", one, "exit status 3\nout of ink"},
		"babbles":  {"babbles", one, "reading its answer"},
		"missing":  {"", "  - local: no-such-plugin\n    out: gen\n", "no-such-plugin: running it"},
		"one file": {"", one + one, "which another plugin has made already"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(asPlugin, c.how)
			dir := product(t, head+c.plugins)
			template, err := codegen.ReadTemplate(filepath.Join(dir, "buf.gen.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			set, err := protofile.Read([]string{filepath.Join(dir, "proto")}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if made, err := template.Run(t.Context(), dir, set); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("made %d files, or failed without %q: %v", len(made), c.want, err)
			}
		})
	}
}

func TestReadTemplateRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"no YAML":           {"plugins: [", "buf.gen.yaml"},
		"an old version":    {"version: v1\n", `the version is "v1"`},
		"a remote plugin":   {"version: v2\nplugins:\n  - remote: buf.build/x\n    out: gen\n", "field remote not found"},
		"a module as input": {"version: v2\ninputs:\n  - module: buf.build/x\n", "field module not found"},
		"out is all":        {"version: v2\nplugins:\n  - local: x\n    out: .\n", "a folder below this one"},
		"out is outside":    {"version: v2\nplugins:\n  - local: x\n    out: ../gen\n", "a folder below this one"},
		"no program":        {"version: v2\nplugins:\n  - out: gen\n", "plugin 1 must have local"},
		"a map as program":  {"version: v2\nplugins:\n  - local: {a: b}\n    out: gen\n", "line 3 is neither a text nor a list"},
	} {
		dir := product(t, c.text)
		if _, err := codegen.ReadTemplate(filepath.Join(dir, "buf.gen.yaml")); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := codegen.ReadTemplate(filepath.Join(t.TempDir(), "none.yaml")); err == nil {
		t.Error("a file that is not there was read")
	}
}
