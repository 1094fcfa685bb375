package cost

import "math"

// How DynamoDB counts (Developer Guide, "DynamoDB item sizes and formats" and "Read and write operations"): a write unit is 1 KB of an
// item, a read unit 4 KB read consistently, each item (of a query: its sum) rounded up; in a transaction a unit counts twice. An item
// is as long as its attributes' names and values.
const (
	writeUnit = 1 << 10
	readUnit  = 4 << 10
	// transacted is what a unit counts for in a transaction: every commit of two operations or more, and of one with a token.
	transacted = 2
	// listOverhead is what DynamoDB adds to an item when it counts storage.
	listOverhead = 100
	gigabyte     = 1 << 30
)

// The parts of an item that the store adds to key and value: the names and values of version, tag and expiry; the byte before the sort key.
const (
	// attributeBytes are the names pk, sk, version, value, tenant, class and jurisdiction, a version of 16 bytes and a class of 2.
	attributeBytes = 39 + 16 + 2
	// tagBytes are the values of tenant and jurisdiction, of 12 and 2 letters.
	tagBytes = 14
	// expiryBytes are name and value of ttl.
	expiryBytes = 9
)

// The keys: partition, sort key and the byte before it.
const (
	entityKey      = 16 + 1 + 32     // t/<tenant>/<lane>, e/usr_<26>
	counterKey     = 16 + 1 + 1      // c
	outboxKey      = 16 + 1 + 10     // o/<8>
	cursorKey      = 16 + 1 + 4 + 14 // x/p/<region>
	watermarkKey   = 16 + 1 + 4 + 14 // w/p/<region>
	tombstoneKey   = 16 + 1 + 32     // d/usr_<26>
	lookupKey      = 18 + 1 + 6 + 32 // t/<tenant>/u/<shard>, usr/4/<32>
	idempotencyKey = 18 + 1 + 32     // t/<tenant>/i/<shard>, <32>
)

// The values, where they do not depend on the entity.
const (
	outboxValue    = 110
	lookupValue    = 32
	cursorValue    = 2
	watermarkValue = 8
	// lookupEntry is what an entity's item has of each of its unique values.
	lookupEntry = 38
	// replicaOverhead is what a projection's item has besides the projection: its type, scope and class table.
	replicaOverhead = 70
	// recordOverhead is what an idempotency record has besides the answer: hashes, position, time and the sealing of the answer.
	recordOverhead = 110
	// deletedAnswer is the answer to a deletion.
	deletedAnswer = 64
	// keyRecord is a tenant's wrapped key with two generations, and that it is in use.
	keyRecord = 900
	// eventOverhead is what a message has besides the state: stream, position, class table, envelope.
	eventOverhead = 260
)

// itemBytes is the size of an item.
func itemBytes(key, value float64) float64 { return attributeBytes + tagBytes + key + value }

// units rounds bytes up to units of a size; what is empty or not there still costs one.
func units(bytes, size float64) float64 { return math.Max(1, math.Ceil(bytes/size)) }

func writes(bytes float64) float64 { return units(bytes, writeUnit) }

func reads(bytes float64) float64 { return units(bytes, readUnit) }

// sizes are the items of a deployment's entities.
type sizes struct {
	entity, projection, record, deletedRecord, lookup, counter, outbox, cursor, watermark, tombstone float64
}

func sizesOf(in *Input) sizes {
	entity := in.EntityKB*1024 + in.Lookups*lookupEntry
	return sizes{
		entity:        itemBytes(entityKey, entity),
		projection:    itemBytes(entityKey, in.ProjectionKB*1024+replicaOverhead),
		record:        itemBytes(idempotencyKey, in.EntityKB*1024+recordOverhead) + expiryBytes,
		deletedRecord: itemBytes(idempotencyKey, deletedAnswer+recordOverhead) + expiryBytes,
		lookup:        itemBytes(lookupKey, lookupValue),
		counter:       itemBytes(counterKey, 0),
		outbox:        itemBytes(outboxKey, outboxValue),
		cursor:        itemBytes(cursorKey, cursorValue),
		watermark:     itemBytes(watermarkKey, watermarkValue),
		tombstone:     itemBytes(tombstoneKey, 0),
	}
}
