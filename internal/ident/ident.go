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
