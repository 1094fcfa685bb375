package topology_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/internal/topology"
)

func peerKey(fill string) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(fill, 32)))
}

func TestRoundTripRefusals(t *testing.T) {
	t.Parallel()
	const line = 16 // of "round_trip_times:"
	for name, test := range map[string]struct {
		trips string
		want  []string
	}{
		"none":           {"", nil},
		"empty":          {"round_trip_times: []\n", nil},
		"one":            {"round_trip_times:\n  - {between: [eu-1, us-1], milliseconds: 88.6}\n", nil},
		"unknown region": {"round_trip_times:\n  - {between: [eu-1, us-9], milliseconds: 88.6}\n", []string{`17:22: there is no region "us-9"`}},
		"twice, turned round": {
			"round_trip_times:\n  - {between: [eu-1, us-1], milliseconds: 88.6}\n  - {between: [us-1, eu-1], milliseconds: 88.6}\n",
			[]string{"18:15: the round trip between eu-1 and us-1 stands twice; the first is in line 17"},
		},
		"negative": {
			"round_trip_times:\n  - {between: [eu-1, us-1], milliseconds: -1}\n",
			[]string{"17:43: milliseconds: must be greater than 0 and less than or equal to 10000"},
		},
		"infinite": {
			"round_trip_times:\n  - {between: [eu-1, us-1], milliseconds: .inf}\n",
			[]string{"17:43: milliseconds: "},
		},
		"no number": {
			"round_trip_times:\n  - {between: [eu-1, us-1], milliseconds: far}\n",
			[]string{"17:43: milliseconds: "},
		},
		"missing": {
			"round_trip_times:\n  - {between: [eu-1, us-1]}\n",
			[]string{"17:5: milliseconds: must be greater than 0 and less than or equal to 10000"},
		},
		"no regions": {
			"round_trip_times:\n  - {milliseconds: 1}\n",
			[]string{"17:5: between: must contain at least 2 item(s)"},
		},
		"to itself": {
			"round_trip_times:\n  - {between: [eu-1, eu-1], milliseconds: 1}\n",
			[]string{"17:15: between: repeated value must contain unique items"},
		},
		"unknown field": {
			"round_trip_times:\n  - {between: [eu-1, us-1], milliseconds: 1, seconds: 1}\n",
			[]string{`17:46: unknown field "seconds"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkProblems(t, good+test.trips, test.want)
		})
	}
	if got := strings.Count(good, "\n"); got != line-1 {
		t.Errorf("the file that the cases add to has %d lines", got)
	}
}

// checkProblems compares the beginnings of the problems of a file.
func checkProblems(t *testing.T, text string, want []string) {
	t.Helper()
	problems := topology.Check("f.yaml", []byte(text))
	got := make([]string, 0, len(problems))
	for i, p := range problems {
		line := fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Message)
		if i < len(want) && strings.HasPrefix(line, want[i]) {
			line = want[i]
		}
		got = append(got, line)
		if p.Advice == "" {
			t.Errorf("no advice for %v", p)
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestPeerKeys(t *testing.T) {
	t.Parallel()
	one, two := peerKey("1"), peerKey("2")
	add := func(region, keys string) string {
		return strings.Replace(good, "id: "+region+"\n", "id: "+region+"\n    peer_keys: "+keys+"\n", 1)
	}
	checkProblems(t, add("us-1", "["+one+", "+two+"]"), nil)
	checkProblems(t, add("us-1", "["+one[:20]+"]"), []string{"13:17: peer_keys: does not match regex pattern"})
	checkProblems(t, add("us-1", "["+one[:42]+"/=]"), []string{"13:17: peer_keys: not the base64 of an Ed25519 public key"})
	checkProblems(t, add("us-1", "["+one+", "+one+"]"), []string{"13:16: peer_keys: repeated value must contain unique items"})
	shared := strings.Replace(add("us-1", "["+one+"]"), "id: eu-1\n", "id: eu-1\n    peer_keys: ["+one+"]\n", 1)
	checkProblems(t, shared, []string{"14:17: two regions have one peer key; the first is in line 3"})

	top, err := topology.Parse("f.yaml", []byte(add("us-1", "["+one+", "+two+"]")))
	if err != nil {
		t.Fatal(err)
	}
	us, _ := top.Index("us-1")
	eu, _ := top.Index("eu-1")
	if keys := top.PeerKeys(us); len(keys) != 2 || string(keys[1]) != strings.Repeat("2", 32) || top.PeerKeys(eu) != nil || top.PeerKeys(topology.NoRegion) != nil {
		t.Errorf("keys %v", keys)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	d := topology.Default()
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
	nowhere, err := topology.Parse("f.yaml", []byte(good))
	if err != nil || nowhere.RoundTrip(0, 2) != 100*time.Millisecond {
		t.Errorf("regions that do not say where they are: %v", err)
	}
}

// What the file gives is what is answered, in both directions; what it leaves out is an estimate that is no faster than light.
func TestRoundTripsAreSymmetric(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// The quadrant leaves out zero, which a message cannot tell from nothing.
		message := topology.Default().Proto()
		for _, region := range message.GetRegions() {
			region.Latitude = rapid.Float64Range(-90, -0.1).Draw(t, "latitude")
			region.Longitude = rapid.Float64Range(0.1, 180).Draw(t, "longitude")
		}
		keep := rapid.IntRange(0, len(message.GetRoundTripTimes())).Draw(t, "keep")
		message.RoundTripTimes = message.GetRoundTripTimes()[:keep]
		d, err := topology.New(message)
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
