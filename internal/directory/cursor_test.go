package directory

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/internal/ident"
)

// TestCursor delivers numbers in any order, repeatedly, and compares the cursor with the set of what came.
func TestCursor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c cursor
		came := make(map[ident.Seq]bool)
		complete := ident.Seq(0)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if rapid.IntRange(0, 9).Draw(t, "snapshot") == 0 {
				complete = max(complete, ident.Seq(rapid.Uint64Range(0, 40).Draw(t, "complete")))
				c = c.completeTo(complete)
			} else {
				numbers := rapid.SliceOfN(rapid.Uint64Range(1, 50), 0, 6).Draw(t, "numbers")
				batch := make([]ident.Seq, 0, len(numbers))
				for _, n := range numbers {
					came[ident.Seq(n)] = true
					batch = append(batch, ident.Seq(n))
				}
				c = c.with(batch)
			}
			known := func(n ident.Seq) bool { return n <= complete || came[n] }
			want := ident.Seq(0)
			for known(want + 1) {
				want++
			}
			if c.position != want {
				t.Fatalf("position %d, want %d", c.position, want)
			}
			checkMissing(t, c, known)
		}
	})
}

// checkMissing checks that the spans to ask for are exactly what is not known, and end open.
func checkMissing(t *rapid.T, c cursor, known func(ident.Seq) bool) {
	asked := make(map[ident.Seq]bool)
	spans := c.missing()
	for i, s := range spans {
		to := s.to
		if last := i == len(spans)-1; last != (to == 0) {
			t.Fatalf("span %d of %v: only the last one is open", i, spans)
		}
		if to == 0 {
			to = 60
		}
		for n := s.from; n <= to; n++ {
			asked[n] = true
		}
	}
	for n := ident.Seq(1); n <= 60; n++ {
		if asked[n] == known(n) {
			t.Fatalf("record %d: asked %v, known %v; cursor %+v", n, asked[n], known(n), c)
		}
	}
}

// TestCursorBounded checks that a log of nothing but gaps does not fill the memory, and is still followed to its end.
func TestCursorBounded(t *testing.T) {
	t.Parallel()
	var c cursor
	for n := ident.Seq(2); n < 10*maxRuns; n += 2 {
		c = c.with([]ident.Seq{n})
	}
	if len(c.ahead) > maxRuns {
		t.Fatalf("%d runs remembered, want at most %d", len(c.ahead), maxRuns)
	}
	for n := ident.Seq(1); n < 10*maxRuns; n++ {
		c = c.with([]ident.Seq{n})
	}
	if want := ident.Seq(10*maxRuns - 1); c.position != want || c.gap() {
		t.Fatalf("position %d, gap %v; want %d without a gap", c.position, c.gap(), want)
	}
}
