package directory

import (
	"hash/maphash"
	"iter"
	"sync/atomic"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

// routeTable maps tenants to what routes their calls, for the request path: 16 bytes a slot, two words, so that a look-up among
// millions waits for memory once. It is an open-addressing table of groups of four slots, which are one cache line, at most
// 3/4 full. Readers take no lock; writers are serialized by the owner.
//
// A slot does not hold the id but 86 bits of two seeded hashes of it. An id that nobody has is taken for a tenant's with a chance
// of less than 2^-80, and any two of a million tenants for one another with less than 2^-46. The seeds never leave the process,
// so nobody can search for such ids. Slots are never freed, since ids are never given again; a tenant's first word never
// changes, and the second is replaced in one store.
type routeTable struct {
	first, second maphash.Seed
	now           atomic.Pointer[routeSlots]
	count         int
}

type routeSlots struct {
	groups uint32
	// words are pairs: the first hash, or 0 in a free slot, and a packedRoute.
	words []atomic.Uint64
}

const (
	slotWords  = 2
	groupSlots = 4
	groupWords = groupSlots * slotWords
	// growth is the part of the tenants that room is made for at once: a quarter.
	growth = 4
)

// routeHash is the two hashes of an id.
type routeHash struct{ first, second uint64 }

func newRouteTable() *routeTable {
	return &routeTable{first: maphash.MakeSeed(), second: maphash.MakeSeed()}
}

func (t *routeTable) hash(id string) routeHash {
	return routeHash{first: maphash.String(t.first, id) | 1, second: maphash.String(t.second, id)}
}

func (t *routeTable) hashBytes(id []byte) routeHash {
	return routeHash{first: maphash.Bytes(t.first, id) | 1, second: maphash.Bytes(t.second, id)}
}

// get returns the packed route of a hash.
func (t *routeTable) get(h routeHash) (packedRoute, bool) {
	now := t.now.Load()
	if now == nil {
		return 0, false
	}
	at, free := now.find(h)
	if free {
		return 0, false
	}
	return packedRoute(now.words[at+1].Load()), true
}

// find returns where a hash has its slot, or where the free slot is that it would take. There always is a free one.
func (s *routeSlots) find(h routeHash) (at int, free bool) {
	words := s.words
	tag := h.second &^ routeMask
	at = int(uint64(uint32(h.second))*uint64(s.groups)>>32) * groupWords //nolint:gosec // Lemire's range reduction; below len.
	for {
		if at >= len(words)-1 {
			at = 0
		}
		switch first := words[at].Load(); {
		case first == 0:
			return at, true
		case first == h.first && words[at+1].Load()&^routeMask == tag:
			return at, false
		}
		at += slotWords
	}
}

// reserve makes room for more tenants, and for a quarter of all beyond them when it must grow. all gives the tenants that there
// are; those that were to be added may be among them.
func (t *routeTable) reserve(more int, all iter.Seq2[string, packedRoute]) {
	if now := t.now.Load(); now != nil && t.count+more <= now.room() {
		return
	}
	room := t.count + max(more, t.count/growth)
	groups := room/(groupSlots-1) + 1
	fresh := &routeSlots{groups: uint32(groups), words: make([]atomic.Uint64, groups*groupWords)} //nolint:gosec // Bounded by memory.
	t.count = 0
	for id, route := range all {
		t.count += fresh.put(t.hash(id), route)
	}
	t.now.Store(fresh)
}

// room returns how many tenants fill three slots of each group, on average.
func (s *routeSlots) room() int { return int(s.groups) * (groupSlots - 1) }

// put adds or replaces a tenant's route. Room for it was reserved.
func (t *routeTable) put(id string, route packedRoute) {
	t.count += t.now.Load().put(t.hash(id), route)
}

// put returns how many tenants it added: 1 or 0.
func (s *routeSlots) put(h routeHash, route packedRoute) int {
	at, free := s.find(h)
	// A reader that sees the first word sees the second.
	s.words[at+1].Store(h.second&^routeMask | uint64(route))
	if !free {
		return 0
	}
	s.words[at].Store(h.first)
	return 1
}

// packedRoute is a routing.Tenant in the lower 41 bits of a word: 6 bits each of home and standby, 6 of policies, 23 of epoch. In
// a slot, 23 bits of the second hash are above them.
type packedRoute uint64

const (
	packedRegionBits = 6
	packedNoRegion   = 1<<packedRegionBits - 1
	policiesShift    = 2 * packedRegionBits
	policiesBits     = 6
	policiesMask     = 1<<policiesBits - 1
	epochShift       = policiesShift + policiesBits
	epochBits        = 23
	// packedLongEpoch says that the epoch does not fit; the tenant's entry has it.
	packedLongEpoch = 1<<epochBits - 1
	routeMask       = 1<<(epochShift+epochBits) - 1
)

func packRegion(c regionCode) packedRoute {
	if c >= firstStrange {
		return packedNoRegion
	}
	return packedRoute(c)
}

func unpackRegion(p packedRoute) topology.Index {
	if p &= packedNoRegion; p != packedNoRegion {
		return topology.Index(p)
	}
	return topology.NoRegion
}

func (e tenantEntry) pack() packedRoute {
	return packRegion(e.home) | packRegion(e.standby)<<packedRegionBits |
		packedRoute(e.policies&policiesMask)<<policiesShift | packedRoute(min(e.epoch, packedLongEpoch))<<epochShift
}

// unpack returns the route, and whether its epoch is the whole one.
func (p packedRoute) unpack() (t routing.Tenant, whole bool) {
	policies := uint8(p >> policiesShift & policiesMask)
	epoch := p & routeMask >> epochShift
	return routing.Tenant{
		Home: unpackRegion(p), Standby: unpackRegion(p >> packedRegionBits),
		Transit:     policies & policyMask,
		Projections: policies >> projectionsShift & policyMask,
		State:       policies >> stateShift & policyMask,
		Epoch:       ident.Epoch(epoch),
	}, epoch != packedLongEpoch
}
