package idempotency

import (
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// Shards is how many partitions the records of a tenant are spread over: few enough to enumerate, enough that no partition
// is busier than a lane. It is part of the stored form and never changes.
const Shards = 8

// ShardOf returns which of Partitions has the record of a key.
func ShardOf(keyHash [32]byte) int { return int(keyHash[0] % Shards) }

// Key returns where the record of a tenant's key lies. It depends on nothing but the two, so that equal calls meet there
// whatever entity, and so whatever lane, they write.
func Key(tenant ident.TenantID, keyHash [32]byte) store.Key {
	return store.Key{Partition: partition(tenant, keyHash[0]%Shards), Sort: string(keyHash[:])}
}

// Partitions returns all partitions that hold records of a tenant, for who deletes or audits them.
func Partitions(tenant ident.TenantID) []string {
	all := make([]string, Shards)
	for i := range all {
		all[i] = partition(tenant, byte(i))
	}
	return all
}

func partition(tenant ident.TenantID, shard byte) string {
	return "t/" + string(tenant) + "/i/" + string('0'+rune(shard))
}
