package topology_test

import (
	"math"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	d := topologyfile.Default()
	for country, want := range map[string]ident.RegionID{
		"DE": "eu-central-1", "de": "eu-central-1", "De": "eu-central-1", "CH": "eu-central-1", "RU": "eu-central-1",
		"IE": "eu-west-1", "GB": "eu-west-1", "PT": "eu-west-1", "IS": "eu-west-1",
		"US": "us-east-1", "CA": "us-east-1", "CU": "us-east-1",
		"SG": "ap-southeast-1", "JP": "ap-southeast-1", "IN": "ap-southeast-1", "AU": "ap-southeast-1",
		"BR": "sa-east-1", "AR": "sa-east-1", "CL": "sa-east-1",
		// Over the pole and over the date line.
		"PF": "us-west-2", "FJ": "ap-southeast-1",
		// Not countries: the control region.
		"": "us-east-1", "D": "us-east-1", "DEU": "us-east-1", "ZZ": "us-east-1", "T1": "us-east-1", "@@": "us-east-1", "{{": "us-east-1", "\xc3\x9f": "us-east-1",
	} {
		if got := d.ID(d.Nearest(country)); got != want {
			t.Errorf("Nearest(%q) = %s, want %s", country, got, want)
		}
	}
}

// A region is nearest if no other is nearer, by another formula for the distance: the spherical law of cosines on vectors.
func TestNearestIsNearest(t *testing.T) {
	t.Parallel()
	d := topologyfile.Default()
	points := topology.Countries()
	if len(points) < 249 {
		t.Fatalf("%d countries, ISO 3166-1 has 249", len(points))
	}
	seen := make(map[string]bool)
	for _, p := range points {
		if seen[p.Code] || strings.ToUpper(p.Code) != p.Code || len(p.Code) != 2 {
			t.Errorf("country %q twice or misspelt", p.Code)
		}
		seen[p.Code] = true
		if math.Abs(p.Latitude) > 90 || math.Abs(p.Longitude) > 180 {
			t.Errorf("%s is not on the globe", p.Code)
		}
		cosine := func(i topology.Index) float64 {
			return dot(vector(p.Latitude, p.Longitude), vector(d.Region(i).GetLatitude(), d.Region(i).GetLongitude()))
		}
		chosen := d.Nearest(p.Code)
		for _, other := range d.Regions() {
			if cosine(other) > cosine(chosen)+1e-9 {
				t.Errorf("Nearest(%s) = %s, but %s is nearer", p.Code, d.ID(chosen), d.ID(other))
			}
		}
	}
}

func vector(latitude, longitude float64) [3]float64 {
	a, b := latitude*math.Pi/180, longitude*math.Pi/180
	return [3]float64{math.Cos(a) * math.Cos(b), math.Cos(a) * math.Sin(b), math.Sin(a)}
}

func dot(a, b [3]float64) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func TestNearestWithoutCoordinates(t *testing.T) {
	t.Parallel()
	d, err := topologyfile.Parse("n.yaml", []byte(`regions:
  - {id: eu-1, jurisdiction: EU, roles: [home], port: 8081}
  - {id: us-1, jurisdiction: US, roles: [home, control], port: 8082}
  - {id: sg-1, jurisdiction: SG, roles: [home], port: 8083, latitude: 1.35, longitude: 103.82}
`))
	if err != nil {
		t.Fatal(err)
	}
	// Ghana is next to the point 0, 0 that a region without coordinates would be at.
	if got := d.ID(d.Nearest("GH")); got != "sg-1" {
		t.Errorf("Nearest(GH) = %s, want the only region that says where it is", got)
	}
	if got := d.ID(d.Nearest("??")); got != "us-1" {
		t.Errorf("Nearest(??) = %s, want the control region", got)
	}
}

func TestReadsDoNotAllocate(t *testing.T) { //nolint:paralleltest // It counts allocations.
	d := topologyfile.Default()
	var sum int
	if n := testing.AllocsPerRun(100, func() {
		sum += int(d.Nearest("de")) + len(d.Endpoint(1)) + int(d.Control())
		if d.SameJurisdiction(0, 1) {
			sum++
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if sum == 0 {
		t.Error("nothing was read")
	}
}
