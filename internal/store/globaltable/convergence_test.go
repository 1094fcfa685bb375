package globaltable_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestConvergence runs random writes, partitions, lags, clock errors and crashes. Once everything is connected and up, all
// regions show the same, and what only one region writes is what it wrote last.
func TestConvergence(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		program := drawProgram(rt)
		var failure string
		synctest.Test(t, func(*testing.T) { failure = program.run() })
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

// program is a run, drawn beforehand: rapid's goroutine is not in the bubble.
type program struct {
	skew  [3]time.Duration
	steps []step
}

type step struct {
	action action
	// region acts, on the item, or on its link to other.
	region, other int
	item          int
	d             time.Duration
}

type action int

const (
	pause action = iota
	resume
	setLag
	pass
	crash
	remove
	put // Drawn more often than the others: all from here on.
)

const actions = put + 4

func drawProgram(rt *rapid.T) program {
	p := program{steps: make([]step, rapid.IntRange(3, 40).Draw(rt, "steps"))}
	for i := range p.skew {
		p.skew[i] = time.Duration(rapid.IntRange(-500, 500).Draw(rt, "skew")) * time.Millisecond
	}
	for i := range p.steps {
		region := rapid.IntRange(0, 2).Draw(rt, "region")
		p.steps[i] = step{
			action: action(rapid.IntRange(0, int(actions)-1).Draw(rt, "action")), region: region,
			other: (region + rapid.IntRange(1, 2).Draw(rt, "other")) % 3, item: rapid.IntRange(0, 2).Draw(rt, "item"),
			d: time.Duration(rapid.IntRange(0, 3000).Draw(rt, "d")) * time.Millisecond,
		}
	}
	return p
}

// meshFailure is how a failed check leaves the bubble.
type meshFailure string

type bubbleFailer struct{}

func (bubbleFailer) Helper() {}

func (bubbleFailer) Fatalf(format string, args ...any) {
	panic(meshFailure(fmt.Sprintf(format, args...)))
}

// run runs the program and returns what is wrong.
func (p program) run() (failure string) {
	m := newMesh(bubbleFailer{}, three...)
	defer m.stopAll()
	defer func() {
		switch f := recover().(type) {
		case nil:
		case meshFailure:
			failure = string(f)
		default:
			panic(f)
		}
	}()
	for i, id := range three {
		m.regions[id].skew.Store(int64(p.skew[i]))
	}
	last := map[string]string{}
	for n, s := range p.steps {
		m.step(n, s, last)
	}
	m.heal()
	m.same()
	for _, id := range three {
		for name, value := range last {
			m.shows(id, name, value)
		}
	}
	return ""
}

// step runs one step; last gets what is written of items that only one region writes.
func (m *mesh) step(n int, s step, last map[string]string) {
	id := three[s.region]
	link := m.regions[id].table.Link(three[s.other])
	name := []string{"shared1", "shared2", "own " + string(id)}[s.item]
	note := func(value string) {
		if s.item == 2 {
			last[name] = value
		}
	}
	switch s.action {
	case pause:
		link.Pause()
	case resume:
		link.Resume()
	case setLag:
		link.SetLag(s.d)
	case pass:
		time.Sleep(s.d)
	case crash:
		m.crash(id, uint64(n))
		m.start(id)
	case remove:
		m.remove(id, name)
		note("")
	default:
		value := fmt.Sprintf("%s %d", id, n)
		m.put(id, item(name, value))
		note(value)
	}
}

// heal connects everybody again and lets them tell everything.
func (m *mesh) heal() {
	for _, id := range three {
		for _, other := range three {
			if link := m.regions[id].table.Link(other); link != nil {
				link.Resume()
				link.SetLag(0)
			}
		}
	}
	time.Sleep(time.Minute)
	m.settle()
}
