package topology_test

import (
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// Where the parts of the binary form are: 18 bytes of magic, version, port base, checksum, message.
const (
	versionAt = 18
	baseAt    = 19
	sumAt     = 21
	messageAt = sumAt + sha256.Size
)

// signed puts the checksum right that the bytes would have if Marshal had written them.
func signed(data []byte) []byte {
	sum := sha256.Sum256(append(append([]byte(nil), data[:sumAt]...), data[messageAt:]...))
	copy(data[sumAt:], sum[:])
	return data
}

func marshal(t testing.TB, top *topology.Topology) []byte {
	t.Helper()
	data, err := topology.Marshal(top)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func unmarshal(t testing.TB, data []byte) *topology.Topology {
	t.Helper()
	top, err := topology.Unmarshal(data)
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// What comes out is what went in, port base and endpoints included, and can be moved on like it.
func TestBinaryRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		message := topologyfile.Default().Proto()
		for _, region := range message.GetRegions() {
			region.Endpoint = ""
			if rapid.Bool().Draw(t, "endpoint") {
				region.Endpoint = "https://" + region.GetId() + ".example.com"
			}
			if rapid.Bool().Draw(t, "services") {
				region.ServicesEndpoint = "https://services." + region.GetId() + ".example.com"
			}
			region.Latitude = rapid.Float64Range(0.1, 90).Draw(t, "latitude")
		}
		message.RoundTripTimes = message.GetRoundTripTimes()[:rapid.IntRange(0, len(message.GetRoundTripTimes())).Draw(t, "trips")]
		given, err := topologyfile.New(message)
		if err != nil {
			t.Fatal(err)
		}
		if given, err = given.WithPortBase(rapid.IntRange(1, 65519).Draw(t, "base")); err != nil {
			t.Fatal(err)
		}
		data, err := topology.Marshal(given)
		if err != nil {
			t.Fatal(err)
		}
		got, err := topology.Unmarshal(data)
		if err != nil {
			t.Fatal(err)
		}
		same := func(what string, a, b *topology.Topology) {
			if diff := cmp.Diff(a.Proto(), b.Proto(), protocmp.Transform()); diff != "" || a.GlobalPort() != b.GlobalPort() || a.Control() != b.Control() {
				t.Fatalf("%s, ports from %d and %d (-given +got):\n%s", what, a.GlobalPort(), b.GlobalPort(), diff)
			}
			for _, i := range a.Regions() {
				for _, j := range a.Regions() {
					if a.RoundTrip(i, j) != b.RoundTrip(i, j) {
						t.Fatalf("%s: the round trip between %s and %s", what, a.ID(i), a.ID(j))
					}
				}
			}
		}
		same("as it is", given, got)
		movedGiven, err := given.WithPortBase(topology.GlobalPort)
		if err != nil {
			t.Fatal(err)
		}
		movedGot, err := got.WithPortBase(topology.GlobalPort)
		if err != nil {
			t.Fatal(err)
		}
		same("moved", movedGiven, movedGot)
	})
}

// Each bit counts, and each byte that is missing or too much.
func TestBinaryThatWasAltered(t *testing.T) {
	t.Parallel()
	data := marshal(t, topologyfile.Default())
	for i := range data {
		for bit := range 8 {
			altered := append([]byte(nil), data...)
			altered[i] ^= 1 << bit
			want := topology.ErrAltered
			if i == versionAt {
				want = topology.ErrRelease
			}
			if _, err := topology.Unmarshal(altered); !errors.Is(err, want) {
				t.Fatalf("bit %d of byte %d: %v", bit, i, err)
			}
		}
		if _, err := topology.Unmarshal(data[:i]); !errors.Is(err, topology.ErrAltered) {
			t.Fatalf("the first %d bytes: %v", i, err)
		}
	}
	for what, other := range map[string][]byte{
		"a byte more": append(append([]byte(nil), data...), 0), "a topology file": topologyfile.DefaultYAML(), "too much": make([]byte, 1<<20),
		"no protobuf": signed(append(append([]byte(nil), data...), 0xff)),
	} {
		if _, err := topology.Unmarshal(other); !errors.Is(err, topology.ErrAltered) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What this release does not know may be what a lawful decision hangs on.
func TestBinaryOfAnotherRelease(t *testing.T) {
	t.Parallel()
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), 1)
	head := marshal(t, topologyfile.Default())[:messageAt]
	for what, change := range map[string]func(*topologyv1.Topology){
		"a field of the topology":  func(m *topologyv1.Topology) { m.ProtoReflect().SetUnknown(unknown) },
		"a field of a region":      func(m *topologyv1.Topology) { m.GetRegions()[5].ProtoReflect().SetUnknown(unknown) },
		"a field of a round trip":  func(m *topologyv1.Topology) { m.GetRoundTripTimes()[1].ProtoReflect().SetUnknown(unknown) },
		"a role":                   func(m *topologyv1.Topology) { m.GetRegions()[5].Roles = append(m.GetRegions()[5].GetRoles(), 9) },
		"a negative role, as well": func(m *topologyv1.Topology) { m.GetRegions()[0].Roles = append(m.GetRegions()[0].GetRoles(), -1) },
	} {
		message := topologyfile.Default().Proto()
		change(message)
		body, err := proto.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := topology.Unmarshal(signed(append(append([]byte(nil), head...), body...))); !errors.Is(err, topology.ErrRelease) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestFromCheckedRefusesWhatItCannotHold(t *testing.T) {
	t.Parallel()
	many := &topologyv1.Topology{}
	for i := range topology.MaxRegions + 1 {
		many.Regions = append(many.Regions, &topologyv1.Region{Id: string(rune('a' + i)), Port: int32(9000 + i)})
	}
	many.Regions[0].Roles = []topologyv1.Role{control}
	for what, change := range map[string]func(*topologyv1.Topology) *topologyv1.Topology{
		"nothing":         func(*topologyv1.Topology) *topologyv1.Topology { return nil },
		"no region":       func(*topologyv1.Topology) *topologyv1.Topology { return &topologyv1.Topology{} },
		"too many":        func(*topologyv1.Topology) *topologyv1.Topology { return many },
		"a region of nil": func(m *topologyv1.Topology) *topologyv1.Topology { m.Regions[1] = nil; return m },
		"an id twice": func(m *topologyv1.Topology) *topologyv1.Topology {
			m.Regions[1].Id = m.GetRegions()[0].GetId()
			return m
		},
		"no control": func(m *topologyv1.Topology) *topologyv1.Topology { m.Regions[2].Roles = nil; return m },
		"two control": func(m *topologyv1.Topology) *topologyv1.Topology {
			m.Regions[0].Roles = m.GetRegions()[2].GetRoles()
			return m
		},
		"a trip to nowhere": func(m *topologyv1.Topology) *topologyv1.Topology { m.RoundTripTimes[0].Between[1] = "mars-1"; return m },
		"a trip of one end": func(m *topologyv1.Topology) *topologyv1.Topology {
			m.RoundTripTimes[0].Between = []string{"eu-west-1"}
			return m
		},
		"a trip that is nil": func(m *topologyv1.Topology) *topologyv1.Topology { m.RoundTripTimes[0] = nil; return m },
	} {
		if _, err := topology.FromChecked(change(topologyfile.Default().Proto())); !errors.Is(err, topology.ErrUnchecked) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if top := unmarshal(t, marshal(t, topologyfile.Default())); top.Len() != 6 {
		t.Errorf("%d regions", top.Len())
	}
}

// FuzzUnmarshal puts the checksum right, so that all that stands behind it is met by anything: nothing panics, and what is taken can be read.
func FuzzUnmarshal(f *testing.F) {
	data := marshal(f, topologyfile.Default())
	f.Add(uint16(topology.GlobalPort), data[messageAt:])
	f.Add(uint16(65519), data[messageAt:])
	f.Add(uint16(0), []byte{})
	f.Fuzz(func(t *testing.T, base uint16, body []byte) {
		whole := append(append([]byte(nil), data[:messageAt]...), body...)
		whole[baseAt], whole[baseAt+1] = byte(base>>8), byte(base)
		top, err := topology.Unmarshal(signed(whole))
		if err != nil {
			return
		}
		for _, i := range top.Regions() {
			for _, j := range top.Regions() {
				_ = top.RoundTrip(i, j) + top.RoundTrip(j, i)
				_ = top.SameJurisdiction(i, j)
			}
			if at, ok := top.Index(top.ID(i)); !ok || at != i || top.Port(i) < 1 || top.Port(i) > topology.MaxPort {
				t.Errorf("region %d: %v", i, top.Region(i))
			}
			_, _, _ = top.Standby(i), top.Witness(i), top.PeerKeys(i)
		}
		if !top.Has(top.Control()) || !top.Has(top.Nearest("DE")) {
			t.Errorf("control %d, nearest %d", top.Control(), top.Nearest("DE"))
		}
		if again := unmarshal(t, marshal(t, top)); again.Len() != top.Len() {
			t.Errorf("%d regions, then %d", top.Len(), again.Len())
		}
	})
}
