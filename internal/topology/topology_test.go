package topology_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

const (
	home    = topologyv1.Role_ROLE_HOME
	standby = topologyv1.Role_ROLE_STANDBY
	control = topologyv1.Role_ROLE_CONTROL
)

func TestAccessors(t *testing.T) {
	t.Parallel()
	d := topologyfile.Default()
	frankfurt, dublin := at(t, d, "eu-central-1"), at(t, d, "eu-west-1")
	virginia, oregon := at(t, d, "us-east-1"), at(t, d, "us-west-2")
	check := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("control", d.Control(), virginia)
	check("id", d.ID(dublin), ident.RegionID("eu-west-1"))
	check("jurisdiction", d.Jurisdiction(dublin), ident.Jurisdiction("EU"))
	check("endpoint", d.Endpoint(virginia), "http://127.0.0.1:8083")
	check("port", d.Port(virginia), 8083)
	check("global port", d.GlobalPort(), 8080)
	check("operations port", d.OperationsPort(), 8090)
	check("standby", d.Standby(frankfurt), dublin)
	check("witness", d.Witness(frankfurt), oregon)
	check("standby of none", d.Standby(dublin), topology.NoRegion)
	check("same", d.SameJurisdiction(frankfurt, dublin), true)
	check("itself", d.SameJurisdiction(oregon, oregon), true)
	check("foreign", d.SameJurisdiction(frankfurt, oregon), false)
	check("is standby", d.Is(dublin, standby), true)
	check("is not home", d.Is(dublin, home), false)
	check("is control", d.Is(virginia, control), true)
}

func TestNoRegionIsNothing(t *testing.T) {
	t.Parallel()
	d := topologyfile.Default()
	for _, i := range []topology.Index{topology.NoRegion, 6, 31, 32, 254} {
		if d.Has(i) || d.Region(i) != nil || d.ID(i) != "" || d.Jurisdiction(i) != "" || d.Endpoint(i) != "" || d.Port(i) != 0 ||
			d.Standby(i) != topology.NoRegion || d.Witness(i) != topology.NoRegion || d.Is(i, home) {
			t.Errorf("region %d is something", i)
		}
		if d.SameJurisdiction(i, i) || d.SameJurisdiction(0, i) || d.SameJurisdiction(i, 0) {
			t.Errorf("region %d has a jurisdiction", i)
		}
	}
	if i, ok := d.Index("mars-1"); ok || i != topology.NoRegion {
		t.Errorf("Index(mars-1) = %d, %t", i, ok)
	}
}

func TestOneRegionAlone(t *testing.T) {
	t.Parallel()
	d, err := topologyfile.Parse("one.yaml", []byte(`regions: [{id: eu-1, jurisdiction: EU, roles: [home, control], port: 8081}]`))
	if err != nil {
		t.Fatal(err)
	}
	if d.Len() != 1 || d.Control() != 0 || d.Nearest("JP") != 0 || d.Endpoint(0) != "http://127.0.0.1:8081" {
		t.Errorf("one region: %v", d.Proto())
	}
}

func TestEndpointsOfTheFile(t *testing.T) {
	t.Parallel()
	d, err := topologyfile.Parse("e.yaml", []byte(`regions:
  - {id: eu-1, jurisdiction: EU, roles: [home, control], port: 8081, endpoint: "https://eu.example.com/"}
  - {id: us-1, jurisdiction: US, roles: [home], port: 8082, services_endpoint: "https://services.us.example.com/"}
`))
	if err != nil {
		t.Fatal(err)
	}
	moved, err := d.WithPortBase(9000)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{d.Endpoint(0), d.Endpoint(1), moved.Endpoint(0), moved.Endpoint(1), d.Services(0), moved.Services(1), d.Services(7)}
	want := []string{
		"https://eu.example.com", "http://127.0.0.1:8082", "https://eu.example.com", "http://127.0.0.1:9002",
		"https://eu.example.com", "https://services.us.example.com", "",
	}
	if d.ServicesApart(0) || !d.ServicesApart(1) {
		t.Error("the second region alone has its services elsewhere")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
}

func TestPortBase(t *testing.T) {
	t.Parallel()
	d := topologyfile.Default()
	before := d.Proto()
	moved, err := d.WithPortBase(18080)
	if err != nil {
		t.Fatal(err)
	}
	if moved.GlobalPort() != 18080 || moved.OperationsPort() != 18090 || moved.Port(0) != 18081 ||
		moved.Port(5) != 18086 || moved.Endpoint(5) != "http://127.0.0.1:18086" {
		t.Errorf("moved: global %d, operations %d, %v", moved.GlobalPort(), moved.OperationsPort(), moved.Proto())
	}
	if diff := cmp.Diff(before, d.Proto(), protocmp.Transform()); diff != "" {
		t.Errorf("the topology itself moved (-before +after):\n%s", diff)
	}
	back, err := moved.WithPortBase(8080)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, back.Proto(), protocmp.Transform()); diff != "" {
		t.Errorf("there and back (-before +after):\n%s", diff)
	}
	// The highest listener of a base n is the last region's operations port, n + 16.
	for n, ok := range map[int]bool{-1: false, 0: false, 1: true, 65519: true, 65520: false, 65536: false, 1 << 40: false} {
		if _, err := d.WithPortBase(n); (err == nil) != ok {
			t.Errorf("WithPortBase(%d): %v", n, err)
		}
	}
	_, err = d.WithPortBase(70000)
	if err == nil || !strings.Contains(err.Error(), "choose one between 1 and 65519") {
		t.Errorf("the refusal does not say what to choose: %v", err)
	}
}

func TestProtoIsACopy(t *testing.T) {
	t.Parallel()
	d := topologyfile.Default()
	d.Proto().GetRegions()[0].Id = "changed"
	if d.ID(0) != "eu-central-1" {
		t.Errorf("the topology changed: %s", d.ID(0))
	}
}

func at(t *testing.T, d *topology.Topology, id ident.RegionID) topology.Index {
	t.Helper()
	i, ok := d.Index(id)
	if !ok {
		t.Fatalf("no region %s", id)
	}
	return i
}
