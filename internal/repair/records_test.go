package repair

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// hashesOf returns the first n key hashes whose records are compared with lane 0.
func hashesOf(n int) [][32]byte {
	var all [][32]byte
	for i := uint64(0); len(all) < n; i++ {
		if hash := sha256.Sum256(binary.BigEndian.AppendUint64(nil, i)); idempotency.ShardOf(hash) == 0 {
			all = append(all, hash)
		}
	}
	return all
}

// recorded is the item of a record whose write was of another lane, and which expires so long from now.
func recorded(tb failer, hash [32]byte, left time.Duration) store.Item {
	value, err := proto.Marshal(&storagev1.IdempotencyRecord{Epoch: 1, Lane: 5, Seq: 1_000_000})
	must(tb, err)
	return idempotency.Copy(acme, hash, ident.Version{Epoch: 1, Seq: 1_000_000}, "EU", time.Now().Add(left), value)
}

func (w *world) commit(table store.Store, items ...store.Item) {
	w.tb.Helper()
	for chunk := range slices.Chunk(items, store.MaxOps) {
		ops := make([]store.Op, 0, len(chunk))
		for _, item := range chunk {
			ops = append(ops, store.Op{Kind: store.Put, Item: item})
		}
		must(w.tb, table.Commit(context.Background(), store.Commit{Ops: ops}))
	}
}

// recordsIn returns what a table has of the records of lane 0.
func (w *world) recordsIn(table store.Store) []store.Item {
	w.tb.Helper()
	var all []store.Item
	for from, more := "", true; more; {
		page, err := table.Query(context.Background(), store.Query{Partition: idempotency.Partitions(acme)[0], From: from})
		must(w.tb, err)
		if all = append(all, page.Items...); len(page.Items) > 0 {
			from = page.Items[len(page.Items)-1].Key.Sort + "\x00"
		}
		more = page.More
	}
	return all
}

// A standby that a repair alone fills has the home's idempotency records, beside its entities; one that is missing among many costs
// little, and what is about to end, or is surplus, is no difference.
func TestRecordsAreRepaired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dublin)
	defer w.close()
	w.write(false, inLane(0, 700)...)
	hashes := hashesOf(3000)
	items := make([]store.Item, 0, len(hashes))
	for _, hash := range hashes {
		items = append(items, recorded(t, hash, 10*time.Hour))
	}
	w.commit(w.table, items...)
	result, err := w.rec.Repair(t.Context(), lane0(copiesFeed))
	if err != nil || result.Repaired != 3700 {
		t.Fatalf("repaired %d, %v", result.Repaired, err)
	}
	w.equal(copiesFeed)
	if diff := cmp.Diff(w.recordsIn(w.table), w.recordsIn(w.regional)); diff != "" {
		t.Fatalf("the records are not what the home has (-home +copy):\n%s", diff)
	}

	w.spoil(copiesFeed, store.Op{Kind: store.Delete, Item: store.Item{Key: idempotency.Key(acme, hashes[77])}})
	surplus := recorded(t, hashesOf(3002)[3001], 10*time.Hour)
	surplus.Version.Seq = 1
	w.commit(w.regional, surplus)
	w.commit(w.table, recorded(t, hashesOf(3001)[3000], time.Minute))
	missing := recordID(idempotency.Key(acme, hashes[77]))
	result, err = w.rec.Verify(t.Context(), lane0(copiesFeed))
	if diff := cmp.Diff(map[string]Kind{missing: Missing}, found(result)); err != nil || diff != "" {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	result, err = w.rec.Repair(t.Context(), lane0(copiesFeed))
	if err != nil || result.Repaired != 1 || result.Bytes > 16<<10 {
		t.Fatalf("repaired %d with %d bytes, %v", result.Repaired, result.Bytes, err)
	}
	if n := len(w.recordsIn(w.regional)); n != 3001 {
		t.Errorf("%d records are here", n)
	}
}

// The newest records are on their way, perhaps by a stream of another lane: a verification leaves them out, a repair does not.
func TestNewestRecordsAreFetchedAndNotReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dublin)
	defer w.close()
	w.commit(w.table, recorded(t, hashesOf(1)[0], idempotency.Lifetime))
	if result, err := w.rec.Verify(t.Context(), lane0(copiesFeed)); err != nil || result.Count != 0 {
		t.Fatalf("%v, %v", found(result), err)
	}
	if _, err := w.rec.Repair(t.Context(), lane0(copiesFeed)); err != nil {
		t.Fatal(err)
	}
	if len(w.recordsIn(w.regional)) != 1 {
		t.Error("it was not fetched")
	}
}

// A record that ends between the comparison and the fetch is settled.
func TestRecordThatEndsMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dublin)
	defer w.close()
	hash := hashesOf(1)[0]
	w.commit(w.table, recorded(t, hash, time.Hour))
	w.garble = func(m proto.Message) {
		if _, listed := m.(*peerv1.DigestResponse); listed {
			must(t, w.table.Commit(context.Background(), store.Commit{Ops: []store.Op{{Kind: store.Delete, Item: store.Item{Key: idempotency.Key(acme, hash)}}}}))
		}
	}
	if result, err := w.rec.Repair(t.Context(), lane0(copiesFeed)); err != nil || result.Repaired != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
}

// Records are for the standby, with the lane that is theirs, and in ranges of any bounds.
func TestRecordsOfASource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dublin)
	defer w.close()
	w.write(false, inLane(0, 2)...)
	hashes := hashesOf(20)
	slices.SortFunc(hashes, func(a, b [32]byte) int { return slices.Compare(a[:], b[:]) })
	for _, hash := range hashes {
		w.commit(w.table, recorded(t, hash, time.Hour))
	}
	id := func(n int) string { return recordID(idempotency.Key(acme, hashes[n])) }
	tests := []struct {
		name     string
		from, to string
		feed     replicationv1.Feed
		want     int
	}{
		{"everything", "", "", copiesFeed, 22},
		{"entities alone", "", recordPrefix, copiesFeed, 2},
		{"records alone", recordPrefix, "", copiesFeed, 20},
		{"from one on", id(5), "", copiesFeed, 15},
		{"after one", id(5) + "\x00", "", copiesFeed, 14},
		{"up to one", "usr_", id(5), copiesFeed, 7},
		{"one", id(5), id(5) + "\x00", copiesFeed, 1},
		{"none", id(5), id(5), copiesFeed, 0},
		{"backwards", id(6), id(5), copiesFeed, 0},
		{"bounds that are no ids", id(5)[:9], id(7)[:10], copiesFeed, 2},
		{"beyond all", recordPrefix + "z", "", copiesFeed, 0},
		{"not in projections", "", "", projections, 2},
	}
	after := timestamppb.New(time.Now().Add(30 * time.Minute))
	for _, tt := range tests {
		in := &peerv1.DigestRequest{Stream: lane0(tt.feed), From: tt.from, To: tt.to, RecordsAfter: after}
		out, err := w.source.Digest(t.Context(), dublin, in)
		if err != nil || len(out.GetEntities()) != tt.want {
			t.Errorf("%s: %d, %v, want %d", tt.name, len(out.GetEntities()), err, tt.want)
		}
		if err := checkDigest(0, in, out); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for name, in := range map[string]*peerv1.DigestRequest{
		"who does not ask for them": {},
		"an end before theirs":      {RecordsAfter: after, RecordsBefore: after},
		"a begin after theirs":      {RecordsAfter: timestamppb.New(time.Now().Add(2 * time.Hour))},
	} {
		in.Stream = lane0(copiesFeed)
		if out, err := w.source.Digest(t.Context(), dublin, in); err != nil || len(out.GetEntities()) != 2 {
			t.Errorf("%s gets %d, %v", name, len(out.GetEntities()), err)
		}
	}
	foreign := lane0(copiesFeed)
	foreign.Lane = 1
	for name, in := range map[string]*peerv1.FetchRequest{
		"not in projections": {Stream: lane0(projections), Ids: []string{id(0)}},
		"another lane":       {Stream: foreign, Ids: []string{id(0)}},
		"no hash":            {Stream: lane0(copiesFeed), Ids: []string{recordPrefix + "12"}},
	} {
		if _, err := w.source.Fetch(t.Context(), dublin, in); !fault.Is(err, errorsv1.Reason_REASON_INVALID_ARGUMENT) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A home's records are held against what was asked for.
func TestRecordsOfAHostileHome(t *testing.T) {
	t.Parallel()
	hash := hashesOf(1)[0]
	for name, garble := range map[string]func(*peerv1.FetchResponse){
		"not asked for":  func(out *peerv1.FetchResponse) { out.Records[0].KeyHash = make([]byte, 32) },
		"no hash":        func(out *peerv1.FetchResponse) { out.Records[0].KeyHash = nil },
		"twice":          func(out *peerv1.FetchResponse) { out.Records = append(out.GetRecords(), out.GetRecords()[0]) },
		"without an end": func(out *peerv1.FetchResponse) { out.Records[0].ExpireTime = nil },
		"a state in its place": func(out *peerv1.FetchResponse) {
			out.Records = nil
			out.States = []*replicationv1.State{{Entity: userType, Id: recordID(idempotency.Key(acme, hash)), Epoch: 1, Seq: 1}}
		},
	} {
		w := newWorld(t, dublin)
		w.commit(w.table, recorded(t, hash, time.Hour))
		w.garble = func(m proto.Message) {
			if out, ok := m.(*peerv1.FetchResponse); ok {
				garble(out)
			}
		}
		if _, err := w.rec.Repair(t.Context(), lane0(copiesFeed)); err == nil || len(w.recordsIn(w.regional)) > 0 {
			t.Errorf("%s: %v", name, err)
		}
		w.close()
	}
}
