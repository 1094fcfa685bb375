package directory

import (
	"encoding/binary"
	"hash/maphash"
	"iter"
	"sync/atomic"
)

// compactMap maps short keys to short values in few bytes: about 10 more than key and value together. Readers take no lock and
// allocate nothing; what they get points into memory that never changes. Writers are serialized by the owner.
//
// It is a hash table of buckets of a few entries each. A bucket is one string, its entries one after another, so that a
// look-up in a map far larger than the processor's caches waits for memory twice: for the bucket's header, and for the bucket.
// Buckets are never changed, nor are segments, which hold the headers of some: a write makes a bucket and its segment anew and
// swaps the segment in. Entries are replaced, never removed. Hashes are seeded, so that no one outside can choose names that
// collide.
type compactMap struct {
	seed    maphash.Seed
	buckets bucketTable
	count   int
}

const (
	segmentBits = 6
	segmentSize = 1 << segmentBits
	// entriesPerBucket is the mean at which the number of buckets doubles.
	entriesPerBucket = 8
)

// bucketTable is a number of buckets that is a power of two, at least segmentSize, or 0. A bucket is found by the lowest bits
// of a hash.
type bucketTable struct {
	now atomic.Pointer[segments]
}

type segments struct {
	mask uint32
	list []atomic.Pointer[segment]
}

type segment [segmentSize]string

// hash32 of a key chooses its bucket.
type hash32 uint32

// bucket returns the bucket of a hash. It is inlined.
func (t *bucketTable) bucket(h hash32) string {
	now := t.now.Load()
	if now == nil {
		return ""
	}
	b := uint32(h) & now.mask
	return now.list[b>>segmentBits].Load()[b%segmentSize]
}

// size returns how many buckets there are.
func (t *bucketTable) size() int {
	now := t.now.Load()
	if now == nil {
		return 0
	}
	return len(now.list) * segmentSize
}

// sizeFor returns how many buckets are enough for a number of entries.
func sizeFor(entries, perBucket int) int {
	n := segmentSize
	for n*perBucket < entries {
		n *= 2
	}
	return n
}

// newSegments makes a table of n buckets.
func newSegments(n int, bucket func(int) string) *segments {
	s := &segments{mask: uint32(n - 1), list: make([]atomic.Pointer[segment], n/segmentSize)} //nolint:gosec // A power of two within memory.
	for i := range s.list {
		fresh := new(segment)
		for j := range fresh {
			fresh[j] = bucket(i*segmentSize + j)
		}
		s.list[i].Store(fresh)
	}
	return s
}

// update replaces the buckets of changed, which are keyed by their numbers, segment by segment.
func (t *bucketTable) update(changed map[uint32]string) {
	now := t.now.Load()
	copies := make(map[uint32]*segment)
	for b, data := range changed {
		fresh := copies[b>>segmentBits]
		if fresh == nil {
			fresh = new(segment)
			*fresh = *now.list[b>>segmentBits].Load()
			copies[b>>segmentBits] = fresh
		}
		fresh[b%segmentSize] = data
	}
	for i, fresh := range copies {
		now.list[i].Store(fresh)
	}
}

// each gives all buckets, each segment as it is when its turn comes.
func (t *bucketTable) each() iter.Seq[string] {
	return func(yield func(string) bool) {
		now := t.now.Load()
		if now == nil {
			return
		}
		for i := range now.list {
			for _, data := range now.list[i].Load() {
				if !yield(data) {
					return
				}
			}
		}
	}
}

func newCompactMap() *compactMap { return &compactMap{seed: maphash.MakeSeed()} }

func (m *compactMap) hash(key string) hash32 { return hash32(maphash.String(m.seed, key)) } //nolint:gosec // Its lower half.

// get returns the value of a key.
func (m *compactMap) get(key string) (value string, ok bool) {
	return find(m.buckets.bucket(m.hash(key)), key)
}

// getBytes is get for a key in bytes, which it does not keep.
func (m *compactMap) getBytes(key []byte) (value string, ok bool) {
	h := hash32(maphash.Bytes(m.seed, key)) //nolint:gosec // Its lower half.
	return find(m.buckets.bucket(h), key)
}

// find looks for a key in a bucket.
func find[K string | []byte](bucket string, key K) (value string, ok bool) {
	for at := 0; at < len(bucket); {
		k, v, next := entryAt(bucket, at)
		if k == string(key) {
			return v, true
		}
		at = next
	}
	return "", false
}

// entryAt returns the entry at an offset of a bucket and the offset of the one after it. An entry is the lengths of key and value
// as varints, the key, the value.
func entryAt(bucket string, at int) (key, value string, next int) {
	keyLen, at := uvarint(bucket, at)
	valueLen, at := uvarint(bucket, at)
	middle := at + int(keyLen)    //nolint:gosec // Lengths that appendEntry wrote.
	next = middle + int(valueLen) //nolint:gosec // Lengths that appendEntry wrote.
	return bucket[at:middle], bucket[middle:next], next
}

// uvarint reads a varint as encoding/binary writes it.
func uvarint(data string, at int) (n uint64, next int) {
	if b := data[at]; b < 0x80 {
		return uint64(b), at + 1
	}
	for shift := uint(0); ; shift += 7 {
		b := data[at]
		at++
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n, at
		}
	}
}

// put adds or replaces entries.
func (m *compactMap) put(entries map[string]string) {
	if len(entries) == 0 {
		return
	}
	if m.count+len(entries) > m.buckets.size()*entriesPerBucket {
		m.grow(sizeFor(m.count+len(entries), entriesPerBucket))
	}
	mask := m.buckets.now.Load().mask
	groups := make(map[uint32][]string, len(entries))
	for key := range entries {
		b := uint32(m.hash(key)) & mask
		groups[b] = append(groups[b], key)
	}
	changed := make(map[uint32]string, len(groups))
	var build []byte
	for b, keys := range groups {
		build = build[:0]
		old := m.buckets.bucket(hash32(b))
		for at := 0; at < len(old); {
			key, value, next := entryAt(old, at)
			if _, replaced := entries[key]; replaced {
				m.count--
			} else {
				build = appendEntry(build, key, value)
			}
			at = next
		}
		for _, key := range keys {
			build = appendEntry(build, key, entries[key])
		}
		m.count += len(keys)
		changed[b] = string(build)
	}
	m.buckets.update(changed)
}

// grow spreads the entries over n buckets, a multiple of what there are: those of one bucket go to n/size.
func (m *compactMap) grow(n int) {
	size := m.buckets.size()
	if size == 0 {
		m.buckets.now.Store(newSegments(n, func(int) string { return "" }))
		return
	}
	fresh := make([]string, n)
	parts := make(map[uint32][]byte)
	for b := range size {
		clear(parts)
		old := m.buckets.bucket(hash32(b))
		for at := 0; at < len(old); {
			key, value, next := entryAt(old, at)
			to := uint32(m.hash(key)) & uint32(n-1) //nolint:gosec // A power of two within memory.
			parts[to] = appendEntry(parts[to], key, value)
			at = next
		}
		for to, data := range parts {
			fresh[to] = string(data)
		}
	}
	m.buckets.now.Store(newSegments(n, func(i int) string { return fresh[i] }))
}

func appendEntry(b []byte, key, value string) []byte {
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = binary.AppendUvarint(b, uint64(len(value)))
	b = append(b, key...)
	return append(b, value...)
}

// all gives all entries. What is put meanwhile may be among them or not.
func (m *compactMap) all() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for bucket := range m.buckets.each() {
			for at := 0; at < len(bucket); {
				key, value, next := entryAt(bucket, at)
				if !yield(key, value) {
					return
				}
				at = next
			}
		}
	}
}
