package repair

import (
	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
)

const (
	// fewEntities is how many entities a range has at the most that is listed without being asked to.
	fewEntities = 32
	// fanOut is how many ranges another one is split into.
	fanOut = 16
	// maxBuckets is how many buckets a splitter has at the most; even, and enough that ranges made of them are of about equal size.
	maxBuckets = 16 * fanOut
	// maxList is how many entities are listed when a list is asked for.
	maxList = 1000
)

// splitter takes the entities of a range in the order of their ids and divides them into ranges of about equal size, without knowing
// how many will come: it has equal buckets, and when there are too many, two neighbours become one.
type splitter struct {
	feed replicationv1.Feed
	// few are the entities, as long as they are few.
	few     []*peerv1.EntityDigest
	buckets []bucket
	// size is how many entities a bucket has that is full.
	size  uint64
	total uint64
}

type bucket struct {
	// first is the id of the first entity.
	first string
	total total
}

func (s *splitter) add(h *held) {
	d := h.digest(s.feed)
	s.total++
	if s.total <= fewEntities {
		s.few = append(s.few, listed(h, d))
	}
	s.size = max(s.size, 1)
	if n := len(s.buckets); n == 0 || s.buckets[n-1].total.count >= s.size {
		if n == maxBuckets {
			s.merge()
		}
		s.buckets = append(s.buckets, bucket{first: h.id})
	}
	s.buckets[len(s.buckets)-1].total.add(d)
}

// merge makes one bucket of every two.
func (s *splitter) merge() {
	for i := range maxBuckets / 2 {
		s.buckets[i] = s.buckets[2*i]
		s.buckets[i].total.plus(s.buckets[2*i+1].total)
	}
	s.buckets = s.buckets[:maxBuckets/2]
	s.size *= 2
}

// fill puts the result into an answer.
func (s *splitter) fill(r *peerv1.DigestResponse) {
	if s.total <= fewEntities {
		r.Entities = s.few
		return
	}
	var sum total
	var seen uint64
	for i, b := range s.buckets {
		sum.plus(b.total)
		seen += b.total.count
		end := i == len(s.buckets)-1
		if !end && seen*fanOut < s.total*uint64(len(r.GetRanges())+1) {
			continue
		}
		to := ""
		if !end {
			to = s.buckets[i+1].first
		}
		r.Ranges = append(r.Ranges, &peerv1.RangeDigest{To: to, Count: sum.count, Digest: sum.bytes()})
		sum = total{}
	}
}

// listed is an entity in a list.
func listed(h *held, digest [digestBytes]byte) *peerv1.EntityDigest {
	return &peerv1.EntityDigest{Id: h.id, Digest: digest[:], Epoch: uint64(h.version.Epoch), Seq: uint64(h.version.Seq)}
}
