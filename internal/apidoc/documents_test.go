package apidoc_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/apidoc"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
	"github.com/domicile-api/domicile/openapi"
)

// documents reads the platform's own.
func documents(t testing.TB) *apidoc.Version {
	t.Helper()
	set, err := apidoc.Read(openapi.Files)
	if err != nil {
		t.Fatal(err)
	}
	return set.Newest()
}

func encode(t testing.TB, doc *openapi3.T) string {
	t.Helper()
	data, err := apidoc.Encode(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The documents in openapi/ are what a platform with the default topology serves: each is the global one with its region laid over it.
func TestDocumentsAreCurrent(t *testing.T) {
	t.Parallel()
	topo := topologyfile.Default()
	dir := filepath.Join("..", "..", "openapi", "v1")
	v := documents(t)
	want := map[string]*openapi3.T{apidoc.GlobalFile: v.Global, apidoc.ConnectFile: v.Connect}
	regions := map[string]ident.RegionID{apidoc.GlobalFile: ident.NoRegion, apidoc.ConnectFile: ident.NoRegion}
	for _, id := range topo.IDs() {
		want[string(id)+".yaml"], regions[string(id)+".yaml"] = v.Global, id
	}
	there, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(there) != len(want) {
		t.Errorf("openapi/v1 has the documents %v (%v), want %d of them; run: make openapi", there, err, len(want))
	}
	for name, base := range want {
		doc, err := apidoc.Layer(base, topo, regions[name])
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(data), encode(t, doc)); diff != "" {
			t.Errorf("openapi/v1/%s is not current; run: make openapi (-is +should be):\n%s", name, diff)
		}
	}
}

// What is read and written again is the same bytes, so that documents can be compared.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	data, err := openapi.Files.ReadFile("v1/global.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := apidoc.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if got := encode(t, doc); got != string(data) {
		t.Errorf("written again it differs:\n%s", cmp.Diff(string(data), got))
	}
}

func TestDocumentsAreValid(t *testing.T) {
	t.Parallel()
	v := documents(t)
	for name, doc := range map[string]*openapi3.T{"global": v.Global, "connect": v.Connect} {
		if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
			t.Errorf("the %s document: %v", name, err)
		}
	}
}

// Each operation says all that the portal and the tests build on.
func TestOperationsSayEverything(t *testing.T) {
	t.Parallel()
	v := documents(t)
	for name, doc := range map[string]*openapi3.T{"REST": v.Global, "Connect": v.Connect} {
		for path, item := range doc.Paths.Map() {
			for verb, op := range item.Operations() {
				where := name + " " + verb + " " + path
				for _, extension := range []string{
					apidoc.ExtService, apidoc.ExtProcedure, apidoc.ExtRoute, apidoc.ExtCost, apidoc.ExtClass, apidoc.ExtIdempotency, apidoc.ExtErrors,
				} {
					if op.Extensions[extension] == nil {
						t.Errorf("%s has no %s", where, extension)
					}
				}
				if op.OperationID == "" || op.Summary == "" || len(op.Tags) != 1 {
					t.Errorf("%s has the id %q, the summary %q and the tags %v", where, op.OperationID, op.Summary, op.Tags)
				}
				checkAnswers(t, where, op)
			}
		}
	}
}

// checkAnswers asks for an example of the success and of each error, with the reasons that the operation lists and no other.
func checkAnswers(t *testing.T, where string, op *openapi3.Operation) {
	t.Helper()
	if op.Responses.Value("200").Value.Content["application/json"].Example == nil {
		t.Errorf("%s has no example of its answer", where)
	}
	if op.RequestBody != nil && op.RequestBody.Value.Content["application/json"].Example == nil {
		t.Errorf("%s has no example of its request", where)
	}
	reasons, _ := op.Extensions[apidoc.ExtErrors].([]any)
	listed, shown := make([]string, 0, len(reasons)), []string{}
	for _, reason := range reasons {
		listed = append(listed, reason.(string))
	}
	for status, response := range op.Responses.Map() {
		if status < "400" {
			continue
		}
		for reason, example := range response.Value.Content["application/json"].Examples {
			shown = append(shown, reason)
			if example.Value == nil || example.Value.Value == nil {
				t.Errorf("%s has no example of %s", where, reason)
			}
		}
	}
	slices.Sort(listed)
	slices.Sort(shown)
	if diff := cmp.Diff(listed, shown); diff != "" || len(listed) == 0 {
		t.Errorf("%s lists other errors than it shows (-listed +shown):\n%s", where, diff)
	}
}

// Each property says how far its value may go.
func TestPropertiesAreClassified(t *testing.T) {
	t.Parallel()
	v := documents(t)
	leaves := map[any]any{apidoc.ClassGlobal: "anywhere", apidoc.ClassRegional: "jurisdiction", apidoc.ClassPII: "never", apidoc.ClassSecret: "never"}
	seen := map[any]int{}
	for name, ref := range v.Global.Components.Schemas {
		if name == "google.rpc.Status" {
			continue // an error holds nothing but what is GLOBAL, and has no contract of fields
		}
		for property, value := range ref.Value.Properties {
			extensions := value.Extensions
			if value.Ref == "" {
				extensions = value.Value.Extensions
			}
			class := extensions[apidoc.ExtClass]
			seen[class]++
			if leaves[class] == nil || extensions[apidoc.ExtLeaves] != leaves[class] {
				t.Errorf("%s.%s has the class %v and leaves its region: %v", name, property, class, extensions[apidoc.ExtLeaves])
			}
		}
	}
	for class := range leaves {
		if seen[class] == 0 {
			t.Errorf("no property has the class %v", class)
		}
	}
}

// The generator's faults are mended: see the table in each case.
func TestFaultsAreMended(t *testing.T) {
	t.Parallel()
	v := documents(t)
	user := v.Global.Components.Schemas["domicile.profile.v1.User"].Value
	update := v.Global.Paths.Value("/v1/users/{id}").Patch
	tenant := v.Global.Components.Schemas["domicile.tenancy.v1.Tenant"].Value
	change := v.Global.Components.Schemas["domicile.tenancy.v1.UpdateTenantRequest.tenant"].Value
	revoke := v.Global.Paths.Value("/v1/keys/{id}:revoke").Post
	security := func(op *openapi3.Operation) string { return fmt.Sprint(op.Security) }
	checks := map[string]bool{
		"an operator's method takes an operator's key":  security(v.Global.Paths.Value("/v1/tenants").Get) == "&[map[operatorKey:[]]]",
		"settings take either key":                      security(v.Global.Paths.Value("/v1/settings").Get) == "&[map[tenantKey:[]] map[operatorKey:[]]]",
		"users take the tenant's, as the document says": v.Global.Paths.Value("/v1/users").Get.Security == nil && len(v.Global.Security) == 1,
		"what the service asks for is required":         slices.Contains(tenant.Required, "transit") && tenant.Properties["home"].Value.Pattern != "",
		"what must be chosen is not left open":          !slices.Contains(tenant.Properties["transit"].Value.Enum, any("TRANSIT_UNSPECIFIED")),
		"what an update does not change is not sent":    change.Properties["home"].Value.ReadOnly && !change.Properties["transit"].Value.ReadOnly,
		"a body that holds nothing may be left out":     !revoke.RequestBody.Value.Required,
		"an id in a path has a form":                    revoke.Parameters.GetByInAndName("path", "id").Schema.Value.Pattern != "",
		"the body of a creation is required":            v.Global.Paths.Value("/v1/users").Post.RequestBody.Value.Required,
		"a number of 64 bits is a string":               v.Global.Components.Schemas["domicile.tenancy.v1.Tenant"].Value.Properties["epoch"].Value.Type.Is("string"),
		"what may be left out may be empty":             strings.HasPrefix(user.Properties["phone"].Value.Pattern, "^$|"),
		"what must be given is not empty":               user.Properties["givenName"].Value.MinLength == 1,
		"what the server gives is read-only":            user.Properties["id"].Value.ReadOnly && user.Properties["createTime"].Value.ReadOnly,
		"an etag is sent back":                          !user.Properties["etag"].Value.ReadOnly,
		"an update need not give everything":            len(update.RequestBody.Value.Content["application/json"].Schema.Value.Required) == 0,
		"a mask has the paths of the entity":            strings.Contains(update.Parameters.GetByInAndName("query", "updateMask").Schema.Value.Pattern, `postalAddress(\.(lines|`),
		"an id has the form of one":                     update.Parameters.GetByInAndName("path", "id").Schema.Value.Pattern == "^usr_[0-7][0-9a-hjkmnp-tv-z]{25}$",
		"one operation of settings is exactly one":      *v.Global.Components.Schemas["domicile.settings.v1.Operation"].Value.MaxProps == 2,
		"schemas that nothing refers to are left out":   v.Global.Components.Schemas["domicile.profile.v1.CreateUserRequest"] == nil,
		"the Connect document has them":                 v.Connect.Components.Schemas["domicile.profile.v1.CreateUserRequest"] != nil,
		"a Connect GET is a read":                       v.Connect.Paths.Value("/domicile.profile.v1.ProfileService/CreateUser").Get == nil,
		"a read can be asked after":                     v.Global.Paths.Value("/v1/users/{id}/summary").Get.Responses.Value("304") != nil,
		"services of regions are in no document":        v.Connect.Paths.Value("/domicile.peer.v1.PeerService/Send") == nil,
	}
	for check, holds := range checks {
		if !holds {
			t.Errorf("it does not hold that %s", check)
		}
	}
}
