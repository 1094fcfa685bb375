package storequeue

import (
	"container/list"
	"slices"
	"time"

	"github.com/domicile-api/domicile/internal/store"
)

// index is what a queue keeps in memory: its groups and the numbers of their messages, no bodies. It does no input or output; the
// queue's lock guards it.
//
// A group's messages can be taken when nothing of it is out, no commit on it is under way, and its first message is stored. So order
// within a group needs no lock during a commit.
type index struct {
	retention time.Duration
	// maxReceives is after how many receptions a message is taken as a dead letter; zero: never.
	maxReceives uint32

	groups map[string]*group
	// ready has the groups whose messages can be taken, first come first served.
	ready *list.List
	// out has the groups with messages in flight, by when the last of these ends.
	out pile
	// ages has all groups with messages by the age of their first.
	ages pile
	// received has the messages that were received, by number.
	received map[uint64]*flight
	// last is the last number given, stored how many messages there are, inFlight how many of them are out.
	last             uint64
	stored, inFlight int
}

// group is a message group.
type group struct {
	id string
	// sender is who sends its messages.
	sender string
	// entries are the messages, by rising number.
	entries []entry
	// out are the messages in flight. They are of one reception.
	out []*flight
	// taking says that a reception's commit is under way; claims counts the messages with a commit of a Delete or Extend under way.
	taking bool
	claims int

	ready        *list.Element
	outAt, ageAt int
}

// entry is a message in its group. Times are Unix nanoseconds.
type entry struct {
	number      uint64
	sent, since int64
	// flight is its last reception, nil before the first.
	flight *flight
	// pending says that its commit is under way.
	pending bool
}

// flight is a message's last reception.
type flight struct {
	reception

	group  *group
	number uint64
	// claimed is set while the commit of a Delete or Extend is under way, and closed after it.
	claimed chan struct{}
}

func newIndex(retention time.Duration, maxReceives uint32) *index {
	return &index{
		retention: retention, maxReceives: maxReceives,
		groups: make(map[string]*group), ready: list.New(), received: make(map[uint64]*flight),
		out:  pile{key: (*group).deadline, at: func(g *group) *int { return &g.outAt }},
		ages: pile{key: func(g *group) int64 { return g.entries[0].since }, at: func(g *group) *int { return &g.ageAt }},
	}
}

// deadline is when the last message in flight ends to be.
func (g *group) deadline() int64 {
	var last int64
	for _, f := range g.out {
		last = max(last, f.deadline)
	}
	return last
}

// find returns the place of a message, or -1.
func (g *group) find(number uint64) int {
	i, ok := slices.BinarySearchFunc(g.entries, number, func(e entry, n uint64) int {
		switch {
		case e.number < n:
			return -1
		case e.number > n:
			return 1
		default:
			return 0
		}
	})
	if !ok {
		return -1
	}
	return i
}

// place puts the group where it belongs now. Every change of a group ends with it.
func (x *index) place(g *group, now int64) {
	quiet := !g.taking && g.claims == 0
	if quiet {
		before := len(g.out)
		g.out = slices.DeleteFunc(g.out, func(f *flight) bool { return f.deadline <= now })
		x.inFlight -= before - len(g.out)
	}
	x.out.set(g, quiet && len(g.out) > 0)
	x.ages.set(g, len(g.entries) > 0)
	canTake := quiet && len(g.out) == 0 && len(g.entries) > 0 && !g.entries[0].pending
	switch {
	case canTake && g.ready == nil:
		g.ready = x.ready.PushBack(g)
	case !canTake && g.ready != nil:
		x.ready.Remove(g.ready)
		g.ready = nil
	}
	if quiet && len(g.entries) == 0 {
		delete(x.groups, g.id)
	}
}

// pass does what the passing of time does: receptions end, and what is too old goes. Its items expire by themselves.
func (x *index) pass(now int64) {
	for g := x.out.top(); g != nil && g.deadline() <= now; g = x.out.top() {
		x.place(g, now)
	}
	for g := x.ages.top(); g != nil && g.entries[0].since+int64(x.retention) <= now; g = x.ages.top() {
		if g.taking || g.claims > 0 || g.entries[0].pending {
			break
		}
		x.remove(g, g.entries[0].number)
		x.place(g, now)
	}
}

// next returns a number that is higher than all before.
func (x *index) next() uint64 {
	x.last++
	return x.last
}

// add appends a message to its group, whose place the caller then sees to.
func (x *index) add(id string, e entry) *group {
	g, ok := x.groups[id]
	if !ok {
		g = &group{id: id, outAt: -1, ageAt: -1}
		x.groups[id] = g
	}
	g.entries = append(g.entries, e)
	if !e.pending {
		x.stored++
	}
	return g
}

// confirm says that a message is stored.
func (x *index) confirm(g *group, number uint64) {
	if i := g.find(number); i >= 0 && g.entries[i].pending {
		g.entries[i].pending = false
		x.stored++
	}
}

// remove forgets a message, if it is there.
func (x *index) remove(g *group, number uint64) {
	i := g.find(number)
	if i < 0 {
		return
	}
	e := g.entries[i]
	if !e.pending {
		x.stored--
	}
	if e.flight != nil {
		delete(x.received, number)
		if at := slices.Index(g.out, e.flight); at >= 0 {
			g.out = slices.Delete(g.out, at, at+1)
			x.inFlight--
		}
	}
	copy(g.entries[1:i+1], g.entries[:i]) // What goes is mostly the first.
	g.entries[0] = entry{}
	g.entries = g.entries[1:]
}

// receive notes a reception of a message.
func (x *index) receive(g *group, number uint64, r reception) {
	i := g.find(number)
	if i < 0 {
		return
	}
	f := g.entries[i].flight
	if f == nil {
		f = &flight{group: g, number: number}
		g.entries[i].flight, x.received[number] = f, f
	}
	f.reception = r
	g.out = append(g.out, f)
	x.inFlight++
}

// taken is a message that a reception takes. dead says that it becomes a dead letter instead.
type taken struct {
	group    *group
	number   uint64
	receives uint32
	dead     bool

	// What was read of it. A message that is not there any more is missing.
	missing bool
	item    store.Item
	message message
}

// take takes up to limit messages, and at most as many dead letters: of the first group as many as there are, so that other
// receivers find other groups, then of the next.
func (x *index) take(limit int, now int64) []taken {
	var all []taken
	live, dead := 0, 0
	for live < limit && dead < limit && x.ready.Len() > 0 {
		g, _ := x.ready.Front().Value.(*group)
		for i := range g.entries {
			e := &g.entries[i]
			if e.pending || live == limit || dead == limit {
				break
			}
			t := taken{group: g, number: e.number}
			if e.flight != nil {
				t.receives = e.flight.receives
			}
			if x.maxReceives > 0 && t.receives >= x.maxReceives {
				t.dead = true
				dead++
			} else {
				live++
			}
			all = append(all, t)
		}
		g.taking = true
		x.place(g, now)
	}
	return all
}
