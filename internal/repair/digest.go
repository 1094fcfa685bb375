package repair

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

// digestBytes is the length of every digest.
const digestBytes = 16

// held is what a region has, or is to have, of an entity. A version of an entity never changes, so its content need not be read: that
// what is stored stays what it is, is the store's promise.
type held struct {
	id      string
	version ident.Version
	// scope is a projection's; SCOPE_UNSPECIFIED for a whole entity.
	scope policyv1.Scope
	// withheld says that the newest state was refused here. No home ever has that.
	withheld bool
}

// digest is the digest of an entity in a feed: the first half of SHA-256 over all of held.
func (h *held) digest(feed replicationv1.Feed) [digestBytes]byte {
	var space [64]byte
	b := append(space[:0], byte(feed), byte(h.scope), 0) //nolint:gosec // a handful of numbers each
	if h.withheld {
		b[2] = 1
	}
	b = binary.BigEndian.AppendUint64(b, uint64(h.version.Epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(h.version.Seq))
	sum := sha256.Sum256(append(b, h.id...))
	return [digestBytes]byte(sum[:digestBytes])
}

// total is the digest of a set of entities: the sum of theirs modulo 2^128 (Clarke et al., Incremental Multiset Hash Functions,
// ASIACRYPT 2003), and their number. Unlike an exclusive or, a sum does not forget what is in it twice. It is good against accidents; a
// home that lies about its own data needs no collisions.
type total struct {
	high, low, count uint64
}

func (t *total) add(d [digestBytes]byte) {
	t.plus(total{high: binary.BigEndian.Uint64(d[:8]), low: binary.BigEndian.Uint64(d[8:]), count: 1})
}

func (t *total) plus(u total) {
	var carry uint64
	t.low, carry = bits.Add64(t.low, u.low, 0)
	t.high, _ = bits.Add64(t.high, u.high, carry)
	t.count += u.count
}

func (t *total) bytes() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, digestBytes), t.high)
	return binary.BigEndian.AppendUint64(b, t.low)
}

// is tells whether the total is that of a range as its home told it.
func (t *total) is(count uint64, digest []byte) bool {
	return t.count == count && bytes.Equal(t.bytes(), digest)
}
