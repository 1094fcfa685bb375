package entity

import (
	"encoding/binary"
	"strconv"

	"github.com/cespare/xxhash/v2"

	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// The stored keys. No part of one is personal data: ids are random, values that can be looked up appear as keyed hashes.
//
//	t/<tenant>/<lane>     c                    the lane's counter; its version is that of the lane's last write
//	                      e/<id>               an entity
//	                      o/<seq>              an outbox record, 8 bytes big-endian
//	t/<tenant>/i/<shard>  <hash of the key>    an idempotency record, see internal/idempotency
//	t/<tenant>/u/<shard>  usr/<field>/<hash>   a lookup item: who has a unique value
const (
	counterSort  = "c"
	entityPrefix = "e/"
	outboxPrefix = "o/"
	// lookupShards is how many partitions the lookup items of a tenant are spread over. It is part of the stored form.
	lookupShards = 8
)

// laneOf returns the lane of an entity: XXH64 (seed 0) of its id modulo ident.Lanes. It is part of the stored form and of
// every consistency token, and never changes.
func laneOf(id string) ident.Lane {
	return ident.Lane(xxhash.Sum64String(id) % ident.Lanes)
}

func lanePartition(tenant ident.TenantID, lane ident.Lane) string {
	return "t/" + string(tenant) + "/" + string('0'+rune(lane))
}

func counterKey(tenant ident.TenantID, lane ident.Lane) store.Key {
	return store.Key{Partition: lanePartition(tenant, lane), Sort: counterSort}
}

func entityKey(tenant ident.TenantID, id string) store.Key {
	return store.Key{Partition: lanePartition(tenant, laneOf(id)), Sort: entityPrefix + id}
}

func outboxKey(tenant ident.TenantID, lane ident.Lane, seq ident.Seq) store.Key {
	var b [len(outboxPrefix) + 8]byte
	copy(b[:], outboxPrefix)
	binary.BigEndian.PutUint64(b[len(outboxPrefix):], uint64(seq))
	return store.Key{Partition: lanePartition(tenant, lane), Sort: string(b[:])}
}

// lookupKey has the field's number and not its name, so that a release which does not know the field can free the item.
func lookupKey(tenant ident.TenantID, idPrefix string, l *storagev1.Lookup) store.Key {
	hash := l.GetHash()
	var shard byte
	if len(hash) > 0 {
		shard = hash[0] % lookupShards
	}
	return store.Key{
		Partition: lookupPartition(tenant, shard),
		Sort:      idPrefix + "/" + strconv.Itoa(int(l.GetField())) + "/" + string(hash),
	}
}

func lookupPartition(tenant ident.TenantID, shard byte) string {
	return "t/" + string(tenant) + "/u/" + string('0'+rune(shard))
}

// entityRange bounds the sort keys of all entities with an id prefix, after the given id; "" means from the first. "`" is the
// byte after "_", which ends the prefix.
func entityRange(prefix, after string) (from, to string) {
	from = entityPrefix + prefix + "_"
	if after != "" {
		from = entityPrefix + after + "\x00"
	}
	return from, entityPrefix + prefix + "`"
}

// partitions returns every partition that holds rows of a tenant. Lanes come last: what stands for an entity goes before it.
func partitions(tenant ident.TenantID) []string {
	all := idempotency.Partitions(tenant)
	for shard := range byte(lookupShards) {
		all = append(all, lookupPartition(tenant, shard))
	}
	for lane := range ident.Lane(ident.Lanes) {
		all = append(all, lanePartition(tenant, lane))
	}
	return all
}
