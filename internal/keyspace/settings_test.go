package keyspace

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

func TestSettingsKeys(t *testing.T) {
	t.Parallel()
	if !slices.Contains(Partitions("acme"), Settings("acme")) {
		t.Error("a purge would miss the settings")
	}
	for partition, want := range map[string]ident.TenantID{
		"t/acme/m": "acme", "t/acme/0": "", "t//m": "", "t/acme/x/m": "", "acme/m": "", "t/m": "",
	} {
		if got, ok := ParseSettings(partition); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", partition, got, ok)
		}
	}
	if _, _, ok := ParseLane(Settings("acme")); ok {
		t.Error("the settings look like a lane")
	}
	rapid.Check(t, func(t *rapid.T) {
		region := ident.RegionID(rapid.StringMatching(`[a-z0-9-]{1,20}`).Draw(t, "region"))
		seq := ident.Seq(rapid.Uint64().Draw(t, "seq"))
		key := SettingsParked("acme", region, seq)
		if r, s, ok := ParseSettingsParked(key.Sort); !ok || r != region || s != seq {
			t.Fatalf("%q: %s, %d, %v", key.Sort, r, s, ok)
		}
		first, end := SettingsParkedAll()
		if key.Sort < first || key.Sort >= end {
			t.Fatalf("%q is not between %q and %q", key.Sort, first, end)
		}
		if feed, r, ok := ParseCursor(SettingsCursor("acme", region).Sort); !ok || r != region || feed != replicationv1.Feed_FEED_SETTINGS {
			t.Fatalf("cursor: %v, %s, %v", feed, r, ok)
		}
		if feed, r, ok := ParseWatermark(SettingsWatermark("acme", region).Sort); !ok || r != region || feed != replicationv1.Feed_FEED_SETTINGS {
			t.Fatalf("watermark: %v, %s, %v", feed, r, ok)
		}
		name := rapid.StringMatching(`[a-z0-9-]{1,64}`).Draw(t, "name")
		after := rapid.StringMatching(`[a-z0-9-]{1,64}`).Draw(t, "after")
		first, end = NamespacesAfter(after)
		sort := Namespace("acme", name).Sort
		if got, ok := ParseNamespace(sort); !ok || got != name {
			t.Fatalf("%q: %q, %v", sort, got, ok)
		}
		if (sort >= first && sort < end) != (name > after) {
			t.Fatalf("%q after %q", name, after)
		}
	})
}
