package topologyfile_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

const (
	home    = topologyv1.Role_ROLE_HOME
	standby = topologyv1.Role_ROLE_STANDBY
	control = topologyv1.Role_ROLE_CONTROL
)

func TestDefaultIsTheTableOfTheDesign(t *testing.T) {
	t.Parallel()
	type row struct {
		ID, Place, Law   string
		Roles            []topologyv1.Role
		Standby, Witness string
		Port             int32
	}
	want := []row{
		{"eu-central-1", "Frankfurt", "EU", []topologyv1.Role{home}, "eu-west-1", "us-west-2", 8081},
		{"eu-west-1", "Dublin", "EU", []topologyv1.Role{standby}, "", "", 8082},
		{"us-east-1", "Virginia", "US", []topologyv1.Role{home, control}, "us-west-2", "eu-west-1", 8083},
		{"us-west-2", "Oregon", "US", []topologyv1.Role{standby}, "", "", 8084},
		{"ap-southeast-1", "Singapore", "SG", []topologyv1.Role{home}, "", "", 8085},
		{"sa-east-1", "São Paulo", "BR", []topologyv1.Role{home}, "", "", 8086},
	}
	d := topologyfile.Default()
	got := make([]row, 0, d.Len())
	for _, i := range d.Regions() {
		r := d.Region(i)
		got = append(got, row{
			r.GetId(), r.GetPlace(), r.GetJurisdiction(), r.GetRoles(), r.GetStandby(), r.GetWitness(), r.GetPort(),
		})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("default topology (-want +got):\n%s", diff)
	}
	if again, err := topologyfile.Parse("copy", topologyfile.DefaultYAML()); err != nil || again.Len() != d.Len() {
		t.Errorf("Parse(DefaultYAML()) = %v, %v", again, err)
	}
}

func TestRolesAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	for _, roles := range []string{"[home, control]", "[HOME, CONTROL]", "[ROLE_HOME, ROLE_CONTROL]", "[Home, role_control]", "\n      - home\n      - CONTROL"} {
		d, err := topologyfile.Parse("roles.yaml", []byte("regions:\n  - id: eu-1\n    jurisdiction: EU\n    port: 8081\n    roles: "+roles+"\n"))
		if err != nil {
			t.Errorf("roles: %s: %v", roles, err)
			continue
		}
		if !d.Is(0, home) || !d.Is(0, control) || d.Is(0, standby) {
			t.Errorf("roles: %s: %v", roles, d.Region(0).GetRoles())
		}
	}
}

func TestNewChecksAsAFileIs(t *testing.T) {
	t.Parallel()
	d, err := topologyfile.New(topologyfile.Default().Proto())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(topologyfile.Default().Proto(), d.Proto(), protocmp.Transform()); diff != "" {
		t.Errorf("New(Proto()) (-want +got):\n%s", diff)
	}
	broken := topologyfile.Default().Proto()
	broken.Regions[0].Standby = "us-east-1"
	if _, err := topologyfile.New(broken); err == nil || !strings.Contains(err.Error(), "another jurisdiction") {
		t.Errorf("New of an unlawful standby: %v", err)
	}
}
