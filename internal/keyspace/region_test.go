package keyspace

import (
	"testing"

	"pgregory.net/rapid"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

func TestDirtyKeysAreRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tenant := ident.TenantID(rapid.StringMatching(`[a-z][a-z0-9-]{1,30}`).Draw(t, "tenant"))
		lane := ident.Lane(rapid.IntRange(0, ident.Lanes-1).Draw(t, "lane"))
		feed := rapid.SampledFrom([]replicationv1.Feed{
			replicationv1.Feed_FEED_PROJECTIONS, replicationv1.Feed_FEED_STANDBY,
		}).Draw(t, "feed")
		key := Dirty("us-east-1", tenant, lane, feed)
		gotTenant, gotLane, gotFeed, ok := ParseDirty(key.Sort)
		if !ok || gotTenant != tenant || gotLane != lane || gotFeed != feed || key.Partition != DirtyPairs("us-east-1") {
			t.Fatalf("%q is read as %q, %d, %v, %v", key.Sort, gotTenant, gotLane, gotFeed, ok)
		}
	})
	for _, sort := range []string{"", "acme", "acme/1", "acme/8/p", "acme/x/p", "acme/1/?", "/1/p", "acme/1/p/more"} {
		if _, _, _, ok := ParseDirty(sort); ok {
			t.Errorf("%q is taken for a mark", sort)
		}
	}
}

func TestStandingsAreFoundFromAnyOfTheirTenants(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		turn   uint32
		first  ident.TenantID
		tenant ident.TenantID
		in     bool
	}{
		{0, "acme", "acme", true}, {0, "acme", "beta", true}, {0, "beta", "acme", false}, {1, "acme", "beta", false}, {2, "acme", "beta", true},
	} {
		from, to := StandingsUpTo(0, c.tenant)
		key := Standings("us-east-1", c.turn, c.first)
		if in := key.Sort >= from && key.Sort < to; in != c.in {
			t.Errorf("%+v: %v", c, in)
		}
	}
}
