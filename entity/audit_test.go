package entity_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile/entity"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// fataler is a testing.TB or a rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// written is everything that a table holds of a tenant.
type written struct {
	counters map[ident.Lane]ident.Version
	entities map[string]store.Item
	stored   map[string]*storagev1.Entity
	outbox   map[ident.Lane]map[ident.Seq]*storagev1.OutboxRecord
	records  map[string]*storagev1.IdempotencyRecord
	lookups  map[string]string // the item's sort key → the id it points at
	items    []store.Item
}

// read walks all partitions of a tenant.
func read(t fataler, table store.Store, tenant ident.TenantID) *written {
	t.Helper()
	w := &written{
		counters: map[ident.Lane]ident.Version{}, entities: map[string]store.Item{}, stored: map[string]*storagev1.Entity{},
		outbox: map[ident.Lane]map[ident.Seq]*storagev1.OutboxRecord{}, records: map[string]*storagev1.IdempotencyRecord{},
		lookups: map[string]string{},
	}
	for _, partition := range entity.Partitions(tenant) {
		from := ""
		for more := true; more; {
			page, err := table.Query(context.Background(), store.Query{Partition: partition, From: from})
			if err != nil {
				t.Fatalf("reading %s: %v", partition, err)
			}
			for _, item := range page.Items {
				w.add(t, partition, item)
				from = item.Key.Sort + "\x00"
			}
			more = page.More
		}
	}
	return w
}

func (w *written) add(t fataler, partition string, item store.Item) {
	w.items = append(w.items, item)
	decode := func(m proto.Message) {
		if err := proto.Unmarshal(item.Value, m); err != nil {
			t.Fatalf("decoding %q: %v", item.Key, err)
		}
	}
	parts := strings.Split(partition, "/")
	kind, sort := parts[2], item.Key.Sort
	switch {
	case kind == "i":
		rec := &storagev1.IdempotencyRecord{}
		decode(rec)
		w.records[hex.EncodeToString([]byte(sort))] = rec
	case kind == "u":
		target := &storagev1.LookupTarget{}
		decode(target)
		w.lookups[sort] = target.GetId()
	case sort == "c":
		w.counters[laneNumber(kind)] = item.Version
	case strings.HasPrefix(sort, "e/"):
		e := &storagev1.Entity{}
		decode(e)
		w.entities[sort[2:]], w.stored[sort[2:]] = item, e
	case strings.HasPrefix(sort, "o/"):
		o := &storagev1.OutboxRecord{}
		decode(o)
		lane := laneNumber(kind)
		if w.outbox[lane] == nil {
			w.outbox[lane] = map[ident.Seq]*storagev1.OutboxRecord{}
		}
		w.outbox[lane][ident.Seq(binary.BigEndian.Uint64([]byte(sort[2:])))] = o
	default:
		t.Fatalf("an unknown kind of row: %q", item.Key)
	}
}

func laneNumber(text string) ident.Lane { return ident.Lane(text[0] - '0') }

// audit fails unless the rows of a tenant are what a sequence of whole writes leaves: nothing is missing, nothing half there.
func (w *written) audit(t fataler) {
	t.Helper()
	last := map[string]ident.Version{}
	for lane, records := range w.outbox {
		for seq := ident.Seq(1); seq <= w.counters[lane].Seq; seq++ {
			o := records[seq]
			if o == nil {
				t.Fatalf("lane %d has no write %d of %d", lane, seq, w.counters[lane].Seq)
			}
			if entity.LaneOf(o.GetId()) != lane {
				t.Fatalf("write %d of lane %d is of an entity of lane %d", seq, lane, entity.LaneOf(o.GetId()))
			}
			w.auditRecord(t, lane, seq, o)
			last[o.GetId()] = ident.Version{Epoch: 1, Seq: seq}
			if o.GetDeleted() {
				delete(last, o.GetId())
			}
		}
		if len(records) != int(w.counters[lane].Seq) {
			t.Fatalf("lane %d has %d writes and its counter is at %d", lane, len(records), w.counters[lane].Seq)
		}
	}
	for id, item := range w.entities {
		if last[id] != item.Version {
			t.Fatalf("%s is of version %v and its last write of %v", id, item.Version, last[id])
		}
		delete(last, id)
	}
	if len(last) != 0 {
		t.Fatalf("entities were written and are not there: %v", last)
	}
	w.auditLookups(t)
}

// auditRecord checks that a write with an idempotency key and the key's record belong together.
func (w *written) auditRecord(t fataler, lane ident.Lane, seq ident.Seq, o *storagev1.OutboxRecord) {
	t.Helper()
	if len(o.GetIdempotencyHash()) == 0 {
		return
	}
	rec := w.records[hex.EncodeToString(o.GetIdempotencyHash())]
	if rec == nil || rec.GetLane() != uint32(lane) || rec.GetSeq() != uint64(seq) {
		t.Fatalf("write %d of lane %d has the idempotency record %v", seq, lane, rec)
	}
}

// auditLookups checks that the lookup items are those of the entities, no more and no fewer.
func (w *written) auditLookups(t fataler) {
	t.Helper()
	want := map[string]string{}
	for id, e := range w.stored {
		for _, l := range e.GetLookups() {
			want[fmt.Sprintf("usr/%d/%s", l.GetField(), l.GetHash())] = id
		}
	}
	if len(want) != len(w.lookups) {
		t.Fatalf("%d lookup items for %d looked-up values", len(w.lookups), len(want))
	}
	for sort, id := range want {
		if w.lookups[sort] != id {
			t.Fatalf("the lookup item of %s points at %q", id, w.lookups[sort])
		}
	}
}
