package cost

import (
	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
	"github.com/domicile-api/domicile/internal/topology"
)

// traffic is what happens in a region, in calls, events and bytes a second.
type traffic struct {
	region topology.Index
	// tenants are at home here; copies are those of which sealed copies are here, replicas those of which projections are.
	tenants, copies, replicas float64
	// entered came in at the region's edge; served were answered by its services, local of them from the replica; forwarded went on
	// to another region, and waited for its answer for so many seconds altogether.
	entered, served, local, forwarded, waited float64
	// writes were committed here, and reads answered from the regional table.
	writes, reads float64
	// sentProjections and sentCopies are events to other regions; gotProjections and gotCopies, events of others. sealedEvents are those got
	// that came through the sealed queue.
	sentProjections, sentCopies, gotProjections, gotCopies, sealedEvents float64
	// keyed is how many calls and events a second need a tenant's key here, of keyTenants tenants.
	keyed, keyTenants float64
}

// trafficOf spreads calls and tenants over a topology: homes have equal shares, what comes in away from home comes in everywhere alike.
func trafficOf(in *Input) []traffic {
	t := in.Topology
	all := make([]traffic, t.Len())
	var homes []topology.Index
	for _, i := range t.Regions() {
		all[i].region = i
		if t.Is(i, topologyv1.Role_ROLE_HOME) {
			homes = append(homes, i)
		}
	}
	share := 1 / float64(len(homes))
	for _, home := range homes {
		in.addHome(all, home, share)
	}
	return all
}

// addHome adds the calls of the tenants of a home.
func (in *Input) addHome(all []traffic, home topology.Index, share float64) {
	t, h := in.Topology, &all[home]
	calls, tenants := in.RPS*share, in.Tenants*share
	writes := calls * in.Writes
	h.tenants += tenants
	h.keyTenants += tenants
	served, awayEach := calls, 0.0
	if others := t.Len() - 1; others > 0 {
		awayEach = calls * in.Away / float64(others)
	}
	for _, i := range t.Regions() {
		if i == home {
			continue
		}
		r := &all[i]
		projections := in.granted(home, i)
		local := awayEach * (1 - in.Writes) * in.Nearest * projections
		forwarded := awayEach - local
		r.entered += awayEach
		r.served += local
		r.local += local
		r.forwarded += forwarded
		r.waited += forwarded * t.RoundTrip(i, home).Seconds()
		served -= local
		in.addEvents(h, r, writes, tenants, projections)
		if t.SameJurisdiction(home, i) {
			r.keyed += local
			r.keyTenants += tenants * projections
		}
	}
	h.entered += calls - awayEach*float64(t.Len()-1)
	h.served += served
	h.writes += writes
	h.reads += served - writes
	h.keyed += served
}

// granted is the share of a home's tenants of which a region may hold projections.
func (in *Input) granted(home, region topology.Index) float64 {
	if in.Topology.SameJurisdiction(home, region) {
		return in.Everywhere + in.Jurisdiction
	}
	return in.Everywhere
}

// addEvents adds what a home's writes mean for another region.
func (in *Input) addEvents(h, r *traffic, writes, tenants, projections float64) {
	same := in.Topology.SameJurisdiction(h.region, r.region)
	h.sentProjections += writes * projections
	r.gotProjections += writes * projections
	r.replicas += tenants * projections
	if same {
		// What goes through the sealed queue: everything of who has a standby there, and projections of scope JURISDICTION.
		r.sealedEvents += writes * projections
	}
	if in.Topology.Standby(h.region) == r.region {
		h.sentCopies += writes * in.Standby
		r.gotCopies += writes * in.Standby
		r.sealedEvents += writes * in.Standby
		r.copies += tenants * in.Standby
	}
}
