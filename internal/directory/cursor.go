package directory

import (
	"slices"

	"github.com/domicile-api/domicile/internal/ident"
)

// span is a run of record numbers, both ends included. An open end is 0.
type span struct{ from, to ident.Seq }

// cursor is how far one log is known: every record up to position, and the runs beyond gaps. It is a value: a step makes a new
// one from an old one and what came.
type cursor struct {
	position ident.Seq
	// ahead are the known runs beyond position: in order, apart from each other and from position.
	ahead []span
}

// maxRuns bounds how many runs are remembered beyond a gap. What lies in a forgotten run is read and applied again, which does
// no harm.
const maxRuns = 256

// missing returns the spans to ask the log for, in order. The last one is open.
func (c cursor) missing() []span {
	spans := make([]span, 0, len(c.ahead)+1)
	next := c.position + 1
	for _, run := range c.ahead {
		spans = append(spans, span{from: next, to: run.from - 1})
		next = run.to + 1
	}
	return append(spans, span{from: next})
}

// gap tells whether records beyond a missing one are known.
func (c cursor) gap() bool { return len(c.ahead) > 0 }

// with returns the cursor after records of these numbers were applied. The numbers may come in any order and repeatedly.
func (c cursor) with(numbers []ident.Seq) cursor {
	runs := make([]span, 0, len(c.ahead)+len(numbers))
	runs = append(runs, c.ahead...)
	for _, n := range numbers {
		runs = append(runs, span{from: n, to: n})
	}
	return cursor{position: c.position, ahead: runs}.normal()
}

// completeTo returns the cursor after a state that is complete to n was applied.
func (c cursor) completeTo(n ident.Seq) cursor {
	return cursor{position: max(c.position, n), ahead: slices.Clone(c.ahead)}.normal()
}

// normal joins runs that touch, and those that touch position to it.
func (c cursor) normal() cursor {
	slices.SortFunc(c.ahead, func(a, b span) int {
		switch {
		case a.from < b.from:
			return -1
		case a.from > b.from:
			return 1
		default:
			return 0
		}
	})
	runs := c.ahead[:0]
	for _, run := range c.ahead {
		last := len(runs) - 1
		switch {
		case run.from <= c.position+1:
			c.position = max(c.position, run.to)
		case last >= 0 && run.from <= runs[last].to+1:
			runs[last].to = max(runs[last].to, run.to)
		default:
			runs = append(runs, run)
		}
	}
	c.ahead = runs[:min(len(runs), maxRuns)]
	return c
}
