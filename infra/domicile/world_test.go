package domicile_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/domicile-api/domicile/infra/domicile"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

const account = "111122223333"

func TestMain(m *testing.M) {
	code := m.Run()
	jsii.Close()
	os.Exit(code)
}

// world is what a deployment's templates say, read as CloudFormation reads them.
type world struct {
	d         *domicile.Deployment
	templates map[string]template // by stack
	texts     map[string][]byte
}

type template struct {
	Resources map[string]resource `json:"Resources"` //nolint:tagliatelle // CloudFormation's names
	Outputs   map[string]output   `json:"Outputs"`   //nolint:tagliatelle // CloudFormation's names
}

type resource struct {
	Type           string         `json:"Type"`           //nolint:tagliatelle // CloudFormation's names
	Properties     map[string]any `json:"Properties"`     //nolint:tagliatelle // CloudFormation's names
	DeletionPolicy string         `json:"DeletionPolicy"` //nolint:tagliatelle // CloudFormation's names
}

type output struct {
	Value  any      `json:"Value"`  //nolint:tagliatelle // CloudFormation's names
	Export exported `json:"Export"` //nolint:tagliatelle // CloudFormation's names
}

type exported struct {
	Name string `json:"Name"` //nolint:tagliatelle // CloudFormation's names
}

// full is the configuration of a whole deployment of the built-in topology, with programs that only stand for the functions.
func full(functions string) domicile.Config {
	return domicile.Config{
		Topology: withEndpoints(topologyfile.DefaultYAML(), "api.example.com"), Account: account, Functions: functions, AlarmEmail: "operations@example.com",
		Domain:    &domicile.Domain{Name: "api.example.com", Zone: "Z0123456789ABCDEFGHIJ"},
		Operators: []string{"192.0.2.0/24"},
		Image:     account + ".dkr.ecr.{region}.amazonaws.com/domicile:1.0.0",
	}
}

var firstLine = regexp.MustCompile(`(?m)^  - id: (\S+)$`)

// withEndpoints is a topology file that says where regions are under a domain.
func withEndpoints(file []byte, domain string) []byte {
	return firstLine.ReplaceAll(file, []byte("  - id: $1\n    endpoint: https://$1."+domain+"\n    services_endpoint: https://services.$1."+domain))
}

// shared is the whole deployment, which takes seconds to write: tests share it and change nothing in it.
var shared = sync.OnceValues(func() (*world, error) {
	dir, err := os.MkdirTemp("", "domicile-infra-test")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := standIns(dir); err != nil {
		return nil, err
	}
	return synthesize(full(dir), filepath.Join(dir, "out"))
})

func sharedWorld(t *testing.T) *world {
	t.Helper()
	w, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func standIns(dir string) error {
	for _, name := range []string{"edge", "relay", "apply", "sweep"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name, "bootstrap"), []byte("stands for "+name+"\n"), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// kernel is held while an app is made: CDK runs in one process beside this one, which answers one caller at a time.
var kernel sync.Mutex

func synthesize(cfg domicile.Config, out string) (*world, error) {
	d, err := domicile.New(cfg)
	if err != nil {
		return nil, err
	}
	kernel.Lock()
	defer kernel.Unlock()
	app := awscdk.NewApp(&awscdk.AppProps{
		Outdir: jsii.String(out), AnalyticsReporting: jsii.Bool(false), TreeMetadata: jsii.Bool(false),
		Context: &map[string]any{"@aws-cdk/core:defaultCrossStackReferences": "strong"},
	})
	if _, err := domicile.NewPlatform(app, d); err != nil {
		return nil, err
	}
	app.Synth(nil)
	w := &world{d: d, templates: map[string]template{}, texts: map[string][]byte{}}
	files, err := filepath.Glob(filepath.Join(out, "*.template.json"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var t template
		if err := json.Unmarshal(data, &t); err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(filepath.Base(file), ".template.json")
		w.templates[name], w.texts[name] = t, data
	}
	return w, nil
}

// resolve turns a value of a template into text: what is made elsewhere stands as <stack>/<logical id>.<attribute>.
func (w *world) resolve(stack string, value any) string {
	switch v := value.(type) {
	case string:
		return v
	case map[string]any:
		if name, ok := v["Ref"].(string); ok {
			return stack + "/" + name
		}
		if parts, ok := v["Fn::GetAtt"].([]any); ok {
			return fmt.Sprintf("%s/%v.%v", stack, parts[0], parts[1])
		}
		if name, ok := v["Fn::ImportValue"].(string); ok {
			return w.exported(name)
		}
		if join, ok := v["Fn::Join"].([]any); ok {
			var b strings.Builder
			for _, part := range join[1].([]any) {
				b.WriteString(w.resolve(stack, part))
			}
			return b.String()
		}
	}
	return fmt.Sprintf("?%v", value)
}

func (w *world) exported(name string) string {
	for stack, t := range w.templates {
		for _, o := range t.Outputs {
			if o.Export.Name == name {
				return w.resolve(stack, o.Value)
			}
		}
	}
	return "?" + name
}

// statement is one of a policy in a template.
type statement struct {
	stack, owner string // the resource that has the policy
	sid, effect  string
	actions      []string
	resources    []string
	principals   []string
	conditions   map[string]map[string][]string
}

func (w *world) statements(stack, owner string, document any) []statement {
	list, _ := document.(map[string]any)["Statement"].([]any)
	all := make([]statement, 0, len(list))
	for _, entry := range list {
		m := entry.(map[string]any)
		s := statement{stack: stack, owner: owner, effect: m["Effect"].(string), conditions: map[string]map[string][]string{}}
		s.sid, _ = m["Sid"].(string)
		s.actions, s.resources = w.list(stack, m["Action"]), w.list(stack, m["Resource"])
		switch p := m["Principal"].(type) {
		case string:
			s.principals = []string{p}
		case map[string]any:
			for kind, who := range p {
				for _, one := range w.list(stack, who) {
					s.principals = append(s.principals, kind+" "+one)
				}
			}
		}
		conditions, _ := m["Condition"].(map[string]any)
		for operator, keys := range conditions {
			s.conditions[operator] = map[string][]string{}
			for key, values := range keys.(map[string]any) {
				s.conditions[operator][key] = w.list(stack, values)
			}
		}
		all = append(all, s)
	}
	return all
}

func (w *world) list(stack string, value any) []string {
	many, ok := value.([]any)
	if !ok {
		if value == nil {
			return nil
		}
		many = []any{value}
	}
	all := make([]string, len(many))
	for i, v := range many {
		all[i] = w.resolve(stack, v)
	}
	return all
}

// roles returns the statements of each role, by the role's name.
func (w *world) roles() map[string][]statement {
	all := map[string][]statement{}
	for stack, t := range w.templates {
		for id, r := range t.Resources {
			switch r.Type {
			case "AWS::IAM::Role":
				name, _ := r.Properties["RoleName"].(string)
				policies, _ := r.Properties["Policies"].([]any)
				for _, p := range policies {
					all[name] = append(all[name], w.statements(stack, name, p.(map[string]any)["PolicyDocument"])...)
				}
				if managed, ok := r.Properties["ManagedPolicyArns"]; ok {
					all[name] = append(all[name], statement{stack: stack, owner: name, sid: fmt.Sprintf("managed %v", managed), actions: []string{"*"}})
				}
			case "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy":
				all[id] = append(all[id], w.statements(stack, id, r.Properties["PolicyDocument"])...)
			}
		}
	}
	return all
}

// find returns the resources of a type in a stack, by logical id.
func (w *world) find(stack, kind string) map[string]resource {
	all := map[string]resource{}
	for id, r := range w.templates[stack].Resources {
		if r.Type == kind {
			all[id] = r
		}
	}
	return all
}
