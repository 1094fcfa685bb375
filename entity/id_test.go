package entity

import (
	"sort"
	"strings"
	"testing"

	"github.com/gofrs/uuid/v5"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The vectors are of the TypeID specification (valid.yml).
func TestIDVectors(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"nil_00000000000000000000000000":    "00000000-0000-0000-0000-000000000000",
		"one_00000000000000000000000001":    "00000000-0000-0000-0000-000000000001",
		"ten_0000000000000000000000000a":    "00000000-0000-0000-0000-00000000000a",
		"xxxii_00000000000000000000000010":  "00000000-0000-0000-0000-000000000020",
		"max_7zzzzzzzzzzzzzzzzzzzzzzzzz":    "ffffffff-ffff-ffff-ffff-ffffffffffff",
		"prefix_0123456789abcdefghjkmnpqrs": "0110c853-1d09-52d8-d73e-1194e95b5f19",
		"prefix_01h455vb4pex5vsknk084sn02q": "01890a5d-ac96-774b-bcce-b302099a8057",
	} {
		prefix, _, _ := strings.Cut(id, "_")
		got, ok := parseID(prefix, id)
		if !ok || got.String() != want {
			t.Errorf("parseID(%q) = %v, %v; want %s", id, got, ok, want)
		}
		if back := formatID(prefix, uuid.Must(uuid.FromString(want))); back != id {
			t.Errorf("formatID(%s) = %q; want %q", want, back, id)
		}
	}
}

func TestParseIDRefuses(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]string{
		"empty":        "",
		"prefix alone": "usr_",
		"other type":   "org_01h455vb4pex5vsknk084sn02q",
		"longer type":  "usrx_01h455vb4pex5vsknk084sn02q",
		"no separator": "usr01h455vb4pex5vsknk084sn02q",
		"upper case":   "usr_01H455VB4PEX5VSKNK084SN02Q",
		"look-alike i": "usr_0ih455vb4pex5vsknk084sn02q",
		"look-alike l": "usr_0lh455vb4pex5vsknk084sn02q",
		"look-alike o": "usr_o1h455vb4pex5vsknk084sn02q",
		"letter u":     "usr_01h455vb4pex5vsknk084sn02u",
		"overflow":     "usr_8zzzzzzzzzzzzzzzzzzzzzzzzz",
		"too short":    "usr_01h455vb4pex5vsknk084sn02",
		"too long":     "usr_01h455vb4pex5vsknk084sn02qq",
		"space":        "usr_01h455vb4pex5vsknk084sn02 ",
		"other bytes":  "usr_01h455vb4pex5vsknk084sn0\xff\xff",
	} {
		if u, ok := parseID("usr", id); ok {
			t.Errorf("%s: parseID accepts %q as %v", name, id, u)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("usr_01h455vb4pex5vsknk084sn02q")
	f.Add("usr_8zzzzzzzzzzzzzzzzzzzzzzzzz")
	f.Add("usr_")
	f.Fuzz(func(t *testing.T, id string) {
		if u, ok := parseID("usr", id); ok && formatID("usr", u) != id {
			t.Errorf("%q is read as %v, which is written %q", id, u, formatID("usr", u))
		}
	})
}

func TestIDsSortAsTheirUUIDs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 16, 16), 2, 20).Draw(t, "uuids")
		sort.Slice(raw, func(i, j int) bool { return string(raw[i]) < string(raw[j]) })
		ids := make([]string, len(raw))
		for i := range raw {
			ids[i] = formatID("usr", uuid.UUID(raw[i]))
			back, ok := parseID("usr", ids[i])
			if diff := cmp.Diff(uuid.UUID(raw[i]), back); !ok || diff != "" {
				t.Fatalf("round trip of %q: %v %s", ids[i], ok, diff)
			}
		}
		if !sort.StringsAreSorted(ids) {
			t.Fatalf("ids do not sort as their UUIDs: %q", ids)
		}
	})
}
