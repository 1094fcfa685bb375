package apidiff_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/apidiff"
)

// base is the text of testdata/base.yaml with edits: pairs of what is there, once at least, and what is put in its place everywhere.
func base(t *testing.T, edits ...string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "base.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for i := 0; i+1 < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("base.yaml has no %q", edits[i])
		}
		text = strings.ReplaceAll(text, edits[i], edits[i+1])
	}
	return text
}

func parse(t *testing.T, name, text string) *apidiff.Document {
	t.Helper()
	d, err := apidiff.Parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// found is a change in short.
func found(changes []apidiff.Change) []string {
	var all []string //nolint:prealloc // None is nil.
	for _, c := range changes {
		all = append(all, string(c.Effect)+" "+c.Rule+" ["+strings.Join(c.Operations, ", ")+"]")
	}
	return all
}

const (
	everyUser = "[GET /v1/users, POST /v1/users, GET /v1/users/{id}]"
	role      = "role: {type: string, enum: [ROLE_MEMBER, ROLE_ADMIN], x-data-class: GLOBAL, x-leaves-region: anywhere}"
	email     = "email: {type: string, maxLength: 254, x-data-class: PII, x-leaves-region: never}"
	pageSize  = "        - {name: pageSize, in: query, schema: {type: integer, maximum: 100}, x-data-class: GLOBAL, x-leaves-region: anywhere}\n"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		edits []string
		want  []string
	}{
		{"nothing", nil, nil},
		{"a text", []string{"Lists users.", "Lists the tenant's users."}, nil},
		{"an operation is gone", []string{"    post:\n      operationId: CreateUser\n", "    put:\n      operationId: PutUser\n"}, []string{
			"breaking api-removed-without-deprecation [POST /v1/users]", "compatible endpoint-added [PUT /v1/users]",
		}},
		{"an operation is deprecated", []string{"operationId: GetUser", "operationId: GetUser\n      deprecated: true"}, []string{
			"compatible endpoint-deprecated [GET /v1/users/{id}]",
		}},
		{"a parameter is gone", []string{pageSize, ""}, []string{"risky request-parameter-removed [GET /v1/users]"}},
		{"a parameter is required", []string{"name: kind, in: query,", "name: kind, in: query, required: true,"}, []string{
			"breaking request-parameter-became-required [GET /v1/users]",
		}},
		{"a parameter is tighter", []string{"maximum: 100", "maximum: 50"}, []string{"breaking request-parameter-max-decreased [GET /v1/users]"}},
		{"a path's parameter has another name", []string{"/v1/users/{id}:", "/v1/users/{user}:", "name: id, in: path", "name: user, in: path"}, nil},
		{"a property is tighter", []string{"maxLength: 254", "maxLength: 100"}, []string{
			"breaking request-property-max-length-decreased [POST /v1/users]",
			"compatible response-property-max-length-decreased [GET /v1/users]",
			"compatible response-property-max-length-decreased [POST /v1/users, GET /v1/users/{id}]",
		}},
		{"a property is new", []string{role, role + "\n        nick: {type: string, x-data-class: PII}"}, []string{
			"compatible response-optional-property-added [GET /v1/users]",
			"compatible new-optional-request-property [POST /v1/users]",
			"compatible response-optional-property-added [POST /v1/users, GET /v1/users/{id}]",
		}},
		{"a class is loosened", []string{"PII, x-leaves-region: never}\n        role", "GLOBAL, x-leaves-region: anywhere}\n        role"}, []string{
			"breaking x-data-class-loosened " + everyUser, "breaking x-leaves-region-widened " + everyUser,
		}},
		{"a class is tightened", []string{"city: {type: string, x-data-class: REGIONAL, x-leaves-region: jurisdiction}", "city: {type: string, x-data-class: PII, x-leaves-region: never}"}, []string{
			"compatible x-data-class-tightened " + everyUser, "compatible x-leaves-region-narrowed " + everyUser,
		}},
		{"a class beside a reference is loosened", []string{"x-data-class: REGIONAL\n", "x-data-class: GLOBAL\n"}, []string{
			"breaking x-data-class-loosened " + everyUser,
		}},
		{"a class is stated no more", []string{email, "email: {type: string, maxLength: 254, x-leaves-region: never}"}, []string{
			"breaking x-data-class-removed " + everyUser,
		}},
		{"a parameter's class is loosened", []string{"enum: [member, guest], x-data-class: GLOBAL", "enum: [member, guest]"}, []string{
			"breaking x-data-class-removed [GET /v1/users]",
		}},
		{"a class in an answer that is a component", []string{"code: {type: integer, x-data-class: GLOBAL, x-leaves-region: anywhere}", "code: {type: integer, x-data-class: GLOBAL, x-leaves-region: never}"}, []string{
			"compatible x-leaves-region-narrowed " + everyUser,
		}},
		{"a call is answered elsewhere", []string{"x-route: nearest", "x-route: home"}, []string{"breaking x-route-changed [GET /v1/users/{id}]"}},
		{"an operation's class is loosened", []string{"x-route: nearest\n      x-data-class: PII", "x-route: nearest\n      x-data-class: GLOBAL"}, []string{
			"breaking x-data-class-loosened [GET /v1/users/{id}]",
		}},
		{"a repetition is no longer recognised", []string{"      x-idempotency: keyed\n", ""}, []string{"breaking x-idempotency-removed [POST /v1/users]"}},
		{"a call costs more", []string{"x-cost: 2", "x-cost: 5"}, []string{"risky x-cost-raised [GET /v1/users]"}},
		{"a call costs what it does without saying", []string{"      x-cost: 2\n", ""}, []string{"compatible x-cost-lowered [GET /v1/users]"}},
		{"regions", []string{"{id: ap-southeast-1, place: Singapore, jurisdiction: SG}", "{id: sa-east-1, jurisdiction: BR}", "Virginia, jurisdiction: US", "Virginia, jurisdiction: CA"}, []string{
			"breaking region-jurisdiction-changed []", "breaking region-removed []", "compatible region-added []",
		}},
		{"a sunset", []string{"operationId: GetUser", "operationId: GetUser\n      deprecated: true\n      x-sunset: \"2001-01-01\""}, []string{
			"compatible endpoint-deprecated [GET /v1/users/{id}]", "compatible x-sunset-stated [GET /v1/users/{id}]",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := apidiff.Compare(parse(t, "a.yaml", base(t)), parse(t, "b.yaml", base(t, tt.edits...)), time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, found(r.Changes)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := r.Breaking + r.Risky + r.Compatible; got != len(r.Changes) {
				t.Errorf("counted %d of %d changes", got, len(r.Changes))
			}
		})
	}
}

// A person finds the place: the text names the property by its message, and the line is the newer document's.
func TestChangesSayWhatAndWhere(t *testing.T) {
	t.Parallel()
	newer := base(t, email, "email: {type: string, maxLength: 254, x-data-class: GLOBAL, x-leaves-region: never}", "x-route: nearest", "x-route: any")
	r, err := apidiff.Compare(parse(t, "a.yaml", base(t)), parse(t, "b.yaml", newer), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	want := []apidiff.Change{
		{
			Effect: apidiff.Breaking, Rule: "x-data-class-loosened", Operations: []string{"GET /v1/users", "POST /v1/users", "GET /v1/users/{id}"},
			Text: "x-data-class was loosened from PII to GLOBAL for User.email", At: at(newer, "email:"),
		},
		{
			Effect: apidiff.Breaking, Rule: "x-route-changed", Operations: []string{"GET /v1/users/{id}"},
			Text: "x-route changed from nearest to any for the operation", At: at(newer, "x-route: any"),
		},
	}
	if diff := cmp.Diff(want, r.Changes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// at is the place of a text in a document.
func at(document, text string) string {
	before, _, _ := strings.Cut(document, text)
	return fmt.Sprintf("b.yaml:%d", strings.Count(before, "\n")+1)
}

// Where an operation is, as the global document declares it.
func TestCompareAvailability(t *testing.T) {
	t.Parallel()
	in := func(regions string) string {
		return base(t, declare(getOne, "{regions: ["+regions+"], reason: rollout}")...)
	}
	const breaking, compatible = "breaking x-availability-narrowed [GET /v1/users/{id}]", "compatible x-availability-widened [GET /v1/users/{id}]"
	tests := []struct {
		name, older, newer string
		want               []string
	}{
		{"everywhere, then not", base(t), in("us-east-1"), []string{breaking}},
		{"not everywhere, then so", in("us-east-1"), base(t), []string{compatible}},
		{"one more", in("us-east-1"), in("eu-central-1, us-east-1"), []string{compatible}},
		{"one fewer", in("eu-central-1, us-east-1"), in("us-east-1"), []string{breaking}},
		{"another", in("eu-central-1"), in("us-east-1"), []string{breaking, compatible}},
		{"the same in another order", in("eu-central-1, us-east-1"), in("us-east-1, eu-central-1"), nil},
	}
	for _, tt := range tests {
		r, err := apidiff.Compare(parse(t, "a.yaml", tt.older), parse(t, "b.yaml", tt.newer), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, found(r.Changes)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// What a sunset allows depends on the day that is given, and on no clock.
func TestSunset(t *testing.T) {
	t.Parallel()
	deprecated := func(day string) string {
		return base(t, "operationId: CreateUser", "operationId: CreateUser\n      deprecated: true\n      x-sunset: \""+day+"\"")
	}
	gone := base(t, "    post:\n      operationId: CreateUser\n", "    put:\n      operationId: PutUser\n")
	added := "compatible endpoint-added [PUT /v1/users]"
	removed := "compatible api-removed-with-deprecation [POST /v1/users]"
	early := "breaking x-sunset-not-reached [POST /v1/users]"
	tests := []struct {
		name, older, newer, day string
		want                    []string
	}{
		{"gone before it", deprecated("2031-05-01"), gone, "2031-04-30", []string{early, removed, added}},
		{"gone on the day", deprecated("2031-05-01"), gone, "2031-05-01", []string{removed, added}},
		{"gone, the day not known", deprecated("2001-05-01"), gone, "", []string{early, removed, added}},
		{"stays as it is, long ago", deprecated("2001-05-01"), deprecated("2001-05-01"), "2031-05-01", nil},
		{"earlier", deprecated("2031-05-01"), deprecated("2031-04-01"), "", []string{"breaking x-sunset-earlier [POST /v1/users]"}},
		{"later", deprecated("2001-05-01"), deprecated("2001-06-01"), "", []string{"compatible x-sunset-later [POST /v1/users]"}},
		{"taken back", deprecated("2001-05-01"), base(t), "", []string{
			"compatible endpoint-reactivated [POST /v1/users]", "compatible x-sunset-removed [POST /v1/users]",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var day time.Time
			if tt.day != "" {
				day, _ = time.Parse(time.DateOnly, tt.day)
			}
			r, err := apidiff.Compare(parse(t, "a.yaml", tt.older), parse(t, "b.yaml", tt.newer), day)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, found(r.Changes)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The same documents give the same report, whatever order maps are walked in, and are not changed by it.
func TestCompareIsDeterministic(t *testing.T) {
	t.Parallel()
	older, newer := parse(t, "a.yaml", base(t)), parse(t, "b.yaml", base(t, "PII", "GLOBAL", "never", "anywhere", "maxLength: 254", "maxLength: 2", pageSize, ""))
	first, err := apidiff.Compare(older, newer, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Changes) < 8 {
		t.Fatalf("found %d changes; the order of so few says nothing", len(first.Changes))
	}
	for range 20 {
		again, err := apidiff.Compare(older, newer, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Fatalf("(-first +again):\n%s", diff)
		}
	}
}

func TestBadStatements(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		edits []string
		text  string // where
		want  string
	}{
		{"an unknown class", []string{"maxLength: 254, x-data-class: PII", "maxLength: 254, x-data-class: PERSONAL"}, "maxLength", "x-data-class: PERSONAL is not known; it is one of SECRET, PII, REGIONAL, GLOBAL"},
		{"an unknown reach", []string{"x-leaves-region: jurisdiction\n", "x-leaves-region: sometimes\n"}, "x-leaves-region: sometimes", "x-leaves-region: sometimes is not known; it is one of never, jurisdiction, anywhere"},
		{"a route that is no word", []string{"x-route: nearest", "x-route: 7"}, "x-route: 7", "x-route: 7 is not a word"},
		{"a cost that is no number", []string{"x-cost: 2", "x-cost: much"}, "x-cost: much", "x-cost: much is not a number"},
		{"regions that are no list", []string{"servers:", "x-regions-old: 1\nservers:", "x-regions:\n", "x-regions: Frankfurt\nx-other:\n"}, "x-regions: Frankfurt", "reading x-regions:"},
		{"an availability that says nothing", []string{"x-route: nearest", "x-route: nearest\n      x-availability: {reason: law}"}, "x-availability: {", "x-availability: it names no regions"},
		{"a sunset that is no day", []string{"x-route: nearest", "x-route: nearest\n      x-sunset: soon"}, "x-sunset: soon", "x-sunset: soon is not a day"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bad := base(t, tt.edits...)
			_, err := apidiff.Compare(parse(t, "a.yaml", base(t)), parse(t, "b.yaml", bad), time.Time{})
			var input *apidiff.InputError
			if !errors.As(err, &input) || !strings.Contains(err.Error(), at(bad, tt.text)+": "+tt.want) {
				t.Errorf("got %v, want %s: %s", err, at(bad, tt.text), tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"nothing", "", "x.yaml: it is empty"},
		{"no YAML", "openapi: 3.1.0\npaths: [\n", "x.yaml: neither YAML nor JSON: yaml: line 2"},
		{"two documents", base(t) + "---\n" + base(t), "x.yaml: it goes on after the first YAML document"},
		{"a list", "- openapi\n", "x.yaml: not an OpenAPI document: it holds no fields"},
		{"something else", "name: x\n", "x.yaml: not an OpenAPI document: it has no field 'openapi'"},
		{"Swagger", "swagger: \"2.0\"\ninfo: {title: x, version: v1}\npaths: {}\n", "x.yaml:1: OpenAPI 2.0 is not known; 3.0 and 3.1 are"},
		{"no info", "openapi: 3.1.0\npaths: {}\n", "x.yaml: not a valid OpenAPI document"},
		{"another document", base(t, `"#/components/schemas/Address"`, `"other.yaml#/Address"`), "disallowed external reference"},
		{"a reference to nothing", base(t, `"#/components/schemas/Address"`, `"#/components/schemas/Nowhere"`), "Nowhere"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := apidiff.Parse("x.yaml", []byte(tt.text))
			var input *apidiff.InputError
			if !errors.As(err, &input) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}
