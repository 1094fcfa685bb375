package repair

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// A home that answers nonsense is refused, and the copy stays as it is.
func TestNonsenseIsRefused(t *testing.T) {
	t.Parallel()
	digest := make([]byte, digestBytes)
	ranges := func(bounds ...string) func(proto.Message) {
		return func(m proto.Message) {
			if out, ok := m.(*peerv1.DigestResponse); ok {
				out.Ranges, out.Entities, out.More = nil, nil, false
				for _, to := range bounds {
					out.Ranges = append(out.Ranges, &peerv1.RangeDigest{To: to, Count: 1, Digest: digest})
				}
			}
		}
	}
	answer := func(change func(*peerv1.DigestResponse)) func(proto.Message) {
		return func(m proto.Message) {
			if out, ok := m.(*peerv1.DigestResponse); ok {
				change(out)
			}
		}
	}
	list := func(ids ...string) func(proto.Message) {
		return answer(func(out *peerv1.DigestResponse) {
			out.Ranges, out.Entities = nil, nil
			for _, id := range ids {
				out.Entities = append(out.Entities, &peerv1.EntityDigest{Id: id, Digest: digest, Epoch: 1, Seq: 1})
			}
		})
	}
	states := func(change func(*peerv1.FetchResponse)) func(proto.Message) {
		return func(m proto.Message) {
			if out, ok := m.(*peerv1.FetchResponse); ok {
				change(out)
			}
		}
	}
	ids := inLane(0, 3)
	a, b, foreign := userID(ids[0]), userID(ids[1]), userID(inLane(1, 1)[0])
	tests := []struct {
		name   string
		garble func(proto.Message)
		want   error
	}{
		{"ranges out of order", ranges(b, a, ""), ErrNonsense},
		{"an empty range", ranges(a, a, ""), ErrNonsense},
		{"one range, again and again", ranges(""), ErrNonsense},
		{"ranges that end too early", ranges(a, b), ErrNonsense},
		{"too many ranges", ranges(make([]string, maxRanges+1)...), ErrNonsense},
		{"a range without a digest", answer(func(out *peerv1.DigestResponse) {
			out.Ranges = []*peerv1.RangeDigest{{To: a, Count: 1, Digest: digest[:3]}, {Count: 1}}
		}), ErrNonsense},
		{"a bound beyond measure", ranges(strings.Repeat("x", maxID+1), ""), ErrNonsense},
		{"ranges and a list", answer(func(out *peerv1.DigestResponse) {
			out.Ranges = []*peerv1.RangeDigest{{To: a, Digest: digest}, {Digest: digest}}
			out.Entities = []*peerv1.EntityDigest{{Id: a}}
		}), ErrNonsense},
		{"a list out of order", list(b, a), ErrNonsense},
		{"an entity twice", list(a, a), ErrNonsense},
		{"an entity of another lane", list(foreign), ErrNonsense},
		{"an entity without an id", list(""), ErrNonsense},
		{"an id beyond measure", list(strings.Repeat("u", maxID+1)), ErrNonsense},
		{"an entity without a version", answer(func(out *peerv1.DigestResponse) {
			out.Ranges, out.Entities = nil, []*peerv1.EntityDigest{{Id: a, Digest: digest}}
		}), ErrNonsense},
		{"a list without end", answer(func(out *peerv1.DigestResponse) { out.Ranges, out.Entities, out.More = nil, nil, true }), ErrNonsense},
		{"no position", answer(func(out *peerv1.DigestResponse) { out.Epoch, out.Seq = 0, 0 }), ErrNonsense},
		{"a position of an ownership to come", answer(func(out *peerv1.DigestResponse) { out.Epoch = 2 }), ErrNotHome},
		{"states before the digest", states(func(out *peerv1.FetchResponse) { out.Seq = 1 }), ErrNonsense},
		{"states of an ownership to come", states(func(out *peerv1.FetchResponse) { out.Epoch = 2 }), ErrNotHome},
		{"an answer for nothing", states(func(out *peerv1.FetchResponse) { out.States, out.Answered = nil, 0 }), ErrNonsense},
		{"an answer for more than was asked", states(func(out *peerv1.FetchResponse) { out.Answered = 101 }), ErrNonsense},
		{"a state of another entity", states(func(out *peerv1.FetchResponse) { out.States[0].Id = userID(ids[2] + 100_000) }), ErrNonsense},
		{"a state of another lane", states(func(out *peerv1.FetchResponse) { out.States[0].Id = foreign }), ErrNonsense},
		{"states out of order", states(func(out *peerv1.FetchResponse) { out.States[0], out.States[1] = out.GetStates()[1], out.GetStates()[0] }), ErrNonsense},
		{"a state twice", states(func(out *peerv1.FetchResponse) { out.States = append(out.GetStates(), out.GetStates()[0]) }), ErrNonsense},
		{"a state beyond what was answered", states(func(out *peerv1.FetchResponse) { out.Answered = 1 }), ErrNonsense},
		{"a state without a version", states(func(out *peerv1.FetchResponse) { out.States[0].Epoch = 0 }), ErrNonsense},
		{"a state of another type", states(func(out *peerv1.FetchResponse) { out.States[0].Entity = "acme.v1.Rocket" }), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, dublin)
			defer w.close()
			users := inLane(0, 100)
			w.write(false, users...)
			if _, err := w.rec.Repair(t.Context(), lane0(projections)); err != nil {
				t.Fatal(err)
			}
			w.write(false, inLane(0, 102)[100:]...)
			before, mark := w.entities(w.replica), w.watermark(projections).Watermark
			w.garble = tt.garble
			_, err := w.rec.Repair(t.Context(), lane0(projections))
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("the repair said %v", err)
			}
			if tt.want != nil {
				if diff := cmp.Diff(before, w.entities(w.replica)); diff != "" {
					t.Errorf("the copy was changed:\n%s", diff)
				}
				if now := w.watermark(projections).Watermark; now != mark {
					t.Errorf("the watermark went from %v to %v", mark, now)
				}
			}
			if len(w.entities(w.replica)) < 100 {
				t.Error("entities were lost")
			}
			w.garble = nil
			if _, err := w.rec.Repair(t.Context(), lane0(projections)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A home that splits without end is left at some point.
func TestRangesWithoutEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, saoPaulo)
	defer w.close()
	w.write(false, inLane(0, 1)...)
	w.open(projections)
	w.deliver(projections, 1)
	digest := make([]byte, digestBytes)
	w.rec.cfg.Home = func(ident.RegionID) Home { return endless{wire{w}, digest} }
	if _, err := w.rec.Compare(t.Context(), lane0(projections)); !errors.Is(err, ErrNonsense) {
		t.Fatalf("said %v", err)
	}
}

type endless struct {
	wire

	digest []byte
}

// Digest splits off what is before one more byte.
func (h endless) Digest(_ context.Context, r *peerv1.DigestRequest) (*peerv1.DigestResponse, error) {
	return &peerv1.DigestResponse{Epoch: 1, Seq: 1, Ranges: []*peerv1.RangeDigest{
		{To: r.GetFrom() + "a", Count: 1, Digest: h.digest}, {Count: 1, Digest: h.digest},
	}}, nil
}

// What lies in the partition of a lane beside its entities is neither compared nor told.
func TestOnlyEntitiesAreCompared(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dublin)
	defer w.close()
	w.write(false, inLane(0, 5)...)
	for _, key := range []store.Key{keyspace.Tombstone(acme, userID(inLane(0, 1)[0])), keyspace.Counter(acme, 0)} {
		w.spoil(copiesFeed, w.put(key, ident.Version{Epoch: 1}, nil))
	}
	out, err := w.source.Digest(t.Context(), dublin, &peerv1.DigestRequest{Stream: lane0(copiesFeed), From: "\x00", To: "\xff"})
	if err != nil || len(out.GetEntities()) != 5 {
		t.Fatalf("%d entities, %v", len(out.GetEntities()), err)
	}
	for _, r := range []*peerv1.DigestRequest{{From: "zzz", To: "aaa"}, {From: "usr_9"}, {To: "a"}} {
		r.Stream = lane0(copiesFeed)
		if out, err := w.source.Digest(t.Context(), dublin, r); err != nil || len(out.GetEntities()) != 0 {
			t.Errorf("%v: %v, %v", r, out, err)
		}
	}
	if _, err := w.rec.Repair(t.Context(), lane0(copiesFeed)); err != nil {
		t.Fatal(err)
	}
	w.equal(copiesFeed)
	if _, err := w.rec.Compare(t.Context(), lane0(replicationv1.Feed_FEED_SETTINGS)); err == nil {
		t.Error("settings were compared")
	}
}
