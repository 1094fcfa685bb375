package directory

import (
	"hash/maphash"
	"sync/atomic"
)

// hostTable finds the tenants that may have a host, in about 11 bytes a host. It holds no names: a slot has bits of the host's
// hash and the hash of the owner's id, and the owner's own entry says whether the host is among its hosts. So a host is stored
// once, and moving one never shows it without an owner who lists it.
//
// Like compactMap it is a fixed number of immutable shards, swapped whole.
type hostTable struct {
	seed   maphash.Seed
	shards [shardCount]atomic.Pointer[[]hostSlot]
}

// hostSlot is a host's tag in the upper half, which is odd, and its owner's hash32 in the lower. 0 is a free slot.
type hostSlot uint64

// hostHash chooses a host's shard and tag.
type hostHash struct{ shard, tag uint32 }

// hostClaim says that a tenant has a host.
type hostClaim struct {
	host  string
	owner hash32
}

func newHostTable() *hostTable { return &hostTable{seed: maphash.MakeSeed()} }

func (t *hostTable) hash(host string) hostHash {
	h := maphash.String(t.seed, host)
	return hostHash{shard: uint32(h) % shardCount, tag: uint32(h>>32) | 1} //nolint:gosec // Two halves of a hash.
}

func (s hostSlot) tag() uint32 { return uint32(s >> 32) }

func (s hostSlot) owner() hash32 { return hash32(s) } //nolint:gosec // The lower half.

func (s hostSlot) place(n int) int { return int(uint64(s.tag()) * uint64(n) >> 32) } //nolint:gosec // Below n.

func slotOf(tag uint32, owner hash32) hostSlot { return hostSlot(uint64(tag)<<32 | uint64(owner)) }

// probe walks the owners that a host may have.
func (t *hostTable) probe(host string) hostProber {
	h := t.hash(host)
	slots := t.shards[h.shard].Load()
	if slots == nil || len(*slots) == 0 {
		return hostProber{}
	}
	return hostProber{slots: *slots, at: slotOf(h.tag, 0).place(len(*slots)), tag: h.tag}
}

type hostProber struct {
	slots []hostSlot
	at    int
	tag   uint32
}

// next returns the next owner of the tag probed for.
func (p *hostProber) next() (owner hash32, ok bool) {
	for len(p.slots) > 0 {
		slot := p.slots[p.at]
		if slot == 0 {
			return 0, false
		}
		if p.at++; p.at == len(p.slots) {
			p.at = 0
		}
		if slot.tag() == p.tag {
			return slot.owner(), true
		}
	}
	return 0, false
}

// update takes claims away, then adds others.
func (t *hostTable) update(remove, add []hostClaim) {
	type change struct{ remove, add []hostSlot }
	touched := make(map[uint32]*change)
	at := func(claim hostClaim) (*change, hostSlot) {
		h := t.hash(claim.host)
		if touched[h.shard] == nil {
			touched[h.shard] = new(change)
		}
		return touched[h.shard], slotOf(h.tag, claim.owner)
	}
	for _, claim := range remove {
		c, slot := at(claim)
		c.remove = append(c.remove, slot)
	}
	for _, claim := range add {
		c, slot := at(claim)
		c.add = append(c.add, slot)
	}
	for n, c := range touched {
		live := make(map[hostSlot]struct{})
		if old := t.shards[n].Load(); old != nil {
			for _, slot := range *old {
				if slot != 0 {
					live[slot] = struct{}{}
				}
			}
		}
		for _, slot := range c.remove {
			delete(live, slot)
		}
		for _, slot := range c.add {
			live[slot] = struct{}{}
		}
		t.shards[n].Store(buildHostShard(live))
	}
}

func buildHostShard(live map[hostSlot]struct{}) *[]hostSlot {
	if len(live) == 0 {
		return nil
	}
	slots := make([]hostSlot, len(live)+len(live)/3+1)
	for slot := range live {
		at := slot.place(len(slots))
		for slots[at] != 0 {
			if at++; at == len(slots) {
				at = 0
			}
		}
		slots[at] = slot
	}
	return &slots
}
