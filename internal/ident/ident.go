// Package ident has the distinct types for what is easily swapped: regions, jurisdictions, tenants, and the numbers that
// order a tenant's writes. It depends on nothing.
package ident

// RegionID names a region, e.g. "eu-central-1".
type RegionID string

// NoRegion is the absence of a region, e.g. of a standby.
const NoRegion RegionID = ""

// Jurisdiction names a set of regions that one body of law covers, e.g. "EU".
type Jurisdiction string

// TenantID names a tenant, e.g. "acme-eu". It is GLOBAL: it appears in host names, keys and logs.
type TenantID string

// Epoch numbers a tenant's present ownership. It grows at each failover or move and never shrinks. The first is 1.
type Epoch uint64

// Seq numbers the writes of a lane, or the records of a directory writer's log. The first is 1.
type Seq uint64

// Lane is one of the Lanes ordered streams of a tenant's writes.
type Lane uint8

// Lanes is how many lanes a tenant has.
const Lanes = 8

// Version orders the writes of a lane across ownerships: by epoch, then by number. The zero Version is older than any write.
type Version struct {
	Epoch Epoch
	Seq   Seq
}

// Compare returns -1, 0 or +1 as v is older than, equal to or newer than w.
func (v Version) Compare(w Version) int {
	switch {
	case v.Epoch != w.Epoch && v.Epoch < w.Epoch, v.Epoch == w.Epoch && v.Seq < w.Seq:
		return -1
	case v == w:
		return 0
	default:
		return 1
	}
}

// Positions are how far a tenant's streams were seen: what a consistency token says.
type Positions struct {
	// Epoch is the ownership that Lanes were numbered under.
	Epoch Epoch
	// Lanes are the last sequence numbers of the home's lanes.
	Lanes [Lanes]Seq
	// Origins are the last sequence numbers of multi-primary streams, by the region that wrote them.
	Origins map[RegionID]Seq
}

// Raise makes a lane's position at least v.
func (p *Positions) Raise(lane Lane, v Version) {
	switch {
	case v.Epoch > p.Epoch:
		p.Epoch, p.Lanes = v.Epoch, [Lanes]Seq{}
		p.Lanes[lane] = v.Seq
	case v.Epoch == p.Epoch:
		p.Lanes[lane] = max(p.Lanes[lane], v.Seq)
	}
}

// RaiseOrigin makes the position of a multi-primary stream at least seq.
func (p *Positions) RaiseOrigin(origin RegionID, seq Seq) {
	if seq <= p.Origins[origin] {
		return
	}
	if p.Origins == nil {
		p.Origins = make(map[RegionID]Seq)
	}
	p.Origins[origin] = seq
}
