package apidiff_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/apidiff"
)

// release is the base with its day and edits.
func release(t *testing.T, name, day string, edits ...string) apidiff.Release {
	t.Helper()
	marked := append([]string{"servers:", "x-released: \"" + day + "\"\nservers:"}, edits...)
	return apidiff.Release{Name: name, Document: parse(t, "releases/"+name+".yaml", base(t, marked...))}
}

func TestChangelog(t *testing.T) {
	t.Parallel()
	// In an order that is none, and not that of their names as texts.
	log, err := apidiff.NewChangelog("v1", []apidiff.Release{
		release(t, "v0.10.0", "2026-12-24", "maximum: 100", "maximum: 50"),
		release(t, "v0.2.0", "2026-12-01"),
		release(t, "v0.9.1", "2026-12-09"),
	}, parse(t, "global.yaml", base(t, "maximum: 100", "maximum: 50", "x-route: nearest", "x-route: home")))
	if err != nil {
		t.Fatal(err)
	}
	want := &apidiff.Changelog{
		Version: "v1",
		Unreleased: apidiff.Entry{Since: "v0.10.0", Changes: []apidiff.Change{{
			Effect: apidiff.Breaking, Rule: "x-route-changed", Operations: []string{"GET /v1/users/{id}"},
			Text: "x-route changed from nearest to home for the operation",
		}}},
		Releases: []apidiff.Entry{
			{Release: "v0.10.0", Date: "2026-12-24", Since: "v0.9.1", Changes: []apidiff.Change{{
				Effect: apidiff.Breaking, Rule: "request-parameter-max-decreased", Operations: []string{"GET /v1/users"},
				Text: "for the `query` request parameter `pageSize`, the max was decreased from `100.00` to `50.00`",
			}}},
			{Release: "v0.9.1", Date: "2026-12-09", Since: "v0.2.0", Changes: []apidiff.Change{}},
			{Release: "v0.2.0", Date: "2026-12-01", Changes: []apidiff.Change{}},
		},
	}
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text := `# Changelog of API v1

## Unreleased

Since v0.10.0:

### Breaks clients

- ` + "`GET /v1/users/{id}`" + `: x-route changed from nearest to home for the operation

## v0.10.0 (2026-12-24)

Since v0.9.1:

### Breaks clients

- ` + "`GET /v1/users`: for the `query` request parameter `pageSize`, the max was decreased from `100.00` to `50.00`" + `

## v0.9.1 (2026-12-09)

Nothing changed in the API since v0.2.0.

## v0.2.0 (2026-12-01)

The first release.
`
	if diff := cmp.Diff(text, log.Markdown()); diff != "" {
		t.Errorf("Markdown (-want +got):\n%s", diff)
	}
	raw, err := log.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := apidiff.ReadChangelog("changelog.yaml", raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(log, again); diff != "" {
		t.Errorf("after writing and reading (-want +got):\n%s", diff)
	}
}

func TestChangelogWithoutReleases(t *testing.T) {
	t.Parallel()
	log, err := apidiff.NewChangelog("v1", nil, parse(t, "global.yaml", base(t)))
	if err != nil {
		t.Fatal(err)
	}
	if len(log.Releases) != 0 || len(log.Unreleased.Changes) != 0 || log.Unreleased.Since != "" {
		t.Errorf("got %+v", log)
	}
	if got := log.Markdown(); !strings.HasSuffix(got, "\nThere is no release yet, so there is nothing to compare with.\n") {
		t.Errorf("got %s", got)
	}
}

// An operation that goes after its sunset breaks nobody, whenever the changelog is made; what is not released has no day yet.
func TestChangelogJudgesByTheDayOfTheRelease(t *testing.T) {
	t.Parallel()
	deprecated := []string{"operationId: CreateUser", "operationId: CreateUser\n      deprecated: true\n      x-sunset: \"2026-12-20\""}
	gone := []string{"    post:\n      operationId: CreateUser\n", "    put:\n      operationId: PutUser\n"}
	for day, breaking := range map[string]int{"2026-12-19": 1, "2026-12-20": 0} {
		log, err := apidiff.NewChangelog(
			"v1", []apidiff.Release{release(t, "v0.1.0", "2026-12-01", deprecated...), release(t, "v0.2.0", day, gone...)}, parse(t, "global.yaml", base(t, gone...)),
		)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, c := range log.Releases[0].Changes {
			if c.Effect == apidiff.Breaking {
				got++
			}
		}
		if got != breaking {
			t.Errorf("released on %s: %d breaking changes, want %d: %v", day, got, breaking, found(log.Releases[0].Changes))
		}
	}
}

func TestChangelogRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		releases []apidiff.Release
		want     string
	}{
		{"no version", []apidiff.Release{release(t, "latest", "2026-12-01")}, `"latest" is not the name of a release; they are called v1.2.3`},
		{"twice", []apidiff.Release{release(t, "v0.1.0", "2026-12-01"), release(t, "v0.1.0", "2026-12-01")}, "release v0.1.0 is there twice"},
		{"no day", []apidiff.Release{{Name: "v0.1.0", Document: parse(t, "releases/v0.1.0.yaml", base(t))}}, "releases/v0.1.0.yaml: x-released is missing"},
		{"a bad day", []apidiff.Release{release(t, "v0.1.0", "2026-13-01")}, `x-released: "2026-13-01" is not a day`},
	}
	for _, tt := range tests {
		if _, err := apidiff.NewChangelog("v1", tt.releases, parse(t, "global.yaml", base(t))); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestIsRelease(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"v0.1.0": true, "v10.20.30": true, "0.1.0": false, "v1.2": false, "v1.2.3.4": false, "v01.2.3": false, "v1.2.-3": false, "v1.2.3-rc1": false, "": false, "v..": false,
	} {
		if got := apidiff.IsRelease(name); got != want {
			t.Errorf("%q: got %v", name, got)
		}
	}
}

func TestMarkReleased(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 12, 1, 23, 0, 0, 0, time.UTC)
	marked, err := apidiff.MarkReleased("global.yaml", []byte(base(t)), day)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(marked), "\nx-released: \"2026-12-01\"\n") {
		t.Errorf("it ends in %q", marked[len(marked)-40:])
	}
	if _, err := apidiff.MarkReleased("global.yaml", marked, day); err == nil || !strings.Contains(err.Error(), "has x-released already") {
		t.Errorf("marked twice: got %v", err)
	}
	if _, err := apidiff.MarkReleased("global.yaml", []byte("{}"), day); err == nil {
		t.Error("marked what is no document")
	}
}

// What a document says stays text.
func TestMarkdownIsPlain(t *testing.T) {
	t.Parallel()
	log := apidiff.Changelog{Unreleased: apidiff.Entry{Since: "v0.1.0", Changes: []apidiff.Change{
		{Effect: apidiff.Risky, Text: "see <script>alert(1)</script> [x](y)\n# and `a*b`"},
	}}, Releases: []apidiff.Entry{{Release: "v0.1.0", Date: "2026-12-01"}}}
	want := "- see &lt;script&gt;alert(1)&lt;/script&gt; \\[x\\](y) \\# and `a*b`\n"
	if got := log.Markdown(); !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReadChangelogRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "changelog.yaml: reading the changelog: it is empty", "releases: [": "line 1", "unreleased: {}\nplanned: []\n": "line 2: field planned not found",
	} {
		_, err := apidiff.ReadChangelog("changelog.yaml", []byte(text))
		var input *apidiff.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// Whatever bytes come, they are refused or they are a document that is as itself.
func FuzzParse(f *testing.F) {
	f.Add([]byte("openapi: 3.1.0\ninfo: {title: x, version: v1}\npaths: {}\n"))
	f.Add([]byte("openapi: 3.1.0\ninfo: {title: x, version: v1}\nx-regions: [{id: a, jurisdiction: B}]\npaths:\n  /a:\n    get:\n      x-cost: 2\n      x-data-class: PII\n" +
		"      responses:\n        \"200\": {description: x, content: {a/b: {schema: {properties: {a: {x-data-class: PII}}}}}}\n"))
	f.Add([]byte("swagger: 2.0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := apidiff.Parse("x.yaml", data)
		if err != nil {
			return
		}
		r, err := apidiff.Compare(d, d, time.Time{})
		if err != nil {
			return // A statement that is none.
		}
		if len(r.Changes) > 0 {
			t.Errorf("it differs from itself: %v", r.Changes)
		}
	})
}
