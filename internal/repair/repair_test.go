package repair

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// found is a result without its details.
func found(r Result) map[string]Kind {
	all := make(map[string]Kind, len(r.Differences))
	for _, d := range r.Differences {
		all[d.ID] = d.Kind
	}
	return all
}

// equal fails unless the region's copy of lane 0 is what the home has.
func (w *world) equal(feed replicationv1.Feed) {
	w.tb.Helper()
	if diff := cmp.Diff(w.entities(w.table), w.entities(w.copied(feed))); diff != "" {
		w.tb.Fatalf("the copy is not what the home has (-home +copy):\n%s", diff)
	}
	result, err := w.rec.Compare(context.Background(), lane0(feed))
	if err != nil || result.Count != 0 {
		w.tb.Fatalf("comparing says %v, %v", found(result), err)
	}
}

// One entity of each kind among others is found, named and repaired, in both feeds, and nothing else is touched.
func TestEachKindIsFoundAndRepaired(t *testing.T) {
	t.Parallel()
	for _, feed := range []replicationv1.Feed{projections, copiesFeed} {
		t.Run(feedName(feed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, dublin)
			defer w.close()
			users := inLane(0, 3000)
			w.write(false, users...)
			if _, err := w.rec.Repair(t.Context(), lane0(feed)); err != nil {
				t.Fatal(err)
			}
			w.equal(feed)

			old, err := w.copied(feed).Get(t.Context(), keyspace.Entity(acme, userID(users[100])))
			must(t, err)
			w.write(false, users[100])
			w.deliver(feed, w.counter[0].Seq)
			w.spoil(feed, store.Op{Kind: store.Put, Item: old})
			w.spoil(feed, store.Op{Kind: store.Delete, Item: store.Item{Key: keyspace.Entity(acme, userID(users[1500]))}})
			gone := old
			gone.Key = keyspace.Entity(acme, userID(inLane(0, 3001)[3000]))
			w.spoil(feed, store.Op{Kind: store.Put, Item: gone})

			want := map[string]Kind{
				userID(users[100]): Different, userID(users[1500]): Missing, userID(inLane(0, 3001)[3000]): Surplus,
			}
			for name, do := range map[string]func(context.Context, *replicationv1.Stream) (Result, error){"compare": w.rec.Compare, "verify": w.rec.Verify} {
				result, err := do(t.Context(), lane0(feed))
				if diff := cmp.Diff(want, found(result)); err != nil || diff != "" || result.Count != 3 || result.Entities != 3000 {
					t.Fatalf("%s: %d of %d, %v (-want +got):\n%s", name, result.Count, result.Entities, err, diff)
				}
			}
			result, err := w.rec.Repair(t.Context(), lane0(feed))
			if err != nil || result.Repaired != 3 {
				t.Fatalf("repaired %d, %v", result.Repaired, err)
			}
			w.equal(feed)
			if l := w.watermark(feed); l.Watermark != w.counter[0] || !l.Complete {
				t.Fatalf("the watermark is %+v, the home is at %v", l, w.counter[0])
			}
		})
	}
}

// A lane that nothing was written to is repaired to nothing, and is then known.
func TestEmptyLaneIsCompleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, saoPaulo)
	defer w.close()
	if _, err := w.rec.Repair(t.Context(), lane0(projections)); err != nil {
		t.Fatal(err)
	}
	if l := w.watermark(projections); !l.Complete || l.Watermark != (ident.Version{Epoch: 1}) {
		t.Fatalf("the watermark is %+v", l)
	}
}

// A copy that has nothing is filled by pages, not by digests of what it does not have.
func TestBootstrapAsksInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, saoPaulo)
	defer w.close()
	w.write(false, inLane(0, 5000)...)
	result, err := w.rec.Repair(t.Context(), lane0(projections))
	if err != nil || result.Repaired != 5000 {
		t.Fatalf("repaired %d, %v", result.Repaired, err)
	}
	if most := uint64(5000/pageList + 1 + 5000/maxFetch); result.Requests > most {
		t.Errorf("asked %d times, more than %d", result.Requests, most)
	}
	w.equal(projections)
}

// What a region may hold of an entity is part of the comparison: a grant that grew makes a difference in every entity.
func TestScopeCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dublin)
	defer w.close()
	users := inLane(0, 40)
	w.write(false, users...)
	if _, err := w.rec.Repair(t.Context(), lane0(projections)); err != nil {
		t.Fatal(err)
	}
	key := keyspace.Entity(acme, userID(users[7]))
	item, err := w.replica.Get(t.Context(), key)
	must(t, err)
	narrow := func(change func(*storagev1.Replica)) {
		var replica storagev1.Replica
		must(t, proto.Unmarshal(item.Value, &replica))
		change(&replica)
		w.spoil(projections, w.put(key, item.Version, &replica))
	}
	for name, change := range map[string]func(*storagev1.Replica){
		"scope":    func(r *storagev1.Replica) { r.Scope = policyv1.Scope_SCOPE_GLOBAL },
		"withheld": func(r *storagev1.Replica) { r.Withheld, r.Clear = true, nil },
	} {
		narrow(change)
		result, err := w.rec.Verify(t.Context(), lane0(projections))
		if diff := cmp.Diff(map[string]Kind{userID(users[7]): Different}, found(result)); err != nil || diff != "" {
			t.Fatalf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		if _, err := w.rec.Repair(t.Context(), lane0(projections)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		w.equal(projections)
	}
}

// A lane whose ownership changed hands while writes were lost is brought to what the new home has, also where the copy is newer by
// the old numbers.
func TestNewOwnershipReplacesWhatWasLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dublin)
	defer w.close()
	users := inLane(0, 50)
	w.write(false, users...)
	if _, err := w.rec.Repair(t.Context(), lane0(projections)); err != nil {
		t.Fatal(err)
	}
	base := w.counter[0]
	before, err := w.table.Get(t.Context(), keyspace.Entity(acme, userID(users[3])))
	must(t, err)
	w.write(false, users[3])          // changed,
	w.write(false, inLane(0, 51)[50]) // made
	w.write(true, users[4])           // and deleted, all of it known here
	for seq := base.Seq + 1; seq <= w.counter[0].Seq; seq++ {
		w.deliver(projections, seq)
	}
	deleted := before // and lost by the new home.
	deleted.Key = keyspace.Entity(acme, userID(users[4]))
	deleted.Version = ident.Version{Epoch: 1, Seq: 5}
	must(t, w.table.Commit(t.Context(), store.Commit{Ops: []store.Op{
		{Kind: store.Put, Item: before}, {Kind: store.Put, Item: deleted},
		{Kind: store.Delete, Item: store.Item{Key: keyspace.Entity(acme, userID(inLane(0, 51)[50]))}},
	}}))
	w.dir.tenant.Epoch, w.counter[0] = 2, base
	w.write(false, users[5])

	if _, err := w.rec.Repair(t.Context(), lane0(projections)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.entities(w.table), w.entities(w.replica)); diff != "" {
		t.Fatalf("-home +copy:\n%s", diff)
	}
	if l := w.watermark(projections); l.Watermark != w.counter[0] || !l.Complete {
		t.Fatalf("the watermark is %+v", l)
	}
}

// A repair that was interrupted anywhere does no harm, and the next ones end.
func TestInterruptedAnywhere(t *testing.T) {
	t.Parallel()
	interrupted := errors.New("interrupted")
	for after := range 25 {
		w := newWorld(t, dublin)
		users := inLane(0, 300)
		w.write(false, users[:150]...)
		if _, err := w.rec.Repair(t.Context(), lane0(copiesFeed)); err != nil {
			t.Fatal(err)
		}
		w.write(false, users[100:]...)
		w.write(true, users[:50]...)
		var left atomic.Int64
		left.Store(int64(after))
		w.between = func() error {
			if left.Add(-1) < 0 {
				return interrupted
			}
			return nil
		}
		_, err := w.rec.Repair(t.Context(), lane0(copiesFeed))
		mark := w.watermark(copiesFeed).Watermark
		if err != nil && (!errors.Is(err, interrupted) || mark.Seq >= w.counter[0].Seq) {
			t.Fatalf("after %d: %v, watermark %v", after, err, mark)
		}
		w.between = nil
		if _, err := w.rec.Repair(t.Context(), lane0(copiesFeed)); err != nil {
			t.Fatal(err)
		}
		w.equal(copiesFeed)
		w.close()
	}
}

// One difference among 100,000 entities of a lane costs a few KiB.
func TestOneDifferenceIsCheap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, saoPaulo)
	defer w.close()
	w.fill(100_000, 0)
	result, err := w.rec.Compare(t.Context(), lane0(projections))
	if err != nil || result.Count != 0 || result.Entities != 100_000 {
		t.Fatalf("equal copies: %+v, %v", result, err)
	}
	equal := result.Bytes
	w.spoil(projections, store.Op{Kind: store.Delete, Item: store.Item{Key: keyspace.Entity(acme, userID(inLane(0, 70_000)[69_999]))}})
	result, err = w.rec.Repair(t.Context(), lane0(projections))
	if err != nil || result.Repaired != 1 {
		t.Fatalf("repaired %d, %v", result.Repaired, err)
	}
	t.Logf("%d bytes in %d answers; equal copies: %d bytes", result.Bytes, result.Requests, equal)
	if result.Bytes > 16<<10 {
		t.Errorf("%d bytes for one difference", result.Bytes)
	}
}

// Whoever may not have a stream gets nothing of it.
func TestSourceLetsInWhoMay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dublin)
	defer w.close()
	w.write(false, inLane(0, 3)...)
	stream := func(change func(*replicationv1.Stream)) *replicationv1.Stream {
		s := lane0(projections)
		change(s)
		return s
	}
	tests := []struct {
		name   string
		caller ident.RegionID
		stream *replicationv1.Stream
		want   errorsv1.Reason
	}{
		{"the standby gets projections", dublin, lane0(projections), 0},
		{"the standby gets copies", dublin, lane0(copiesFeed), 0},
		{"abroad gets projections", saoPaulo, lane0(projections), 0},
		{"abroad gets no copies", saoPaulo, lane0(copiesFeed), errorsv1.Reason_REASON_PERMISSION_DENIED},
		{"the home itself gets nothing", frankfurt, lane0(projections), errorsv1.Reason_REASON_PERMISSION_DENIED},
		{"nobody gets settings", dublin, lane0(replicationv1.Feed_FEED_SETTINGS), errorsv1.Reason_REASON_PERMISSION_DENIED},
		{"a stranger gets nothing", "mars-north-1", lane0(projections), errorsv1.Reason_REASON_PERMISSION_DENIED},
		{"an unknown tenant", dublin, stream(func(s *replicationv1.Stream) { s.Tenant = "globex" }), errorsv1.Reason_REASON_MISROUTED},
		{"another origin", dublin, stream(func(s *replicationv1.Stream) { s.Origin = string(dublin) }), errorsv1.Reason_REASON_MISROUTED},
		{"no lane", dublin, stream(func(s *replicationv1.Stream) { s.Lane = 8 }), errorsv1.Reason_REASON_INVALID_ARGUMENT},
	}
	for _, tt := range tests {
		_, digest := w.source.Digest(t.Context(), tt.caller, &peerv1.DigestRequest{Stream: tt.stream})
		_, fetch := w.source.Fetch(t.Context(), tt.caller, &peerv1.FetchRequest{Stream: tt.stream, Ids: []string{userID(inLane(0, 1)[0])}})
		if fault.ReasonOf(digest) != tt.want || fault.ReasonOf(fetch) != tt.want || (digest == nil) != (tt.want == 0) {
			t.Errorf("%s: %v, %v, want %v", tt.name, digest, fetch, tt.want)
		}
	}
	w.dir.tenant.Projections = uint8(tenancyv1.Projections_PROJECTIONS_JURISDICTION)
	if _, err := w.source.Digest(t.Context(), saoPaulo, &peerv1.DigestRequest{Stream: lane0(projections)}); !fault.Is(err, errorsv1.Reason_REASON_PERMISSION_DENIED) {
		t.Errorf("a revoked region: %v", err)
	}
	foreign := &peerv1.FetchRequest{Stream: lane0(projections), Ids: []string{userID(inLane(1, 1)[0])}}
	if _, err := w.source.Fetch(t.Context(), dublin, foreign); !fault.Is(err, errorsv1.Reason_REASON_INVALID_ARGUMENT) {
		t.Errorf("an id of another lane: %v", err)
	}
}

// An answer is not much larger than a mebibyte.
func TestFetchIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dublin)
	defer w.close()
	users := inLane(0, 20)
	w.write(false, users...)
	ids := make([]string, 0, len(users))
	for _, n := range users {
		key := keyspace.Entity(acme, userID(n))
		item, err := w.table.Get(t.Context(), key)
		must(t, err)
		must(t, w.table.Commit(t.Context(), store.Commit{Ops: []store.Op{w.put(key, item.Version, &storagev1.Entity{Sealed: make([]byte, 150<<10)})}}))
		ids = append(ids, userID(n))
	}
	out, err := w.source.Fetch(t.Context(), dublin, &peerv1.FetchRequest{Stream: lane0(copiesFeed), Ids: ids})
	if err != nil || out.GetAnswered() != 7 || proto.Size(out) > maxAnswer+200<<10 {
		t.Fatalf("%d answered in %d bytes, %v", out.GetAnswered(), proto.Size(out), err)
	}
	if _, err := w.rec.Repair(t.Context(), lane0(copiesFeed)); err != nil {
		t.Fatal(err)
	}
	w.equal(copiesFeed)
}

// fill writes users to a lane of both the home and the replica, without the outbox.
func (w *world) fill(n int, lane ident.Lane) {
	w.tb.Helper()
	here, there := make([]store.Op, 0, store.MaxOps), make([]store.Op, 0, store.MaxOps)
	flush := func() {
		must(w.tb, w.table.Commit(context.Background(), store.Commit{Ops: here}))
		must(w.tb, w.replica.Commit(context.Background(), store.Commit{Ops: there}))
		here, there = here[:0], there[:0]
	}
	for _, u := range inLane(lane, n) {
		w.counter[lane] = ident.Version{Epoch: 1, Seq: w.counter[lane].Seq + 1}
		key := keyspace.Entity(acme, userID(u))
		here = append(here, w.put(key, w.counter[lane], &storagev1.Entity{}))
		there = append(there, w.put(key, w.counter[lane], &storagev1.Replica{Entity: userType, Scope: policyv1.Scope_SCOPE_GLOBAL}))
		if len(here) == store.MaxOps {
			flush()
		}
	}
	here = append(here, w.put(keyspace.Counter(acme, lane), w.counter[lane], nil))
	there = append(there, store.Op{Kind: store.Check, If: store.Absent(), Item: store.Item{Key: store.Key{Partition: "none"}}})
	flush()
}
