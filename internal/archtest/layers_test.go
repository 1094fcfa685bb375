package archtest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// layer is a set of packages that stand at one height; a package imports its own layer and lower ones.
type layer struct {
	name     string
	packages []string
	why      string
}

// layers are all packages, the lowest first. A new package must be put into one.
var layers = []layer{
	{"ports", []string{
		"gen/...", "docs", "openapi", "proto", "third_party", "internal/ident", "internal/fault", "internal/call", "internal/handover", "internal/durablefile", "internal/store", "internal/queue",
		"internal/seal",
	}, "the words and promises that everything else is written in; they know nobody"},
	{"domain", []string{
		"entity", "internal/topology/...", "internal/directory", "internal/routing", "internal/residency/...", "internal/replication", "internal/repair",
		"internal/consistency", "internal/idempotency", "internal/keyspace", "internal/crdt", "internal/settings", "internal/quota", "internal/rollout", "internal/webhook", "internal/lease",
		"internal/failover", "internal/audit", "internal/cost", "internal/apidiff", "internal/credential", "internal/deployment", "internal/routeheader", "internal/protofile", "internal/projection",
		"internal/directory/tabletest", "internal/store/storetest", "internal/queue/queuetest", "internal/seal/sealtest", "internal/testclock",
	}, "what Domicile decides, testable without a network, a protocol or an engine"},
	{"service types", []string{"."}, "what a product's services meet first; it names the domain's repository and Connect's handler options"},
	{"edges and adapters", []string{
		"services/...", "internal/edge", "internal/rpc/...", "guard", "client", "internal/peer", "internal/store/...", "internal/queue/...", "internal/seal/...",
		"internal/apidoc/...", "internal/portal", "internal/codegen", "internal/scaffold",
	}, "translations between the domain and the world"},
	{"assembly", []string{"internal/app/..."}, "the only place that knows ports and adapters both"},
	{"entry points", []string{"run", "lambda/...", "domiciletest", "internal/cli", "internal/tour"}, "ways to run what was assembled"},
	{"programs", []string{"cmd/...", "functions/...", "test/...", "internal/awslocal", "internal/errordoc", "internal/archtest", "internal/lambdahost/..."}, "main packages and what looks at the whole from outside"},
}

// adapters stand between a port and an engine.
var adapters = []string{
	"internal/store/pebblestore", "internal/store/dynamostore", "internal/store/globaltable", "internal/queue/storequeue",
	"internal/store/s3snapshot", "internal/queue/sqsqueue", "internal/seal/local", "internal/seal/kms",
}

// height returns the index of a package's layer, or -1. The first layer that names it counts.
func height(name string) int {
	return slices.IndexFunc(layers, func(l layer) bool { return within(name, l.packages...) })
}

// wrongWay returns the imports that point up.
func wrongWay(name string, imports []string) []string {
	from := height(name)
	if from < 0 {
		return []string{name + " is in no layer; put it into one in layers_test.go"}
	}
	var wrong []string
	for _, path := range imports {
		to, ok := inModule(path)
		if !ok {
			continue
		}
		switch h := height(to); {
		case h > from:
			wrong = append(wrong, fmt.Sprintf("%s (%s: %s) imports %s (%s)", name, layers[from].name, layers[from].why, to, layers[h].name))
		case slices.Contains(adapters, name) && h == from:
			wrong = append(wrong, fmt.Sprintf("the adapter %s imports %s; adapters know their ports and engines, not each other", name, to))
		case slices.Contains(adapters, to) && !within(name, "internal/app/...", "lambda/...", "test/..."):
			wrong = append(wrong, fmt.Sprintf("%s imports the adapter %s; take the port, internal/app chooses the adapter", name, to))
		}
	}
	return wrong
}

// Imports point one way, so that the domain can be read, tested and moved without what is around it.
func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, wrong := range wrongWay(p.name(), p.Imports) {
			t.Error(wrong)
		}
	}
}

func TestWrongWayIsFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, imports string
		wrong         bool
	}{
		{"entity", "internal/store", false},
		{"internal/store", "entity", true},
		{"internal/routing", "internal/rpc", true},
		{"services/profile", "entity", false},
		{"services/profile", "internal/app", true},
		{"internal/app", "internal/store/pebblestore", false},
		{"internal/edge", "internal/store/pebblestore", true},
		{"internal/store/globaltable", "internal/store/pebblestore", true},
		{"internal/store/globaltable", "internal/store", false},
		{"internal/store/pebblestore", "internal/store/storetest", false},
		{"internal/directory", "internal/store/pebblestore", true},
		{"nowhere", "entity", true},
		{"gen/domicile/profile/v1", "internal/ident", false},
	}
	for _, tt := range tests {
		if got := wrongWay(tt.name, []string{module + "/" + tt.imports}); (len(got) > 0) != tt.wrong {
			t.Errorf("%s imports %s: found %q, want wrong = %v", tt.name, tt.imports, got, tt.wrong)
		}
	}
}

// knowledge says who alone may import something from outside the module.
type knowledge struct {
	prefixes []string
	allowed  []string
	why      string
}

var knowledges = []knowledge{
	{
		[]string{"github.com/cockroachdb/"},
		[]string{"internal/store/pebblestore/...", "test/..."},
		"the engine is behind the ports, so that AWS can take its place; benchmarks in test/ compare with it raw",
	},
	{
		[]string{"github.com/aws/aws-sdk-go-v2"},
		[]string{
			"internal/store/dynamostore/...", "internal/store/s3snapshot", "internal/queue/sqsqueue", "internal/seal/kms", "internal/app/aws", "internal/lambdahost", "internal/awslocal",
			"lambda/...", "test/...",
		},
		"AWS is behind the ports, so that a product runs without it",
	},
	{
		[]string{"github.com/aws/aws-lambda-go"},
		[]string{"lambda/...", "functions/...", "internal/lambdahost/...", "test/..."},
		"only the Lambda handlers run under Lambda",
	},
	{
		[]string{"connectrpc.com/"},
		[]string{
			".", "gen/...", "services/...", "internal/edge", "internal/rpc/...", "guard", "client", "internal/peer", "run", "lambda", "domiciletest",
			"internal/app/...", "internal/cli", "internal/tour", "test/...",
		},
		"the domain answers with its own errors and types, whatever the protocol; the command line and the tour are clients",
	},
	{
		[]string{"github.com/spf13/cobra", "github.com/spf13/pflag"},
		[]string{"internal/cli", "run", "cmd/..."},
		"flags are the command line's; others take a config struct",
	},
	{
		[]string{"github.com/oasdiff/"},
		[]string{"internal/apidiff"},
		"a tool of a developer's; what serves calls has no use for it",
	},
}

// Only the packages that translate to an engine or protocol know it.
func TestWhoKnowsWhat(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, path := range p.Imports {
			for _, k := range knowledges {
				if slices.ContainsFunc(k.prefixes, func(prefix string) bool { return hasPathPrefix(path, prefix) }) && !within(p.name(), k.allowed...) {
					t.Errorf("%s imports %s; only %q do: %s", p.name(), path, k.allowed, k.why)
				}
			}
		}
	}
}

// A product's services import the root package, so that it must stay light: the generated code, Connect, protobuf, the
// typed error and the repository (docs/decisions/0002-root-package-imports-entity.md).
func TestRootPackageIsLight(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if p.name() != "." {
			continue
		}
		for _, path := range p.Imports {
			to, own := inModule(path)
			switch {
			case own && within(to, "entity", "gen/...", "internal/fault"), isStandard(path),
				hasPathPrefix(path, "connectrpc.com/connect"), hasPathPrefix(path, "google.golang.org/protobuf"):
			default:
				t.Errorf("the root package imports %s; it may import gen, entity, the typed error, Connect and protobuf only", path)
			}
		}
	}
}

// The Lambda bootstrap is bound to 12 MB and 25 ms: an embedded engine has no place in it, nor has what works on API documents.
func TestLambdaDoesNotLinkPebble(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if !within(p.name(), "lambda/...", "functions/...") {
			continue
		}
		for _, path := range p.Deps {
			for _, heavy := range []string{"github.com/cockroachdb/pebble", "github.com/oasdiff", "github.com/getkin"} {
				if hasPathPrefix(path, heavy) {
					t.Errorf("%s links %s", p.name(), path)
				}
			}
		}
	}
}

// light are the packages of the edge, which is to be small and to start at once.
var light = []string{
	"internal/edge", "internal/directory", "internal/rpc", "internal/topology", "internal/routing", "internal/routeheader", "internal/residency", "guard",
	"lambda/edge", "functions/edge",
}

// heavy is what they do without: validators, transcoders, engines, YAML, and the SDK's search for credentials.
var heavy = []string{
	"buf.build/go/", "cel.dev/", "github.com/antlr4-go/", "connectrpc.com/vanguard", "connectrpc.com/otelconnect", "connectrpc.com/grpcreflect",
	"connectrpc.com/grpchealth", "connectrpc.com/validate", "github.com/cockroachdb/", "github.com/tink-crypto/", "go.yaml.in/",
	"go.opentelemetry.io/otel/sdk", "github.com/prometheus/", "github.com/spf13/", "golang.org/x/text", "github.com/aws/aws-sdk-go-v2/config",
	"github.com/aws/aws-sdk-go-v2/service/sts", "github.com/aws/aws-sdk-go-v2/service/sso", "github.com/aws/aws-sdk-go-v2/service/signin",
	module + "/internal/rpc/mount", module + "/internal/topology/topologyfile", module + "/internal/seal", module + "/entity",
}

// The edge's bootstrap is bound to 12 MB and 25 ms. What it links is loaded and initialised before the first call.
func TestTheEdgeIsLight(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if !within(p.name(), light...) {
			continue
		}
		for _, path := range p.Deps {
			for _, h := range heavy {
				if hasPathPrefix(path, h) {
					t.Errorf("%s links %s", p.name(), path)
				}
			}
		}
	}
}

// What a message says of a topology is checked where files are read; only they hand on what was checked.
func TestWhoTakesACheckedTopology(t *testing.T) {
	t.Parallel()
	for _, p := range load(t, "./...") {
		name, _ := inModule(p.PkgPath)
		if within(name, "internal/topology/...") {
			continue
		}
		for id, used := range p.TypesInfo.Uses {
			if used.Name() == "FromChecked" && used.Pkg() != nil && used.Pkg().Path() == module+"/internal/topology" {
				t.Errorf("%s: FromChecked takes what was checked; use topologyfile.New", p.Fset.Position(id.Pos()))
			}
		}
	}
}

func TestHasPathPrefix(t *testing.T) {
	t.Parallel()
	got := []bool{
		hasPathPrefix("connectrpc.com/connect", "connectrpc.com/connect"), hasPathPrefix("connectrpc.com/connect/x", "connectrpc.com/connect"),
		hasPathPrefix("connectrpc.com/connected", "connectrpc.com/connect"), hasPathPrefix("github.com/aws/x", "github.com/aws/"),
	}
	if diff := cmp.Diff([]bool{true, true, false, true}, got); diff != "" {
		t.Error(diff)
	}
}
