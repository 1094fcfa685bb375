package directory

import (
	"encoding/binary"
	"hash/maphash"
	"iter"
)

// hostTable finds the tenants that may have a host, in about 7 bytes a host. It holds no names: only 8 bits of the host's hash
// and the hash of the owner's id, by which the owner's bucket is found; the owner's own entry says whether the host is among
// its hosts. So a host's name is stored once, and a host that moves is never shown with an owner who does not list it.
//
// Its buckets are those of compactMap, with fixed entries. Since it cannot tell the rest of a host's hash, its owner grows it by
// rebuilding it from all claims.
type hostTable struct {
	seed    maphash.Seed
	buckets bucketTable
	count   int
}

const (
	// claimBytes of a bucket are a claim: a tag and a hash32.
	claimBytes = 1 + 4
	// claimsPerBucket is the mean at which the number of buckets doubles.
	claimsPerBucket = 8
)

// hostClaim says that a tenant has a host.
type hostClaim struct {
	host  string
	owner hash32
}

func newHostTable() *hostTable { return &hostTable{seed: maphash.MakeSeed()} }

// hash returns what chooses a host's bucket, and its tag.
func (t *hostTable) hash(host string) (hash32, byte) {
	h := maphash.String(t.seed, host)
	return hash32(h), byte(h >> 56) //nolint:gosec // Its lower half.
}

// owners gives the claims that a host may have.
func (t *hostTable) owners(host string) claimWalk {
	h, tag := t.hash(host)
	return claimWalk{rest: t.buckets.bucket(h), tag: tag}
}

type claimWalk struct {
	rest string
	tag  byte
}

// next returns the next owner with the tag.
func (w *claimWalk) next() (owner hash32, ok bool) {
	for w.rest != "" {
		tag, at := w.rest[0], w.rest[1:claimBytes]
		w.rest = w.rest[claimBytes:]
		if tag == w.tag {
			return hash32(at[0]) | hash32(at[1])<<8 | hash32(at[2])<<16 | hash32(at[3])<<24, true
		}
	}
	return 0, false
}

func appendClaim(b []byte, tag byte, owner hash32) []byte {
	return binary.LittleEndian.AppendUint32(append(b, tag), uint32(owner))
}

// full tells whether the table should be rebuilt before so many claims are added.
func (t *hostTable) full(more int) bool { return t.count+more > t.buckets.size()*claimsPerBucket }

// rebuild makes the table of all claims there are, with room for more.
func (t *hostTable) rebuild(count, more int, claims iter.Seq[hostClaim]) {
	n := sizeFor(count+more, claimsPerBucket)
	parts := make([][]byte, n)
	t.count = 0
	for claim := range claims {
		h, tag := t.hash(claim.host)
		b := uint32(h) & uint32(n-1) //nolint:gosec // A power of two within memory.
		parts[b] = appendClaim(parts[b], tag, claim.owner)
		t.count++
	}
	t.buckets.now.Store(newSegments(n, func(i int) string { return string(parts[i]) }))
}

// update takes claims away, then adds others. Claims that look alike are one; so a tenant's claims are changed by taking all
// away that it had and adding all that it has.
func (t *hostTable) update(remove, add []hostClaim) {
	if len(remove)+len(add) == 0 {
		return
	}
	mask := t.buckets.now.Load().mask
	changed := make(map[uint32][]byte)
	at := func(claim hostClaim) (b uint32, wanted []byte) {
		h, tag := t.hash(claim.host)
		b = uint32(h) & mask
		if _, ok := changed[b]; !ok {
			changed[b] = []byte(t.buckets.bucket(hash32(b)))
		}
		return b, appendClaim(nil, tag, claim.owner)
	}
	for _, claim := range remove {
		b, wanted := at(claim)
		if i := indexClaim(changed[b], wanted); i >= 0 {
			changed[b] = append(changed[b][:i], changed[b][i+claimBytes:]...)
			t.count--
		}
	}
	for _, claim := range add {
		b, wanted := at(claim)
		if indexClaim(changed[b], wanted) < 0 {
			changed[b] = append(changed[b], wanted...)
			t.count++
		}
	}
	buckets := make(map[uint32]string, len(changed))
	for b, data := range changed {
		buckets[b] = string(data)
	}
	t.buckets.update(buckets)
}

// indexClaim returns where in a bucket a claim is, or -1.
func indexClaim(bucket, wanted []byte) int {
	for i := 0; i < len(bucket); i += claimBytes {
		if string(bucket[i:i+claimBytes]) == string(wanted) {
			return i
		}
	}
	return -1
}
