package topology_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	d := topologyfile.Default()
	at := func(id string) topology.Index {
		for _, i := range d.Regions() {
			if string(d.ID(i)) == id {
				return i
			}
		}
		t.Fatal("no region " + id)
		return topology.NoRegion
	}
	for _, test := range []struct {
		a, b      string
		low, high time.Duration
	}{
		{"eu-central-1", "eu-west-1", 19600 * time.Microsecond, 19600 * time.Microsecond},
		{"sa-east-1", "ap-southeast-1", 328100 * time.Microsecond, 328100 * time.Microsecond},
		{"eu-central-1", "ap-southeast-1", 150 * time.Millisecond, 165 * time.Millisecond}, // an estimate
		{"eu-central-1", "eu-central-1", 0, 0},
	} {
		got, back := d.RoundTrip(at(test.a), at(test.b)), d.RoundTrip(at(test.b), at(test.a))
		if got < test.low || got > test.high || got != back {
			t.Errorf("between %s and %s: %s and %s", test.a, test.b, got, back)
		}
	}
	if d.RoundTrip(0, topology.NoRegion) != 0 || d.RoundTrip(7, 0) != 0 {
		t.Error("a round trip with a region that there is not")
	}
	moved, err := d.WithPortBase(9080)
	if err != nil || moved.RoundTrip(0, 1) != d.RoundTrip(0, 1) {
		t.Errorf("with another port base: %v", err)
	}
	nowhere, err := topologyfile.Parse("f.yaml", []byte(`regions:
  - {id: eu-1, jurisdiction: EU, roles: [home, control], port: 8081}
  - {id: us-1, jurisdiction: US, roles: [home], port: 8082}
`))
	if err != nil || nowhere.RoundTrip(0, 1) != 100*time.Millisecond {
		t.Errorf("regions that do not say where they are: %v", err)
	}
}

// What the file gives is what is answered, in both directions; what it leaves out is an estimate that is no faster than light.
func TestRoundTripsAreSymmetric(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// The quadrant leaves out zero, which a message cannot tell from nothing.
		message := topologyfile.Default().Proto()
		for _, region := range message.GetRegions() {
			region.Latitude = rapid.Float64Range(-90, -0.1).Draw(t, "latitude")
			region.Longitude = rapid.Float64Range(0.1, 180).Draw(t, "longitude")
		}
		keep := rapid.IntRange(0, len(message.GetRoundTripTimes())).Draw(t, "keep")
		message.RoundTripTimes = message.GetRoundTripTimes()[:keep]
		d, err := topologyfile.New(message)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range d.Regions() {
			for _, b := range d.Regions() {
				got := d.RoundTrip(a, b)
				if got != d.RoundTrip(b, a) || (a == b) != (got == 0) || got > 500*time.Millisecond {
					t.Fatalf("between %s and %s: %s", d.ID(a), d.ID(b), got)
				}
			}
		}
	})
}
