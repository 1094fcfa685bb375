package cost

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

const tenant ident.TenantID = "acme-company"

const id = "usr_01jd0000000000000000000000"

func hash() []byte { return []byte(strings.Repeat("h", 32)) }

// The sizes of keys are those of the code.
func TestKeySizes(t *testing.T) {
	t.Parallel()
	lookup := &storagev1.Lookup{Field: 4, Hash: hash()}
	for name, test := range map[string]struct {
		key  store.Key
		want int
	}{
		"entity":      {keyspace.Entity(tenant, id), entityKey},
		"counter":     {keyspace.Counter(tenant, 3), counterKey},
		"outbox":      {keyspace.Outbox(tenant, 3, 7), outboxKey},
		"cursor":      {keyspace.Cursor(tenant, 3, replicationv1.Feed_FEED_PROJECTIONS, "ap-southeast-1"), cursorKey},
		"watermark":   {keyspace.Watermark(tenant, 3, replicationv1.Feed_FEED_PROJECTIONS, "ap-southeast-1"), watermarkKey},
		"tombstone":   {keyspace.Tombstone(tenant, id), tombstoneKey},
		"look-up":     {keyspace.Lookup(tenant, "usr", lookup), lookupKey},
		"idempotency": {idempotency.Key(tenant, [32]byte(hash())), idempotencyKey},
	} {
		if got := len(test.key.Partition) + 1 + len(test.key.Sort); got != test.want {
			t.Errorf("%s: %d bytes, the model has %d", name, got, test.want)
		}
	}
}

// The sizes of values are those of the code, give or take what names of types differ by.
func TestValueSizes(t *testing.T) {
	t.Parallel()
	now := timestamppb.New(time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.UTC))
	stream := &replicationv1.Stream{Tenant: string(tenant), Feed: replicationv1.Feed_FEED_PROJECTIONS, Origin: "ap-southeast-1", Lane: 3}
	for name, test := range map[string]struct {
		message proto.Message
		extra   int
		want    float64
		within  float64
	}{
		"outbox":        {&storagev1.OutboxRecord{Entity: "domicile.profile.v1.User", Id: id, IdempotencyHash: hash(), CommitTime: now}, 0, outboxValue, 8},
		"look-up entry": {&storagev1.Entity{Lookups: []*storagev1.Lookup{{Field: 4, Hash: hash()}}}, 0, lookupEntry, 0},
		"look-up":       {&storagev1.LookupTarget{Id: id}, 0, lookupValue, 0},
		"cursor":        {&storagev1.Cursor{Lost: true}, 0, cursorValue, 0},
		"watermark":     {&storagev1.Watermark{Highest: 1 << 40}, 0, watermarkValue, 1},
		"replica": {&storagev1.Replica{
			Entity: "domicile.profile.v1.User", Scope: policyv1.Scope_SCOPE_GLOBAL, Table: hash(), Clear: []byte{0},
		}, -1, replicaOverhead, 8},
		"idempotency": {&storagev1.IdempotencyRecord{
			RequestHash: hash(), Epoch: 3, Lane: 3, Seq: 1 << 30, SealedAnswer: []byte{0}, CreateTime: now,
		}, seal.Overhead - 1, recordOverhead, 10},
		"event": {&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: &replicationv1.Event{
			Stream: stream, Epoch: 3, Seq: 1 << 30, Parts: 1, CommitTime: now,
			What: &replicationv1.Event_State{State: &replicationv1.State{
				Entity: "domicile.profile.v1.User", Id: id, Epoch: 3, Seq: 1 << 30, Table: hash(), Clear: []byte{0},
			}},
		}}}, -1, eventOverhead, 130}, // The queue's own group and deduplication id are in it too.
	} {
		got := float64(proto.Size(test.message) + test.extra)
		if got < test.want-test.within || got > test.want+test.within {
			t.Errorf("%s: %v bytes, the model has %v", name, got, test.want)
		}
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ bytes, writes, reads float64 }{
		{0, 1, 1}, {1, 1, 1}, {1024, 1, 1}, {1025, 2, 1}, {4096, 4, 1}, {4097, 5, 2}, {400 << 10, 400, 100},
	} {
		if writes(test.bytes) != test.writes || reads(test.bytes) != test.reads {
			t.Errorf("%v bytes are %v write and %v read units", test.bytes, writes(test.bytes), reads(test.bytes))
		}
	}
}
