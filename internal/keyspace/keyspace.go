// Package keyspace is where a tenant's rows lie: the keys of the regional and replica tables, which repositories, the relay and apply
// share. No part of a key is personal data: ids are random, values that can be looked up appear as keyed hashes.
//
//	t/<tenant>/<lane>     c                        the lane's counter; its version is that of the lane's last write
//	                      e/<id>                   an entity; a sealed copy in a standby; a projection in the replica table
//	                      o/<seq>                  an outbox record, 8 bytes big-endian
//	                      x/<feed>/<region>        a cursor: how far a feed was sent to a region
//	                      w/<feed>/<region>        a watermark: how far the feed of an origin is applied here
//	                      g/<feed>/<region>        a guard: the watermark has changed and its version has not, where processes share a table
//	                      p/<feed>/<region>/<seq><part>  an event that is kept until it can be applied, 8 and 4 bytes big-endian
//	                      d/<id>                   a tombstone: the entity was deleted, and the watermark has not passed that yet
//	t/<tenant>/m          multi-primary settings, in the settings table of every region:
//	                      c                        the end of the region's own stream; its version is that of the last write
//	                      n/<namespace>            a namespace
//	                      o/<seq>, x/…, w/…, p/…   as in a lane; of the feed of settings
//	                      g/<region>               changes with every change of the watermark of that region's stream
//	t/<tenant>/i/<shard>  <hash of the key>        an idempotency record, see internal/idempotency
//	t/<tenant>/u/<shard>  usr/<field>/<hash>       a lookup item: who has a unique value, at home
//	t/<tenant>/s/<shard>  usr/<field>/<hash>/<id>  a lookup entry of a sealed copy, in a standby
//	r/parked              <tenant>/<lane>/<feed>/<region>  a stream of which events are kept
//	r/dirty/<region>      <tenant>/<lane>/<feed>   a lane that could not be sent to a region; its version has the last position known of
//	r/sweep                                        how far the sweeper has come
//	r/standings/<region>  <turn>/<tenant>          where lanes of the region's tenants stood, of so many tenants from this one on
//	r/fence/<tenant>                               copies of the tenant were removed; its version has the record that this was done by
//
// All of it is part of the stored form.
package keyspace

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

const (
	tenantPrefix = "t/"
	counterSort  = "c"
	// EntityPrefix begins the sort keys of entities; the id follows.
	EntityPrefix    = "e/"
	outboxPrefix    = "o/"
	cursorPrefix    = "x/"
	watermarkPrefix = "w/"
	parkedPrefix    = "p/"
	tombstonePrefix = "d/"
	parkedStreams   = "r/parked"
	// lookupShards is how many partitions the lookup items of a tenant are spread over.
	lookupShards = 8
)

// LaneOf returns the lane of an entity: XXH64 (seed 0) of its id modulo ident.Lanes. It is part of every consistency token too,
// and never changes.
func LaneOf(id string) ident.Lane {
	return ident.Lane(xxhash.Sum64String(id) % ident.Lanes)
}

// Lane is the partition of a tenant's lane.
func Lane(tenant ident.TenantID, lane ident.Lane) string {
	return tenantPrefix + string(tenant) + "/" + string('0'+rune(lane))
}

// ParseLane is the inverse of Lane; false for any other partition.
func ParseLane(partition string) (ident.TenantID, ident.Lane, bool) {
	rest, ok := strings.CutPrefix(partition, tenantPrefix)
	slash := strings.LastIndexByte(rest, '/')
	if !ok || slash <= 0 || slash != len(rest)-2 || strings.IndexByte(rest, '/') != slash {
		return "", 0, false
	}
	lane := rest[slash+1] - '0'
	if lane >= ident.Lanes {
		return "", 0, false
	}
	return ident.TenantID(rest[:slash]), ident.Lane(lane), true
}

// Counter is the key of a lane's counter.
func Counter(tenant ident.TenantID, lane ident.Lane) store.Key {
	return store.Key{Partition: Lane(tenant, lane), Sort: counterSort}
}

// Entity is the key of an entity.
func Entity(tenant ident.TenantID, id string) store.Key {
	return store.Key{Partition: Lane(tenant, LaneOf(id)), Sort: EntityPrefix + id}
}

// Entities bounds the sort keys of the entities of a lane whose ids are at least from and, if to is not empty, below it.
func Entities(from, to string) (first, end string) {
	end = EntityPrefix + to
	if to == "" {
		end = "e0" // "0" is the byte after "/".
	}
	return EntityPrefix + from, end
}

// IsEntity tells whether a sort key of a lane is an entity's.
func IsEntity(sort string) bool { return strings.HasPrefix(sort, EntityPrefix) }

// IsParked tells whether a sort key of a lane is that of something that is kept until it can be applied.
func IsParked(sort string) bool { return strings.HasPrefix(sort, parkedPrefix) }

// EntitiesOf bounds the sort keys of all entities with an id prefix, after the given id; "" means from the first. "`" is the
// byte after "_", which ends the prefix.
func EntitiesOf(prefix, after string) (first, end string) {
	first = EntityPrefix + prefix + "_"
	if after != "" {
		first = EntityPrefix + after + "\x00"
	}
	return first, EntityPrefix + prefix + "`"
}

// Outbox is the key of a lane's outbox record.
func Outbox(tenant ident.TenantID, lane ident.Lane, seq ident.Seq) store.Key {
	return store.Key{Partition: Lane(tenant, lane), Sort: OutboxSort(seq)}
}

// OutboxSort is the sort key of an outbox record.
func OutboxSort(seq ident.Seq) string {
	var b [len(outboxPrefix) + 8]byte
	copy(b[:], outboxPrefix)
	binary.BigEndian.PutUint64(b[len(outboxPrefix):], uint64(seq))
	return string(b[:])
}

// OutboxAfter bounds the sort keys of the outbox records after a position.
func OutboxAfter(seq ident.Seq) (first, end string) { return OutboxSort(seq + 1), "o0" }

// ParseOutbox returns the position of an outbox record; false for any other sort key.
func ParseOutbox(sort string) (ident.Seq, bool) {
	if len(sort) != len(outboxPrefix)+8 || !strings.HasPrefix(sort, outboxPrefix) {
		return 0, false
	}
	return ident.Seq(binary.BigEndian.Uint64([]byte(sort[len(outboxPrefix):]))), true
}

// Cursor is the key of the cursor of a feed to a destination.
func Cursor(tenant ident.TenantID, lane ident.Lane, feed replicationv1.Feed, destination ident.RegionID) store.Key {
	return store.Key{Partition: Lane(tenant, lane), Sort: cursorPrefix + feedName(feed) + "/" + string(destination)}
}

// Cursors bounds the sort keys of all cursors of a lane.
func Cursors() (first, end string) { return cursorPrefix, "x0" }

// ParseCursor is the inverse of Cursor for its sort key.
func ParseCursor(sort string) (replicationv1.Feed, ident.RegionID, bool) {
	return parseFeed(sort, cursorPrefix)
}

// Watermark is the key of the watermark of a feed of an origin.
func Watermark(tenant ident.TenantID, lane ident.Lane, feed replicationv1.Feed, origin ident.RegionID) store.Key {
	return store.Key{Partition: Lane(tenant, lane), Sort: watermarkPrefix + feedName(feed) + "/" + string(origin)}
}

// Guard is the key of what changes with each change of a watermark that its version does not show.
func Guard(tenant ident.TenantID, lane ident.Lane, feed replicationv1.Feed, origin ident.RegionID) store.Key {
	return store.Key{Partition: Lane(tenant, lane), Sort: guardPrefix + feedName(feed) + "/" + string(origin)}
}

// Watermarks bounds the sort keys of all watermarks of a lane.
func Watermarks() (first, end string) { return watermarkPrefix, "w0" }

// ParseWatermark is the inverse of Watermark for its sort key.
func ParseWatermark(sort string) (replicationv1.Feed, ident.RegionID, bool) {
	return parseFeed(sort, watermarkPrefix)
}

// Parked is the key of a part of a position that is kept until it can be applied.
func Parked(s *replicationv1.Stream, seq ident.Seq, part uint32) store.Key {
	first, _ := ParkedOf(s)
	var b [12]byte
	binary.BigEndian.PutUint64(b[:], uint64(seq))
	binary.BigEndian.PutUint32(b[8:], part)
	lane := ident.Lane(s.GetLane()) //nolint:gosec // checked where it came in
	return store.Key{Partition: Lane(ident.TenantID(s.GetTenant()), lane), Sort: first + string(b[:])}
}

// ParkedOf bounds the sort keys of what is kept of a stream.
func ParkedOf(s *replicationv1.Stream) (first, end string) {
	stream := parkedPrefix + feedName(s.GetFeed()) + "/" + s.GetOrigin()
	return stream + "/", stream + "0"
}

// ParkedStream is the key of the note that events of a stream are kept. It lies outside the tenant's partitions, so that all
// such streams can be found.
func ParkedStream(s *replicationv1.Stream) store.Key {
	return store.Key{
		Partition: parkedStreams,
		Sort:      s.GetTenant() + "/" + strconv.Itoa(int(s.GetLane())) + "/" + feedName(s.GetFeed()) + "/" + s.GetOrigin(),
	}
}

// ParkedStreams is the partition of all such notes.
func ParkedStreams() string { return parkedStreams }

// ParseParkedStream is the inverse of ParkedStream for its sort key.
func ParseParkedStream(sort string) (*replicationv1.Stream, bool) {
	tenant, rest, ok := strings.Cut(sort, "/")
	number, stream, found := strings.Cut(rest, "/")
	lane, err := strconv.ParseUint(number, 10, 8)
	feed, origin, known := parseFeed(stream, "")
	if !ok || !found || !known || err != nil || tenant == "" {
		return nil, false
	}
	return &replicationv1.Stream{Tenant: tenant, Lane: uint32(lane), Feed: feed, Origin: string(origin)}, true
}

// Tombstone is the key of the note that an entity was deleted; its version is the position that says so.
func Tombstone(tenant ident.TenantID, id string) store.Key {
	return store.Key{Partition: Lane(tenant, LaneOf(id)), Sort: tombstonePrefix + id}
}

// Tombstones bounds the sort keys of all tombstones of a lane.
func Tombstones() (first, end string) { return tombstonePrefix, "d0" }

// feedName is a letter: it is part of the stored form.
func feedName(feed replicationv1.Feed) string {
	switch feed {
	case replicationv1.Feed_FEED_PROJECTIONS:
		return "p"
	case replicationv1.Feed_FEED_STANDBY:
		return "s"
	case replicationv1.Feed_FEED_SETTINGS:
		return "m"
	case replicationv1.Feed_FEED_UNSPECIFIED:
		return "?"
	default:
		return "?"
	}
}

func parseFeed(sort, prefix string) (replicationv1.Feed, ident.RegionID, bool) {
	rest, ok := strings.CutPrefix(sort, prefix)
	name, region, found := strings.Cut(rest, "/")
	feed, known := parseFeedName(name)
	if !ok || !found || !known || region == "" {
		return 0, "", false
	}
	return feed, ident.RegionID(region), true
}

// parseFeedName is the inverse of feedName.
func parseFeedName(name string) (replicationv1.Feed, bool) {
	for _, feed := range []replicationv1.Feed{
		replicationv1.Feed_FEED_PROJECTIONS, replicationv1.Feed_FEED_STANDBY, replicationv1.Feed_FEED_SETTINGS,
	} {
		if feedName(feed) == name {
			return feed, true
		}
	}
	return 0, false
}

// Lookup is the key of a lookup item. It has the field's number and not its name, so that a release which does not know the
// field can free the item.
func Lookup(tenant ident.TenantID, idPrefix string, l *storagev1.Lookup) store.Key {
	return store.Key{
		Partition: lookupPartition(tenant, shard(l)),
		Sort:      idPrefix + "/" + strconv.Itoa(int(l.GetField())) + "/" + string(l.GetHash()),
	}
}

// StandbyLookup is the key of a lookup entry of a sealed copy: two entities may have one value here.
func StandbyLookup(tenant ident.TenantID, idPrefix string, l *storagev1.Lookup, id string) store.Key {
	return store.Key{
		Partition: standbyPartition(tenant, shard(l)),
		Sort:      idPrefix + "/" + strconv.Itoa(int(l.GetField())) + "/" + string(l.GetHash()) + "/" + id,
	}
}

func shard(l *storagev1.Lookup) byte {
	if hash := l.GetHash(); len(hash) > 0 {
		return hash[0] % lookupShards
	}
	return 0
}

func lookupPartition(tenant ident.TenantID, shard byte) string {
	return tenantPrefix + string(tenant) + "/u/" + string('0'+rune(shard))
}

func standbyPartition(tenant ident.TenantID, shard byte) string {
	return tenantPrefix + string(tenant) + "/s/" + string('0'+rune(shard))
}

// IDPrefix returns the type prefix of an entity's id, e.g. "usr".
func IDPrefix(id string) string {
	prefix, _, _ := strings.Cut(id, "_")
	return prefix
}

// Partitions returns every partition that holds rows of a tenant, in any table. Lanes come last: what stands for an entity goes
// before it.
func Partitions(tenant ident.TenantID) []string {
	all := append(idempotency.Partitions(tenant), Settings(tenant))
	for shard := range byte(lookupShards) {
		all = append(all, lookupPartition(tenant, shard), standbyPartition(tenant, shard))
	}
	for lane := range ident.Lane(ident.Lanes) {
		all = append(all, Lane(tenant, lane))
	}
	return all
}

// SealType is the type that the sealed part of a projection is bound to, as seal.Bind.Type: not the entity's own, so that neither
// opens as the other.
func SealType(entity string) string { return entity + "#JURISDICTION" }
