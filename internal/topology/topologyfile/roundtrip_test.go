package topologyfile_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
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
	problems := topologyfile.Check("f.yaml", []byte(text))
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

	top, err := topologyfile.Parse("f.yaml", []byte(add("us-1", "["+one+", "+two+"]")))
	if err != nil {
		t.Fatal(err)
	}
	us, _ := top.Index("us-1")
	eu, _ := top.Index("eu-1")
	if keys := top.PeerKeys(us); len(keys) != 2 || string(keys[1]) != strings.Repeat("2", 32) || top.PeerKeys(eu) != nil || top.PeerKeys(topology.NoRegion) != nil {
		t.Errorf("keys %v", keys)
	}
}
