package apidiff_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/apidiff"
)

// edition is the base as a region's document, with what may differ between regions, and edits.
func edition(t *testing.T, region string, edits ...string) *apidiff.Document {
	t.Helper()
	head := "x-region: " + region + "\nx-jurisdiction: XX\nservers:"
	edits = append([]string{"servers:", head, "https://api.example.com", "https://" + region + ".example.com", "Lists users.", "Lists users of " + region + "."}, edits...)
	return parse(t, region+".yaml", base(t, edits...))
}

// short is a gap in a line.
func short(g apidiff.Gap) string {
	why := "undeclared"
	if g.Declared {
		why = g.Reason
	}
	return strings.Join([]string{why, strings.Join(g.Operations, "+"), strings.Join(g.Regions, "+"), g.Place, g.Text}, " | ")
}

const (
	everyUserOf = "undeclared | GET /v1/users+POST /v1/users+GET /v1/users/{id} | "
	postBegin   = "    post:\n      operationId: CreateUser\n"
	getOne      = "      operationId: GetUser\n"
)

// declare is an operation with a declaration.
func declare(operation, declaration string) []string {
	return []string{operation, operation + "      x-availability: " + declaration + "\n"}
}

// without is the base without the operation that creates users.
func without(t *testing.T) []string {
	t.Helper()
	text := base(t)
	from := strings.Index(text, postBegin)
	return []string{text[from : from+strings.Index(text[from:], "  /v1/users/{id}:")], ""}
}

func TestParity(t *testing.T) {
	t.Parallel()
	const eu, us, sg = "eu-central-1", "us-east-1", "ap-southeast-1"
	law := declare(postBegin, "{regions: [us-east-1, ap-southeast-1], reason: law, note: No.}")
	tests := []struct {
		name       string
		global     []string // edits of the global document; nil: there is none
		eu, us, sg []string
		want       []string
	}{
		{name: "alike, each with its own endpoints and words"},
		{name: "alike with the global document", global: []string{}},
		{name: "an operation is missing", eu: without(t), want: []string{"undeclared | POST /v1/users | eu-central-1 |  | the operation is missing"}},
		{
			name: "an operation is missing by law", eu: without(t), us: law, sg: law,
			want: []string{"law | POST /v1/users | eu-central-1 |  | the operation is missing"},
		},
		{
			name: "an operation is missing where it is declared", eu: without(t), us: without(t), sg: law,
			want: []string{
				"undeclared | POST /v1/users | us-east-1 |  | the operation is missing",
				"law | POST /v1/users | eu-central-1 |  | the operation is missing",
			},
		},
		{
			name: "an operation is where it is not declared", eu: law, us: law, sg: law,
			want: []string{"undeclared | POST /v1/users | eu-central-1 |  | it is here, and declared for us-east-1, ap-southeast-1 alone"},
		},
		{
			name: "an operation is in no region", global: []string{}, eu: without(t), us: without(t), sg: without(t),
			want: []string{"undeclared | POST /v1/users | ap-southeast-1+eu-central-1+us-east-1 |  | the operation is missing"},
		},
		{
			name: "an operation is in regions alone", global: without(t),
			want: []string{"undeclared | POST /v1/users | global |  | the operation is missing"},
		},
		{
			name: "a parameter is missing", us: []string{pageSize, ""},
			want: []string{"undeclared | GET /v1/users | us-east-1 | parameters > query pageSize | missing"},
		},
		{
			name: "a parameter comes with a rollout",
			eu:   []string{pageSize, strings.Replace(pageSize, "anywhere}", "anywhere, x-availability: {regions: [eu-central-1, ap-southeast-1], reason: rollout}}", 1)},
			us:   []string{pageSize, ""},
			sg:   []string{pageSize, strings.Replace(pageSize, "anywhere}", "anywhere, x-availability: {regions: [eu-central-1, ap-southeast-1], reason: rollout}}", 1)},
			want: []string{"rollout | GET /v1/users | us-east-1 | parameters > query pageSize | missing"},
		},
		{
			name: "the order of parameters says nothing",
			us:   []string{pageSize, "", "      responses:\n        \"200\":\n          description: The users.", pageSize + "      responses:\n        \"200\":\n          description: The users."},
		},
		{
			name: "a schema differs, however many operations reach it", sg: []string{"maxLength: 254", "maxLength: 100"},
			want: []string{
				everyUserOf + "ap-southeast-1 | User > properties > email > maxLength | 100; elsewhere 254",
			},
		},
		{
			name: "a property called description is a property", us: []string{"              description: {type: string, x-data-class: GLOBAL, x-leaves-region: anywhere}\n", ""},
			want: []string{
				everyUserOf + "us-east-1 | Error > content > application/json > schema > properties > description | missing",
			},
		},
		{
			name: "residency differs", eu: []string{"x-route: nearest", "x-route: home"},
			want: []string{`undeclared | GET /v1/users/{id} | eu-central-1 | x-route | "home"; elsewhere "nearest"`},
		},
		{
			name: "a variant is declared by the region that has it",
			eu:   append(declare(getOne, "{regions: [eu-central-1], reason: law}"), "x-route: nearest", "x-route: home"),
			want: []string{`law | GET /v1/users/{id} | eu-central-1 | x-route | "home"; elsewhere "nearest"`},
		},
		{
			name:   "the same declaration on both sides explains no difference",
			global: declare(getOne, "{regions: [eu-central-1, us-east-1, ap-southeast-1], reason: since}"),
			eu:     append(declare(getOne, "{regions: [eu-central-1, us-east-1, ap-southeast-1], reason: since}"), "x-route: nearest", "x-route: home"),
			us:     declare(getOne, "{regions: [eu-central-1, us-east-1, ap-southeast-1], reason: since}"),
			sg:     declare(getOne, "{regions: [eu-central-1, us-east-1, ap-southeast-1], reason: since}"),
			want:   []string{`undeclared | GET /v1/users/{id} | eu-central-1 | x-route | "home"; elsewhere "nearest"`},
		},
		{
			name: "credentials differ", us: []string{"security: [{key: []}]", "security: []"},
			want: []string{`undeclared | document | us-east-1 | security | missing`},
		},
		{
			name: "a region knows of another jurisdiction", sg: []string{"Virginia, jurisdiction: US", "Virginia, jurisdiction: CA"},
			want: []string{`undeclared | document | ap-southeast-1 | x-regions > 1 > jurisdiction | "CA"; elsewhere "US"`},
		},
		{
			name: "the order of required says nothing", us: []string{"required: [id, email]", "required: [email, id]"},
		},
		{
			name: "something is required in one region", us: []string{"required: [id, email]", "required: [id]"},
			want: []string{
				everyUserOf + `us-east-1 | User > required | ["id"]; elsewhere ["id","email"]`,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var global *apidiff.Document
			if tt.global != nil {
				global = parse(t, "global.yaml", base(t, tt.global...))
			}
			r, err := apidiff.Parity(global, []*apidiff.Document{edition(t, us, tt.us...), edition(t, eu, tt.eu...), edition(t, sg, tt.sg...)})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			undeclared := 0
			for _, g := range r.Gaps {
				got = append(got, short(g))
				if !g.Declared {
					undeclared++
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if r.Undeclared != undeclared || r.Operations != 3 || !slices.Equal(r.Regions, []string{sg, eu, us}) {
				t.Errorf("says %d undeclared, %d operations, regions %v", r.Undeclared, r.Operations, r.Regions)
			}
		})
	}
}

func TestParityRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		docs func(t *testing.T) []*apidiff.Document
		want string
	}{
		{"one region", func(t *testing.T) []*apidiff.Document {
			t.Helper()
			return []*apidiff.Document{edition(t, "us-east-1")}
		}, "two regions at least"},
		{"no region's", func(t *testing.T) []*apidiff.Document {
			t.Helper()
			return []*apidiff.Document{edition(t, "us-east-1"), parse(t, "global.yaml", base(t))}
		}, "global.yaml: not a region's document: it has no x-region"},
		{"one region's twice", func(t *testing.T) []*apidiff.Document {
			t.Helper()
			return []*apidiff.Document{edition(t, "us-east-1"), edition(t, "us-east-1")}
		}, "us-east-1.yaml: it is of region us-east-1, and so is us-east-1.yaml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := apidiff.Parity(nil, tt.docs(t)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestParityRefusesDeclarations(t *testing.T) {
	t.Parallel()
	tests := []struct{ declaration, want string }{
		{"law", "it has the fields regions, reason and note"},
		{"{regions: [us-east-1], why: law}", "field why is not known"},
		{"{regions: us-east-1, reason: law}", "cannot unmarshal"},
		{"{reason: law}", "it names no regions"},
		{"{regions: [us-east-1], reason: later}", `reason "later" is not known; it is one of law, rollout, since`},
		{"{regions: [mars-1], reason: law}", `there is no region "mars-1"`},
	}
	for _, tt := range tests {
		t.Run(tt.declaration, func(t *testing.T) {
			t.Parallel()
			for _, where := range []string{getOne, "    get:\n      operationId: ListUsers\n"} {
				bad := edition(t, "eu-central-1", declare(where, tt.declaration)...)
				_, err := apidiff.Parity(nil, []*apidiff.Document{bad, edition(t, "us-east-1")})
				var input *apidiff.InputError
				if !errors.As(err, &input) || !strings.Contains(err.Error(), "eu-central-1.yaml: GET /v1/users") || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %s", err, tt.want)
				}
			}
			// Deep within an operation as well.
			deep := edition(t, "eu-central-1", role, strings.Replace(role, "x-leaves", "x-availability: "+tt.declaration+", x-leaves", 1))
			if _, err := apidiff.Parity(nil, []*apidiff.Document{edition(t, "us-east-1"), deep}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("within an operation: got %v, want %s", err, tt.want)
			}
		})
	}
}
