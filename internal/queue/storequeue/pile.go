package storequeue

import "container/heap"

// pile has groups by a time, the earliest on top. Each of its groups knows its place in it, so that it can be moved and taken out.
type pile struct {
	groups []*group
	// key is the time, in Unix nanoseconds, and at the group's place: -1 when it is not in the pile.
	key func(*group) int64
	at  func(*group) *int
}

// top returns the group with the earliest time, or nil.
func (p *pile) top() *group {
	if len(p.groups) == 0 {
		return nil
	}
	return p.groups[0]
}

// set puts the group in, moves it to where its time is now, or takes it out.
func (p *pile) set(g *group, in bool) {
	switch at := *p.at(g); {
	case in && at < 0:
		heap.Push(p, g)
	case in:
		heap.Fix(p, at)
	case at >= 0:
		heap.Remove(p, at)
	}
}

// Len implements heap.Interface.
func (p *pile) Len() int { return len(p.groups) }

// Less implements heap.Interface.
func (p *pile) Less(i, j int) bool { return p.key(p.groups[i]) < p.key(p.groups[j]) }

// Swap implements heap.Interface.
func (p *pile) Swap(i, j int) {
	p.groups[i], p.groups[j] = p.groups[j], p.groups[i]
	*p.at(p.groups[i]), *p.at(p.groups[j]) = i, j
}

// Push implements heap.Interface.
func (p *pile) Push(x any) {
	g, _ := x.(*group) // Only set pushes.
	*p.at(g) = len(p.groups)
	p.groups = append(p.groups, g)
}

// Pop implements heap.Interface.
func (p *pile) Pop() any {
	last := len(p.groups) - 1
	g := p.groups[last]
	p.groups[last] = nil
	p.groups = p.groups[:last]
	*p.at(g) = -1
	return g
}
