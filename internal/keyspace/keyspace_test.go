package keyspace

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

// The lanes of ids are part of what is stored and of every token: this test fails when they change.
func TestLaneOfIsStable(t *testing.T) {
	t.Parallel()
	got := map[string]ident.Lane{}
	want := map[string]ident.Lane{
		"usr_01h455vb4pex5vsknk084sn02q": 5,
		"usr_01h2xcejqtf2nbrexx3vqjhp41": 3,
		"org_00000000000000000000000000": 2,
	}
	for id := range want {
		got[id] = LaneOf(id)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lanes (-want +got):\n%s", diff)
	}
}

func TestOutboxKeysSortByNumber(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		ka, kb := Outbox("t", 3, ident.Seq(a)).Sort, Outbox("t", 3, ident.Seq(b)).Sort
		if (a < b) != (ka < kb) {
			t.Fatalf("%d and %d sort otherwise as keys", a, b)
		}
	})
}

func TestEntityRangeHasOneTypeOnly(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("0", 26)
	from, to := EntitiesOf("us", "")
	in := func(id string) bool { s := EntityPrefix + id; return s >= from && s < to }
	if !in("us_"+digits) || !in("us_7"+strings.Repeat("z", 25)) {
		t.Error("ids of the type are outside of its range")
	}
	for _, other := range []string{"usr_" + digits, "u_" + digits, "ut_" + digits} {
		if in(other) {
			t.Errorf("%s is inside the range of another type", other)
		}
	}
	after := "us_" + strings.Repeat("1", 26)
	if from, _ := EntitiesOf("us", after); EntityPrefix+after >= from {
		t.Error("the range after an id has the id")
	}
}

func TestPartitionsHaveEveryKey(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, p := range Partitions("acme") {
		if known[p] {
			t.Errorf("%s is listed twice", p)
		}
		known[p] = true
	}
	rapid.Check(t, func(t *rapid.T) {
		hash := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash")
		id := rapid.StringN(1, 40, 40).Draw(t, "id")
		for _, key := range []string{
			Lookup("acme", "usr", &storagev1.Lookup{Field: 4, Hash: hash}).Partition,
			Entity("acme", id).Partition,
			Counter("acme", LaneOf(id)).Partition,
			Outbox("acme", LaneOf(id), 7).Partition,
		} {
			if !known[key] {
				t.Fatalf("a purge would miss %s", key)
			}
		}
	})
}

func TestParkedStreamsAreFoundAgain(t *testing.T) {
	t.Parallel()
	want := &replicationv1.Stream{Tenant: "acme", Lane: 7, Feed: replicationv1.Feed_FEED_STANDBY, Origin: "eu-central-1"}
	key := ParkedStream(want)
	got, ok := ParseParkedStream(key.Sort)
	if !ok || key.Partition != ParkedStreams() || !proto.Equal(want, got) {
		t.Errorf("%q is read as %v", key.Sort, got)
	}
	for _, sort := range []string{"", "acme", "acme/7", "acme/x/s/eu", "acme/7/q/eu", "acme/7/s/", "/7/s/eu", "acme/256/s/eu"} {
		if s, ok := ParseParkedStream(sort); ok {
			t.Errorf("%q is read as %v", sort, s)
		}
	}
}

func TestTombstonesAreNoEntities(t *testing.T) {
	t.Parallel()
	key := Tombstone("acme", "usr_1")
	if key.Partition != Entity("acme", "usr_1").Partition {
		t.Error("a tombstone is not in its entity's lane")
	}
	if from, to := Entities("", ""); key.Sort >= from && key.Sort < to {
		t.Error("a tombstone is listed as an entity")
	}
	if from, to := Tombstones(); key.Sort < from || key.Sort >= to {
		t.Error("a tombstone is not listed")
	}
}
