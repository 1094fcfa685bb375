package directory

import "time"

// unknownNames remembers for a while which names the table does not have. A name takes about 40 bytes, however long it is: its
// seeded 64-bit hash stands for it. Two names that share one are a one in 2^64 chance; the second is then unknown for the
// while. The owner serializes calls.
type unknownNames struct {
	ttl   time.Duration
	limit int
	until map[uint64]int64
	// order has the names as they were added, which is the order in which they expire, from head on.
	order []unknownName
	head  int
}

type unknownName struct {
	name uint64
	// until is in Unix nanoseconds.
	until int64
}

func newUnknownNames(ttl time.Duration, limit int) *unknownNames {
	return &unknownNames{ttl: ttl, limit: limit, until: make(map[uint64]int64)}
}

// has tells whether a name is known to be unknown.
func (u *unknownNames) has(name uint64, now time.Time) bool {
	until, ok := u.until[name]
	return ok && now.UnixNano() < until
}

// add remembers a name. Beyond the limit the oldest is forgotten.
func (u *unknownNames) add(name uint64, now time.Time) {
	for u.head < len(u.order) && (u.order[u.head].until <= now.UnixNano() || len(u.until) >= u.limit) {
		u.drop()
	}
	until := now.Add(u.ttl).UnixNano()
	u.until[name] = until
	u.order = append(u.order, unknownName{name: name, until: until})
}

// drop forgets the oldest name, unless it was added again since.
func (u *unknownNames) drop() {
	oldest := u.order[u.head]
	if u.until[oldest.name] == oldest.until {
		delete(u.until, oldest.name)
	}
	u.head++
	switch {
	case u.head == len(u.order):
		// After a flood, give its memory back.
		u.order, u.head, u.until = nil, 0, make(map[uint64]int64)
	case u.head > len(u.order)/2:
		u.order = u.order[:copy(u.order, u.order[u.head:])]
		u.head = 0
	}
}
