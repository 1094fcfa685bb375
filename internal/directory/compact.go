package directory

import (
	"encoding/binary"
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// compactMap maps short keys to short values in few bytes: about 8 more than key and value together. Readers take no lock and
// allocate nothing; what they get points into memory that never changes. Writers are serialized by the owner.
//
// It is a fixed number of shards. A shard is immutable: its entries one after another in one string, and an open-addressing
// table (linear probing, 3/4 full) of 4-byte slots that point into it. A write builds the shards it touches anew and swaps
// them in. Entries are replaced, never removed. Hashes are seeded, so that no one outside can choose names that collide.
type compactMap struct {
	seed   maphash.Seed
	shards [shardCount]atomic.Pointer[shard]
	count  atomic.Int64
}

const (
	shardBits  = 12
	shardCount = 1 << shardBits
	// placeBits of a hash choose where in its shard an entry's probing begins.
	placeBits = 32 - shardBits
	placeMask = 1<<placeBits - 1
	// A slot is an offset, plus one, and tagBits of the hash that spare most comparisons. 0 is a free slot.
	tagBits    = 8
	offsetBits = 32 - tagBits
	offsetMask = 1<<offsetBits - 1
)

type shard struct {
	slots []uint32
	// data has for each entry the lengths of key and value as varints, the key and the value.
	data  string
	count int
}

// entry is what a writer puts.
type entry struct{ key, value string }

// hash32 of a key chooses shard, place and tag.
type hash32 uint32

func (h hash32) shard() uint32   { return uint32(h) >> placeBits }
func (h hash32) place(n int) int { return int(uint64(h&placeMask) * uint64(n) >> placeBits) } //nolint:gosec // Below n.
func (h hash32) slotTag() uint32 { return uint32(h) << offsetBits }

func newCompactMap() *compactMap { return &compactMap{seed: maphash.MakeSeed()} }

func (m *compactMap) hash(key string) hash32 { return hash32(maphash.String(m.seed, key)) } //nolint:gosec // Its lower half.

func (m *compactMap) hashBytes(key []byte) hash32 {
	return hash32(maphash.Bytes(m.seed, key)) //nolint:gosec // Its lower half.
}

// get returns the value of a key.
func (m *compactMap) get(key string) (value string, ok bool) {
	h := m.hash(key)
	it := m.probe(h)
	for k, v, found := it.next(); found; k, v, found = it.next() {
		if k == key {
			return v, true
		}
	}
	return "", false
}

// getBytes is get for a key in bytes, which it does not keep.
func (m *compactMap) getBytes(key []byte) (value string, ok bool) {
	h := m.hashBytes(key)
	it := m.probe(h)
	for k, v, found := it.next(); found; k, v, found = it.next() {
		if k == string(key) {
			return v, true
		}
	}
	return "", false
}

// probe walks the entries that may have a hash.
func (m *compactMap) probe(h hash32) prober {
	s := m.shards[h.shard()].Load()
	if s == nil {
		return prober{}
	}
	return prober{slots: s.slots, data: s.data, at: h.place(len(s.slots)), tag: h.slotTag()}
}

type prober struct {
	slots []uint32
	data  string
	at    int
	tag   uint32
}

// next returns the next entry of the tag probed for. There always is a free slot, at which the walk ends.
func (p *prober) next() (key, value string, ok bool) {
	for len(p.slots) > 0 {
		slot := p.slots[p.at]
		if slot == 0 {
			return "", "", false
		}
		if p.at++; p.at == len(p.slots) {
			p.at = 0
		}
		if slot&^offsetMask == p.tag {
			key, value, _ = entryAt(p.data, int(slot&offsetMask)-1)
			return key, value, true
		}
	}
	return "", "", false
}

// entryAt returns the entry at an offset and the offset of the one after it.
func entryAt(data string, at int) (key, value string, next int) {
	keyLen, at := uvarint(data, at)
	valueLen, at := uvarint(data, at)
	middle := at + int(keyLen)    //nolint:gosec // Lengths that put wrote.
	next = middle + int(valueLen) //nolint:gosec // Lengths that put wrote.
	return data[at:middle], data[middle:next], next
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

// put adds or replaces entries. Of two with one key the later one counts. Shards that would outgrow their offsets (16 MiB, 64 GiB
// in all) are left as they are, and put says so.
func (m *compactMap) put(entries []entry) (ok bool) {
	touched := make(map[uint32][]entry)
	for _, e := range entries {
		n := m.hash(e.key).shard()
		touched[n] = append(touched[n], e)
	}
	ok = true
	for n, group := range touched {
		old := m.shards[n].Load()
		fresh := m.build(old, group)
		if fresh == nil {
			ok = false
			continue
		}
		m.shards[n].Store(fresh)
		m.count.Add(int64(fresh.count - old.len()))
	}
	return ok
}

func (s *shard) len() int {
	if s == nil {
		return 0
	}
	return s.count
}

// build makes a shard of an old one and what replaces or follows its entries; nil if it would be too large.
func (m *compactMap) build(old *shard, group []entry) *shard {
	newest := make(map[string]string, len(group))
	size, count := 0, 0
	for _, e := range group {
		newest[e.key] = e.value
	}
	old.each(func(key, value string) {
		if _, replaced := newest[key]; !replaced {
			size += entrySize(key, value)
			count++
		}
	})
	for key, value := range newest {
		size += entrySize(key, value)
		count++
	}
	if size >= offsetMask {
		return nil
	}
	b := shardBuilder{hash: m.hash, slots: make([]uint32, count+count/3+1)}
	b.data.Grow(size)
	old.each(func(key, value string) {
		if _, replaced := newest[key]; !replaced {
			b.add(key, value)
		}
	})
	for key, value := range newest {
		b.add(key, value)
	}
	return &shard{slots: b.slots, data: b.data.String(), count: count}
}

// each calls fn with all entries of a shard.
func (s *shard) each(fn func(key, value string)) {
	if s == nil {
		return
	}
	for at := 0; at < len(s.data); {
		var key, value string
		key, value, at = entryAt(s.data, at)
		fn(key, value)
	}
}

type shardBuilder struct {
	hash  func(string) hash32
	slots []uint32
	data  strings.Builder
}

func (b *shardBuilder) add(key, value string) {
	h := b.hash(key)
	at := h.place(len(b.slots))
	for b.slots[at] != 0 {
		if at++; at == len(b.slots) {
			at = 0
		}
	}
	b.slots[at] = h.slotTag() | uint32(b.data.Len()+1) //nolint:gosec // Below offsetMask.
	var lengths [2 * binary.MaxVarintLen64]byte
	head := binary.AppendUvarint(lengths[:0], uint64(len(key)))
	head = binary.AppendUvarint(head, uint64(len(value)))
	b.data.Write(head)
	b.data.WriteString(key)
	b.data.WriteString(value)
}

func entrySize(key, value string) int {
	var lengths [2 * binary.MaxVarintLen64]byte
	head := binary.AppendUvarint(lengths[:0], uint64(len(key)))
	head = binary.AppendUvarint(head, uint64(len(value)))
	return len(head) + len(key) + len(value)
}
