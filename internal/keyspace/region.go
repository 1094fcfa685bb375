package keyspace

import (
	"strconv"
	"strings"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// Keys of a region as a whole: what its processes tell each other.
const (
	dirtyPrefix     = "r/dirty/"
	sweepPartition  = "r/sweep"
	standingsPrefix = "r/standings/"
	fencePrefix     = "r/fence/"
)

// Dirty is the key of the mark that a lane could not be sent to a destination.
func Dirty(destination ident.RegionID, tenant ident.TenantID, lane ident.Lane, feed replicationv1.Feed) store.Key {
	return store.Key{
		Partition: DirtyPairs(destination), Sort: string(tenant) + "/" + strconv.Itoa(int(lane)) + "/" + feedName(feed),
	}
}

// DirtyPairs is the partition of all such marks of a destination.
func DirtyPairs(destination ident.RegionID) string { return dirtyPrefix + string(destination) }

// ParseDirty is the inverse of Dirty for its sort key.
func ParseDirty(sort string) (ident.TenantID, ident.Lane, replicationv1.Feed, bool) {
	tenant, rest, ok := strings.Cut(sort, "/")
	number, name, found := strings.Cut(rest, "/")
	lane, err := strconv.ParseUint(number, 10, 8)
	feed, known := parseFeedName(name)
	if !ok || !found || !known || err != nil || lane >= ident.Lanes || tenant == "" {
		return "", 0, 0, false
	}
	return ident.TenantID(tenant), ident.Lane(lane), feed, true
}

// Sweep is the key of how far the sweeper has come.
func Sweep() store.Key { return store.Key{Partition: sweepPartition} }

// Standings is the key of where the lanes of so many tenants of a source stood, in one of two turns. first is the first tenant.
func Standings(source ident.RegionID, turn uint32, first ident.TenantID) store.Key {
	return store.Key{Partition: StandingsOf(source), Sort: turnPrefix(turn) + string(first)}
}

// StandingsOf is the partition of all that are kept of a source.
func StandingsOf(source ident.RegionID) string { return standingsPrefix + string(source) }

// StandingsUpTo bounds the sort keys of a turn's standings that begin with a tenant or one before it.
func StandingsUpTo(turn uint32, tenant ident.TenantID) (first, end string) {
	return turnPrefix(turn), turnPrefix(turn) + string(tenant) + "\x00"
}

// turnPrefix knows two turns.
func turnPrefix(turn uint32) string { return strconv.Itoa(int(turn%2)) + "/" }

// Fence is the key of the note that copies of a tenant were removed.
func Fence(tenant ident.TenantID) store.Key {
	return store.Key{Partition: fencePrefix + string(tenant)}
}
