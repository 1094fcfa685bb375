package apigen_test

import (
	"archive/zip"
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/apidoc"
	"github.com/domicile-api/domicile/internal/apidoc/apigen"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/openapi"
)

func generate(t *testing.T, cfg apigen.Config) map[string][]byte {
	t.Helper()
	files, err := apigen.Generate(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func document(t *testing.T, files map[string][]byte, name string) *openapi3.T {
	t.Helper()
	doc, err := apidoc.Decode(files[name])
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// The same contracts give the same bytes.
func TestGenerateIsDeterministic(t *testing.T) {
	t.Parallel()
	cfg := config(t, product)
	first, second := generate(t, cfg), generate(t, cfg)
	names := make([]string, 0, 4+cfg.Topology.Len())
	names = append(names, "v1/connect.yaml", "v1/descriptors.binpb", "v1/global.yaml", "v1/proto.zip")
	for _, id := range cfg.Topology.IDs() {
		names = append(names, "v1/"+string(id)+".yaml")
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(first))); diff != "" {
		t.Errorf("other files (-want +got):\n%s", diff)
	}
	for name, data := range first {
		if !bytes.Equal(data, second[name]) {
			t.Errorf("%s differs from one time to the next", name)
		}
	}
}

// What is made of contracts with all that contracts have.
func TestProductDocument(t *testing.T) {
	t.Parallel()
	doc := document(t, generate(t, config(t, product)), "v1/global.yaml")
	schemas := doc.Components.Schemas
	ticket := schemas["acme.desk.v1.Ticket"].Value
	update := doc.Paths.Value("/v1/tickets/{id}").Patch
	change := schemas["acme.desk.v1.UpdateTicketRequest.ticket"].Value
	door := doc.Paths.Value("/v1/doors").Post
	records := doc.Paths.Value("/v1/tickets:records").Get
	tests := []struct {
		what      string
		got, want any
	}{
		{"the title", doc.Info.Title, "Acme desk"},
		{"what the platform says of every API", doc.Info.Description, "An API in several regions."},
		{"the tag's text", doc.Tags[0].Description, "Keeps the tickets of a tenant.\n\nA board shows the tickets."},
		{"a whole number of 64 bits", ticket.Properties["size"].Value.Type.Is("string"), true},
		{"a duration", strings.HasSuffix(ticket.Properties["patience"].Value.Pattern, "s$"), true},
		{"a map", ticket.Properties["labels"].Value.AdditionalProperties.Schema.Value.Type.Is("string"), true},
		{"an enum's values", len(schemas["acme.desk.v1.Priority"].Value.Enum), 3},
		{"an enum's words", strings.Contains(schemas["acme.desk.v1.Priority"].Value.Description, "- `PRIORITY_HIGH`: At once."), true},
		{"at most one of two", ticket.AllOf[0].Value.Not.Value.Required, []string{"email", "phone"}},
		{"the id's form", ticket.Properties["id"].Value.Pattern, "^tick_[0-7][0-9a-hjkmnp-tv-z]{25}$"},
		{"a class", ticket.Properties["caseNumber"].Value.Extensions[apidoc.ExtClass], "REGIONAL"},
		{"how far it goes", ticket.Properties["caseNumber"].Value.Extensions[apidoc.ExtLeaves], "jurisdiction"},
		{"the class of a reference", ticket.Properties["priority"].Extensions[apidoc.ExtClass], "GLOBAL"},
		{"what must be given", ticket.Required, []string{"question"}},
		{"a flat path", update.Parameters.GetByInAndName("path", "id") != nil, true},
		{"its example", update.Parameters.GetByInAndName("path", "id").Example, "tick_01m7zzws83e5a8gzyxssr4pr7r"},
		{"the body beside it", update.RequestBody.Value.Content["application/json"].Example, map[string]any{"priority": "PRIORITY_HIGH"}},
		{"a change is sent", update.RequestBody.Value.Required, true},
		{"a duration is not cleared by a text", strings.HasPrefix(change.Properties["patience"].Value.Pattern, "^$"), false},
		{"what may be left out may be empty", ticket.Properties["caseNumber"].Value.Pattern, "^$|^[0-9]{4}$"},
		{"a text is", change.Properties["caseNumber"].Value.Pattern, "^$|^[0-9]{4}$"},
		{"a rule of a message", strings.Contains(door.Description, "Rule: a door that closes opens before."), true},
		{"a rule of a field", strings.Contains(door.RequestBody.Value.Content["application/json"].Schema.Value.Properties["closes"].Value.Description, "noon"), true},
		{"a secret", door.Extensions[apidoc.ExtClass], "SECRET"},
		{"a list in a comment", strings.Contains(records.Description, "\n- the most urgent first,\n- the oldest of them before others."), true},
		{"the pages of a list", records.Extensions[apidoc.ExtPagination] != nil, true},
		{"an error of the overlay", doc.Paths.Value("/v1/tickets").Post.Responses.Value("429") != nil, true},
		{"a paragraph of the overlay", strings.Contains(doc.Paths.Value("/v1/tickets").Post.Description, "read by a person"), true},
		{"an error that does not occur", slices.Contains(door.Extensions[apidoc.ExtErrors].([]any), any("STORAGE_FULL")), false},
		{"one that does", slices.Contains(door.Extensions[apidoc.ExtErrors].([]any), any("OUTCOME_UNKNOWN")), true},
		{"an id that is not found", update.Responses.Value("404") != nil, true},
		{"nothing is found by a path without one", strings.Contains(door.Responses.Value("404").Ref, "NOT_FOUND"), false},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
	}
	for path := range doc.Paths.Map() {
		if strings.Contains(strings.ToLower(path), "watch") {
			t.Errorf("a stream is documented: %s", path)
		}
	}
}

// A Connect call has the whole message where a REST call has its parts.
func TestConnectDocument(t *testing.T) {
	t.Parallel()
	doc := document(t, generate(t, config(t, product)), "v1/connect.yaml")
	update := doc.Paths.Value("/acme.desk.v1.DeskService/UpdateTicket")
	want := map[string]any{"ticket": map[string]any{"id": "tick_01m7zzws83e5a8gzyxssr4pr7r", "priority": "PRIORITY_HIGH"}, "updateMask": "priority"}
	if diff := cmp.Diff(want, update.Post.RequestBody.Value.Content["application/json"].Example); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	read := doc.Paths.Value("/acme.desk.v1.DeskService/GetTicket")
	if update.Get != nil || read.Get == nil || read.Get.OperationID != "GetTicketByGet" || read.Get.Parameters.GetByInAndName("query", "message") == nil {
		t.Error("a read can be a GET, and only a read")
	}
}

// A product's API has the services of the platform that its tenants and operators call, and no others.
func TestPlatformServicesAreAdded(t *testing.T) {
	t.Parallel()
	cfg := config(t, product)
	cfg.Platform = openapi.Files
	got, err := apigen.PublicServices(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"acme.desk.v1.DeskService", "domicile.settings.v1.SettingsService", "domicile.tenancy.v1.TenancyService"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	cfg.Contracts = filepath.Join("..", "..", "..", "proto")
	if got, err = apigen.PublicServices(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	want = []string{"domicile.profile.v1.ProfileService", "domicile.settings.v1.SettingsService", "domicile.tenancy.v1.TenancyService"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the platform's own (-want +got):\n%s", diff)
	}
}

// The bundle has what a compiler needs, and the text of the contracts as it is.
func TestBundle(t *testing.T) {
	t.Parallel()
	data := generate(t, config(t, product))["v1/proto.zip"]
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"acme/desk/v1/desk.proto", "domicile/policy/v1/policy.proto", "domicile/errors/v1/errors.proto", "buf/validate/validate.proto", "google/api/annotations.proto",
	} {
		if _, err := archive.Open(name); err != nil {
			t.Errorf("the bundle lacks %s: %v", name, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(product, "proto", "acme", "desk", "v1", "desk.proto"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := archive.Open("acme/desk/v1/desk.proto")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := got.ReadFrom(file); err != nil || got.String() != string(text) {
		t.Errorf("the bundle has another text of the contract (%v)", err)
	}
}

// Documents of some regions only.
func TestSomeRegions(t *testing.T) {
	t.Parallel()
	cfg := config(t, product)
	cfg.Regions = []ident.RegionID{"sa-east-1"}
	files := generate(t, cfg)
	if files["v1/sa-east-1.yaml"] == nil || files["v1/us-east-1.yaml"] != nil || files["v1/global.yaml"] == nil {
		t.Errorf("got %v", slices.Sorted(maps.Keys(files)))
	}
}

// Each reason of the contract has a text, so that an overlay can name any.
func TestEachReasonHasASample(t *testing.T) {
	t.Parallel()
	for number, name := range errorsv1.Reason_name {
		if number != 0 && apigen.SampleTexts[errorsv1.Reason(number)] == "" {
			t.Errorf("%s has no text for its example; add it to sampleTexts", name)
		}
	}
}

// The generator itself is another program; here it answers what it wrote once.
func BenchmarkGenerate(b *testing.B) {
	cfg := config(b, product)
	for b.Loop() {
		if _, err := apigen.Generate(b.Context(), cfg); err != nil {
			b.Fatal(err)
		}
	}
}
