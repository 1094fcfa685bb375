package topologyfile_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// Whatever a file has in it, Parse either returns a topology that keeps the package's promises, or says where it is wrong.
func FuzzParse(f *testing.F) {
	f.Add(topologyfile.DefaultYAML())
	for _, text := range []string{
		good, "", "~", "regions:", "regions: [~]", "regions: [[]]", "regions: {}", "---\n---\n", "a: &a [*a]", "? [a.b]\n: x\n", "? {a: b}\n: x\n",
		"regions: [{id: eu-1, jurisdiction: EU, roles: [home, control], port: 8081}]",
		"regions:\n- id: a\n  id: b\n  roles: &r [*r]\n", "\ufeffregions: []", "a: b\rc: d\r", "a: \"x\u2028y\"\n", "\xff\xfea\x00", "regions: !!binary aGk=",
		"regions:\n\t- id: x\n", "regions: [", "%YAML 1.2\n---\nregions: []\n", "regions:\n- {port: 0x1f92, roles: [1, home], latitude: .inf, longitude: 1e999}\n",
		edit("eu-2\n    witness", "\"eu-2\\0\"\n    witness"),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := topologyfile.Parse("f.yaml", data)
		if err == nil {
			checkPromises(t, d)
			again, err := topologyfile.New(d.Proto())
			if err != nil || again.Len() != d.Len() || again.Control() != d.Control() {
				t.Errorf("the same again: %v", err)
			}
			return
		}
		var refused *topologyfile.Error
		if !errors.As(err, &refused) || len(refused.Problems) == 0 {
			t.Fatalf("a refusal without a problem: %T %v", err, err)
		}
		lines := strings.Split(string(data), "\n")
		for _, p := range refused.Problems {
			if p.Message == "" || p.Advice == "" || p.Line < 1 || p.Column < 1 || p.Line > len(lines)+1 {
				t.Errorf("problem %+v of %d lines", p, len(lines))
			}
			if !utf8.ValidString(p.Message) {
				t.Errorf("message %q", p.Message)
			}
		}
	})
}

func checkPromises(t *testing.T, d *topology.Topology) {
	t.Helper()
	ids, ports, lawHasHome, controls := map[ident.RegionID]bool{}, map[int]bool{8080: true, 8090: true}, map[ident.Jurisdiction]bool{}, 0
	for _, i := range d.Regions() {
		if d.Is(i, topologyv1.Role_ROLE_HOME) {
			lawHasHome[d.Jurisdiction(i)] = true
		}
		if d.Is(i, topologyv1.Role_ROLE_CONTROL) {
			controls++
		}
	}
	for _, i := range d.Regions() {
		if ids[d.ID(i)] || ports[d.Port(i)] || d.ID(i) == "" || !lawHasHome[d.Jurisdiction(i)] {
			t.Errorf("region %d: %v", i, d.Region(i))
		}
		ids[d.ID(i)], ports[d.Port(i)] = true, true
		s, w := d.Standby(i), d.Witness(i)
		if (s == topology.NoRegion) != (w == topology.NoRegion) || s != topology.NoRegion &&
			(s == i || w == i || s == w || !d.SameJurisdiction(i, s) || !d.Is(s, topologyv1.Role_ROLE_STANDBY) || !d.Is(i, topologyv1.Role_ROLE_HOME)) {
			t.Errorf("the pair of %s: standby %d, witness %d", d.ID(i), s, w)
		}
		if d.Endpoint(i) == "" || strings.HasSuffix(d.Endpoint(i), "/") {
			t.Errorf("endpoint %q", d.Endpoint(i))
		}
		if at, ok := d.Index(d.ID(i)); !ok || at != i {
			t.Errorf("Index(%s) = %d", d.ID(i), at)
		}
		for _, other := range d.Regions() {
			if d.SameJurisdiction(i, other) != (d.Jurisdiction(i) == d.Jurisdiction(other)) {
				t.Errorf("SameJurisdiction(%s, %s)", d.ID(i), d.ID(other))
			}
		}
	}
	if controls != 1 || !d.Is(d.Control(), topologyv1.Role_ROLE_CONTROL) || d.Len() < 1 || d.Len() > topology.MaxRegions {
		t.Errorf("%d control regions among %d", controls, d.Len())
	}
}
