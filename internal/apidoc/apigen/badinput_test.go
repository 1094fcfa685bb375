package apigen_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/internal/apidoc/apigen"
	"github.com/domicile-api/domicile/internal/ident"
)

const (
	contract = "proto/acme/desk/v1/desk.proto"
	beside   = "openapi/overlay.yaml"
)

// copied is the product in a folder of the test, with one text replaced by another in a file.
func copied(t *testing.T, file, from, to string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{contract, beside} {
		data, err := os.ReadFile(filepath.Join(product, name))
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if name == file {
			if !strings.Contains(text, from) {
				t.Fatalf("%s has no %q", file, from)
			}
			text = strings.Replace(text, from, to, 1)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// lineOf returns the line of the first text in a file.
func lineOf(t *testing.T, path, text string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(data), text)
	if !found {
		t.Fatalf("%s has no %q", path, text)
	}
	return strings.Count(before, "\n") + 1
}

// Each mistake is told with the file and the line that it stands in.
func TestBadInput(t *testing.T) {
	t.Parallel()
	const undocumented = "has no comment"
	tests := []struct {
		name, file, from, to string
		// at begins the line that is told.
		at, want string
	}{
		{"a field without a comment", contract, "  // What is asked.\n", "", "string question", undocumented},
		{"a method without one", contract, "  // Answers a ticket.\n", "", "rpc GetTicket(", undocumented},
		{"a message without one", contract, "// What GetTicket takes.\n", "", "message GetTicketRequest", undocumented},
		{"a service without one", contract, "// Keeps the tickets of a tenant.\n", "", "service DeskService", undocumented},
		{"an enum without one", contract, "// How soon a ticket is looked at.\n", "", "enum Priority", undocumented},
		{"a value without one", contract, "  // At once.\n", "", "PRIORITY_HIGH", undocumented},
		{"a contract that does not compile", contract, "message Ticket {", "message Ticket [", "message Ticket [", "syntax error"},
		{"a type that there is not", contract, "string question", "strong question", "strong question", "unknown type strong"},
		{"a field without a class", contract, "patience = 6 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL]", "patience = 6", "google.protobuf.Duration patience", "has no data class"},
		{"a path with a field that is missing", contract, `post: "/v1/doors"`, `post: "/v1/doors/{door}"`, "rpc OpenDoor(", "has {door}, and OpenDoorRequest has no such field"},
		{"a body that is missing", contract, `body: "ticket"`, `body: "tocket"`, "rpc CreateTicket(", `is "tocket", and CreateTicketRequest has`},
		{"an answer that is missing", contract, `response_body: "ticket"`, `response_body: "tocket"`, "rpc CreateTicket(", `is "tocket", and CreateTicketResponse has`},
		{"two methods that one call reaches", contract, `get: "/v1/tickets:records"`, `get: "/v1/tickets/{page_token}"`, "rpc ListTicketRecords(", "both called by GET"},
		{"a path of another version", contract, `post: "/v1/doors"`, `post: "/v2/doors"`, "rpc OpenDoor(", "does not begin with /v1/"},
		{"an operation that is missing", beside, "  OpenDoor:", "  OpenGate:", "OpenGate:", "there is no operation OpenGate"},
		{"an operation that says nothing", beside, "  OpenDoor:\n    never: [STORAGE_FULL]\n    request: {opens: 8, closes: 18}\n    response: {secret: open-sesame}\n", "  OpenDoor:\n", "OpenDoor:", "says nothing"},
		{"two operations with one id", beside, "  OpenDoor:\n", "  OpenDoor:\n    operationId: GetTicket\n", "operationId:", "both have the operation id GetTicket"},
		{"a key that is not known", beside, "    never: [STORAGE_FULL]", "    nevr: [STORAGE_FULL]", "nevr:", "nevr not found"},
		{"a reason that is not known", beside, "never: [STORAGE_FULL]", "never: [STORAGE_FUL]", "never:", "there is no reason STORAGE_FUL"},
		{"YAML that is none", beside, "  title: Acme desk", "  title: [Acme desk", "info:", "did not find"},
		{"a tag that is missing", beside, "  Desk: A board", "  Disk: A board", "Disk:", "there is no tag Disk"},
		{"a message that is missing", beside, "tags:\n", "schemas:\n  acme.desk.v1.Tickets: {readOnly: [id]}\n\ntags:\n", "acme.desk.v1.Tickets:", "there is no message"},
		{"a property that is missing", beside, "tags:\n", "schemas:\n  acme.desk.v1.Ticket: {readOnly: [ip]}\n\ntags:\n", "acme.desk.v1.Ticket:", "has no property ip"},
		{"a pattern that is none", beside, "tags:\n", "schemas:\n  acme.desk.v1.Ticket:\n    patterns: {id: '['}\n\ntags:\n", "patterns:", "the pattern of id is none"},
		{"a description that speaks of residency", beside, "The question is read by a person.", "'**Where it is answered.** Here.'", "description:", "does not say"},
		{"an example with an unknown field", beside, "response: {secret: open-sesame}", "response:\n      secrt: open-sesame", "secrt:", "the example is not a acme.desk.v1.OpenDoorResponse"},
		{"an example that breaks a rule", beside, "request: {opens: 8, closes: 18}", "request:\n      opens: 8\n      closes: 12", "closes: 12", "a door does not close at noon"},
		{"an example that breaks a rule of its message", beside, "opens: 8, closes: 18", "opens: 9, closes: 3", "request: {opens: 9", "a door that closes opens before"},
		{"an example without what must be given", beside, `question: "Where is my order?", `, "", "ticket: {caseNumber", "value is required"},
		{"an example that is no form of its type", beside, `size: "12"`, "size: many", "ticket: {question", "the example is not a acme.desk.v1.CreateTicketRequest"},
		{"an example that the schema refuses", beside, "ticket: {id: tick_01m7zzws83e5a8gzyxssr4pr7r, priority", "ticket: {id: tick_1, priority", "ticket: {id: tick_1", "does not validate"},
		{"a mask of another message", beside, "updateMask: priority", "updateMask: prioritee", "updateMask:", "does not validate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := copied(t, tt.file, tt.from, tt.to)
			path := filepath.Join(dir, tt.file)
			where := fmt.Sprintf("%s:%d:", filepath.Base(path), lineOf(t, path, tt.at))
			files, err := apigen.Generate(t.Context(), config(t, dir))
			if err == nil || !strings.Contains(err.Error(), where) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q at %q", err, tt.want, where)
			}
			if files != nil {
				t.Error("documents were made all the same")
			}
		})
	}
}

// All comments that are missing are told at once.
func TestAllProblemsAreTold(t *testing.T) {
	t.Parallel()
	dir := copied(t, contract, "  // An e-mail address.\n", "")
	path := filepath.Join(dir, contract)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), "  // A telephone number.\n", "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = apigen.Generate(t.Context(), config(t, dir)); err == nil || strings.Count(err.Error(), "has no comment") != 2 {
		t.Errorf("got %v, want both fields that have no comment", err)
	}
}

// What is wrong besides contracts and overlay.
func TestBadConfig(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*apigen.Config)
		want   string
	}{
		"a region that is not there":    {func(c *apigen.Config) { c.Regions = []ident.RegionID{"mars-north-1"} }, `the document of "mars-north-1": the topology has no such region; it has [eu-central-1`},
		"no contracts":                  {func(c *apigen.Config) { c.Contracts = t.TempDir() }, "there is no .proto file"},
		"a folder that is not there":    {func(c *apigen.Config) { c.Contracts = filepath.Join(t.TempDir(), "proto") }, "looking for contracts"},
		"an overlay that is not there":  {func(c *apigen.Config) { c.Overlay = filepath.Join(t.TempDir(), "o.yaml") }, "reading the overlay"},
		"imports that are not there":    {func(c *apigen.Config) { c.Imports = []string{filepath.Join(t.TempDir(), "third")} }, "a folder of imports"},
		"a generator that is not there": {func(c *apigen.Config) { c.Plugin = []string{"./no-such-generator"} }, "running ./no-such-generator"},
		"a generator that fails":        {func(c *apigen.Config) { c.Plugin = []string{os.Args[0], asGenerator, "nowhere"} }, "nowhere"},
		"a generator that writes nothing": {func(c *apigen.Config) {
			dir := t.TempDir()
			for _, name := range []string{"rest.yaml", "connect.yaml"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("openapi: 3.1.0\ninfo: {title: T, version: v1}\npaths: {}\ncomponents: {}\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c.Plugin = []string{os.Args[0], asGenerator, dir}
		}, "desk.proto"},
	}
	for name, tt := range tests {
		cfg := config(t, product)
		tt.change(&cfg)
		if _, err := apigen.Generate(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want it to say %q", name, err, tt.want)
		}
	}
}
