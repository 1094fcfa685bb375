package deployment_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/deployment"
)

func TestNames(t *testing.T) {
	t.Parallel()
	n, err := deployment.New("")
	if err != nil {
		t.Fatal(err)
	}
	got := []string{
		n.Deployment(), n.Table("regional"), n.Queue("events"), n.DeadQueue("events"), n.TenantsKey(), n.RouteKey(), n.PeerKey(),
		n.Topology(), n.Snapshots("000000000000", "eu-central-1"),
	}
	want := []string{
		"domicile", "domicile-regional", "domicile-events.fifo", "domicile-events-dead.fifo", "alias/domicile-tenants", "domicile/route-key",
		"domicile/peer-key", "/domicile/topology", "domicile-snapshots-000000000000-eu-central-1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"Big", "1st", "-x", "with space", "under_score", strings.Repeat("a", 21)} {
		if _, err := deployment.New(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestSeedsFollowFromSecrets(t *testing.T) {
	t.Parallel()
	secret := []byte(strings.Repeat("s", 64))
	route, err := deployment.RouteSeed(secret)
	if err != nil {
		t.Fatal(err)
	}
	again, err := deployment.RouteSeed(secret)
	if err != nil || !bytes.Equal(route, again) {
		t.Errorf("another seed each time: %v", err)
	}
	if peer, err := deployment.PeerSeed(secret); err != nil || bytes.Equal(peer, route) {
		t.Errorf("one seed for two purposes: %v", err)
	}
	if _, err := deployment.RouteSeed(secret[:31]); err == nil {
		t.Error("a short secret is taken")
	}
}
