package apidoc_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
	"github.com/domicile-api/domicile/internal/apidoc"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// drawTopology draws a topology of one to four jurisdictions, on one machine or below one name.
func drawTopology(t *rapid.T, label string) *topology.Topology {
	message := &topologyv1.Topology{}
	remote := rapid.Bool().Draw(t, label+" remote")
	pairs := rapid.SliceOfN(rapid.Bool(), 1, 4).Draw(t, label+" jurisdictions with a standby")
	if len(pairs) == 1 {
		pairs[0] = false // a pair needs a third region
	}
	add := func(jurisdiction int, roles ...topologyv1.Role) *topologyv1.Region {
		n := len(message.GetRegions()) + 1
		region := &topologyv1.Region{
			Id: fmt.Sprintf("%s-region-%d", label, n), Jurisdiction: fmt.Sprintf("J%d", jurisdiction), Roles: roles, Port: int32(8080 + n),
			Place: rapid.SampledFrom([]string{"", "Somewhere"}).Draw(t, label+" place"),
		}
		if remote {
			region.Endpoint = "https://" + region.GetId() + ".api.example.com"
		}
		message.Regions = append(message.Regions, region)
		return region
	}
	for i, pair := range pairs {
		home := add(i, topologyv1.Role_ROLE_HOME)
		if pair {
			home.Standby = add(i, topologyv1.Role_ROLE_STANDBY).GetId()
		}
	}
	for _, home := range message.GetRegions() {
		for _, other := range message.GetRegions() {
			if home.GetStandby() != "" && other.GetJurisdiction() != home.GetJurisdiction() {
				home.Witness = other.GetId()
			}
		}
	}
	control := message.GetRegions()[rapid.IntRange(0, len(message.GetRegions())-1).Draw(t, label+" control")]
	control.Roles = append(control.Roles, topologyv1.Role_ROLE_CONTROL)
	topo, err := topologyfile.New(message)
	if err != nil {
		t.Fatalf("the test draws a topology that there cannot be: %v", err)
	}
	return topo
}

// Laying a region over another region's document is laying it over the global one, and what is given stays as it was.
func TestLayerForgetsWhatWasLaidBefore(t *testing.T) {
	t.Parallel()
	v := documents(t)
	small := shortened(t, v.Global, "/v1/keys/{id}:revoke", "/v1/users/{id}/summary")
	connect := shortened(t, v.Connect, "/domicile.settings.v1.SettingsService/ListConflicts")
	beforeSmall, beforeConnect := encode(t, small), encode(t, connect)
	rapid.Check(t, func(t *rapid.T) {
		base := small
		if rapid.Bool().Draw(t, "over Connect") {
			base = connect
		}
		first, second := drawTopology(t, "first"), drawTopology(t, "second")
		region := rapid.SampledFrom(append(second.IDs(), ident.NoRegion)).Draw(t, "region")
		there, err := apidoc.Layer(base, first, rapid.SampledFrom(append(first.IDs(), ident.NoRegion)).Draw(t, "earlier region"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := apidoc.Layer(there, second, region)
		if err != nil {
			t.Fatal(err)
		}
		direct, err := apidoc.Layer(base, second, region)
		if err != nil {
			t.Fatal(err)
		}
		a, errA := again.MarshalJSON()
		b, errB := direct.MarshalJSON()
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Fatalf("over another region's it is not what it is over the global one (%v, %v):\n%s", errA, errB, cmp.Diff(string(b), string(a)))
		}
		if strings.Contains(string(a), "first-region") {
			t.Fatal("something of the region that was laid before is left")
		}
		checkLaid(t, direct, second, region)
	})
	if encode(t, small) != beforeSmall || encode(t, connect) != beforeConnect {
		t.Error("Layer changed what it was given")
	}
}

// shortened is a document with some of its paths, so that many topologies can be tried.
func shortened(t *testing.T, doc *openapi3.T, paths ...string) *openapi3.T {
	t.Helper()
	data, err := apidoc.Encode(doc)
	if err != nil {
		t.Fatal(err)
	}
	short, err := apidoc.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range short.Paths.Keys() {
		if !slices.Contains(paths, path) {
			short.Paths.Delete(path)
		}
	}
	if err := apidoc.Prune(short); err != nil {
		t.Fatal(err)
	}
	return short
}

// checkLaid holds a document against its region.
func checkLaid(t *rapid.T, doc *openapi3.T, topo *topology.Topology, region ident.RegionID) {
	if err := doc.Validate(t.Context(), openapi3.DisableExamplesValidation()); err != nil {
		t.Fatal(err)
	}
	at, isRegion := topo.Index(region)
	if got := doc.Extensions[apidoc.ExtRegion]; isRegion && got != string(region) || !isRegion && got != nil {
		t.Fatalf("%s is %v", apidoc.ExtRegion, got)
	}
	if isRegion && doc.Servers[0].URL != topo.Endpoint(at) {
		t.Fatalf("the first server is %s, want %s", doc.Servers[0].URL, topo.Endpoint(at))
	}
	if n := len(doc.Extensions[apidoc.ExtRegions].([]any)); n != topo.Len() {
		t.Fatalf("%d regions are listed, want %d", n, topo.Len())
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if strings.Count(op.Description, apidoc.Residency) != 1 {
				t.Fatalf("%s says where it is answered %d times:\n%s", op.OperationID, strings.Count(op.Description, apidoc.Residency), op.Description)
			}
		}
	}
}

func TestRegionThatIsNotThere(t *testing.T) {
	t.Parallel()
	_, err := apidoc.Layer(documents(t).Global, topologyfile.Default(), "mars-north-1")
	if !errors.Is(err, apidoc.ErrNoRegion) || !strings.Contains(err.Error(), "mars-north-1") || !strings.Contains(err.Error(), "eu-central-1") {
		t.Errorf("got %v, want ErrNoRegion that names the region and those that there are", err)
	}
}

func urls(doc *openapi3.T) []string {
	out := make([]string, 0, len(doc.Servers))
	for _, server := range doc.Servers {
		out = append(out, server.URL)
	}
	return out
}

// A client in a region calls its own endpoint first, then that of the region it is paired with, then the global name.
func TestServers(t *testing.T) {
	t.Parallel()
	message := topologyfile.Default().Proto()
	for _, region := range message.GetRegions() {
		region.Endpoint = "https://" + region.GetId() + ".api.example.com"
	}
	remote, err := topologyfile.New(message)
	if err != nil {
		t.Fatal(err)
	}
	message.GetRegions()[0].Endpoint = "https://frankfurt.example.org"
	mixed, err := topologyfile.New(message)
	if err != nil {
		t.Fatal(err)
	}
	moved, err := topologyfile.Default().WithPortBase(9000)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		topo   *topology.Topology
		region ident.RegionID
		want   []string
	}{
		{"a home", topologyfile.Default(), "eu-central-1", []string{"http://127.0.0.1:8081", "http://127.0.0.1:8082", "http://127.0.0.1:8080"}},
		{"a standby", topologyfile.Default(), "eu-west-1", []string{"http://127.0.0.1:8082", "http://127.0.0.1:8081", "http://127.0.0.1:8080"}},
		{"a region alone", topologyfile.Default(), "sa-east-1", []string{"http://127.0.0.1:8086", "http://127.0.0.1:8080"}},
		{"other ports", moved, "sa-east-1", []string{"http://127.0.0.1:9006", "http://127.0.0.1:9000"}},
		{"below a name", remote, "sa-east-1", []string{"https://sa-east-1.api.example.com", "https://api.example.com"}},
		{"without a common name", mixed, "sa-east-1", []string{"https://sa-east-1.api.example.com"}},
	}
	global := documents(t).Global
	for _, tt := range tests {
		doc, err := apidoc.Layer(global, tt.topo, tt.region)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, urls(doc)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if got := urls(global); len(got) != 7 || got[0] != "http://127.0.0.1:8080" {
		t.Errorf("the global document has the servers %v, want the global name and six regions", got)
	}
}

// What is said of where an operation is answered is true of the region.
func TestStatements(t *testing.T) {
	t.Parallel()
	alone, err := topologyfile.New(&topologyv1.Topology{Regions: []*topologyv1.Region{{
		Id: "eu-central-1", Jurisdiction: "EU", Roles: []topologyv1.Role{topologyv1.Role_ROLE_HOME, topologyv1.Role_ROLE_CONTROL}, Port: 8081,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, operation string
		topo            *topology.Topology
		region          ident.RegionID
		says, not       []string
	}{
		{"a home", "GetUser", topologyfile.Default(), "eu-central-1", []string{"Here, for tenants whose home is Frankfurt", "421 WRONG_REGION", "São Paulo"}, []string{"Dublin"}},
		{"a standby", "GetUser", topologyfile.Default(), "eu-west-1", []string{"No tenant lives in this region", "tenant of Frankfurt (eu-central-1) is forwarded"}, nil},
		{"the control region", "GetTenant", topologyfile.Default(), "us-east-1", []string{"Here: Virginia (us-east-1) is the control region", "operator's key"}, nil},
		{"another", "GetTenant", topologyfile.Default(), "sa-east-1", []string{"to which this region forwards"}, nil},
		{"a replica", "GetUserSummary", topologyfile.Default(), "ap-southeast-1", []string{"from its replica", "421 WRONG_REGION"}, []string{"lies in the tenant's jurisdiction"}},
		{"a record", "GetUserRecord", topologyfile.Default(), "ap-southeast-1", []string{"if it lies in the tenant's jurisdiction", "REGIONAL"}, nil},
		{"any", "UpdateSettings", topologyfile.Default(), "ap-southeast-1", []string{"from its own copy: Singapore"}, nil},
		{"a key", "CreateApiKey", topologyfile.Default(), "us-east-1", []string{"SECRET", "not stored"}, nil},
		{"all", "GetUser", topologyfile.Default(), "", []string{"whichever region the call comes in at"}, []string{"Frankfurt"}},
		{"one region", "GetUser", alone, "eu-central-1", []string{"Here, for tenants whose home is eu-central-1", "no home in another jurisdiction"}, []string{"WRONG_REGION"}},
		{"one region's settings", "GetSettings", alone, "eu-central-1", []string{"from its own copy"}, []string{"WRONG_REGION"}},
	}
	global := documents(t).Global
	for _, tt := range tests {
		doc, err := apidoc.Layer(global, tt.topo, tt.region)
		if err != nil {
			t.Fatal(err)
		}
		_, said, _ := strings.Cut(operation(t, doc, tt.operation).Description, apidoc.Residency)
		for _, text := range tt.says {
			if !strings.Contains(said, text) {
				t.Errorf("%s: %s does not say %q: %s", tt.name, tt.operation, text, said)
			}
		}
		for _, text := range tt.not {
			if strings.Contains(said, text) {
				t.Errorf("%s: %s says %q: %s", tt.name, tt.operation, text, said)
			}
		}
	}
}

func operation(t *testing.T, doc *openapi3.T, id string) *openapi3.Operation {
	t.Helper()
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.OperationID == id {
				return op
			}
		}
	}
	t.Fatalf("there is no operation %s", id)
	return nil
}

// The example of a refusal sends the reader to a region that there is, elsewhere, over both protocols. Over Connect the detail in binary says
// what the one in JSON says.
func TestExamplesNameARegion(t *testing.T) {
	t.Parallel()
	v := documents(t)
	for region, home := range map[ident.RegionID][2]string{
		"eu-central-1": {"us-east-1", "http://127.0.0.1:8083"}, "us-east-1": {"eu-central-1", "http://127.0.0.1:8081"},
	} {
		for _, base := range []*openapi3.T{v.Global, v.Connect} {
			doc, err := apidoc.Layer(base, topologyfile.Default(), region)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := doc.Components.Examples["WRONG_REGION"].Value.Value.(map[string]any)
			detail, _ := body["details"].([]any)[0].(map[string]any)
			if text := fmt.Sprint(detail); !strings.Contains(text, "home_region:"+home[0]) || !strings.Contains(text, home[1]) {
				t.Errorf("%s: got %s, want a home of another jurisdiction", region, text)
			}
			value, overConnect := detail["value"].(string)
			if !overConnect {
				continue
			}
			data, err := base64.RawStdEncoding.DecodeString(value)
			if err != nil {
				t.Fatal(err)
			}
			info := &errdetails.ErrorInfo{}
			if err := proto.Unmarshal(data, info); err != nil || info.GetReason() != "WRONG_REGION" || info.GetMetadata()["home_region"] != home[0] {
				t.Errorf("%s: the detail in binary is %v (%v)", region, info, err)
			}
		}
	}
}

// A process that runs one service documents that one.
func TestOnly(t *testing.T) {
	t.Parallel()
	base := documents(t).Global
	doc, err := apidoc.Only(base, []string{"domicile.settings.v1.SettingsService"})
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	for _, path := range doc.Paths.Keys() {
		if !strings.HasPrefix(path, "/v1/settings") {
			t.Errorf("it has %s", path)
		}
	}
	for name := range doc.Components.Schemas {
		if strings.HasPrefix(name, "domicile.profile.") || strings.HasPrefix(name, "domicile.tenancy.") {
			t.Errorf("it has the schema %s", name)
		}
	}
	if doc.Paths.Len() != 3 || len(doc.Tags) != 1 || doc.Tags[0].Name != "Settings" || doc.Components.SecuritySchemes["tenantKey"] == nil {
		t.Errorf("it has %d paths and the tags %v", doc.Paths.Len(), doc.Tags)
	}
	if base.Paths.Len() < 10 {
		t.Error("Only changed what it was given")
	}
	none, err := apidoc.Only(base, nil)
	if err != nil || none.Paths.Len() != 0 {
		t.Errorf("without services there are %v (%v)", none.Paths.Keys(), err)
	}
	if slices.ContainsFunc(base.Tags, func(tag *openapi3.Tag) bool { return tag == nil }) {
		t.Error("Only changed the tags that it was given")
	}
}
