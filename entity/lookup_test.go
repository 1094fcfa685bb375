package entity

import (
	"testing"

	"pgregory.net/rapid"
)

func TestNormalise(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"ada@example.org", " ada@example.org\t", "ADA@Example.ORG", "\u00a0Ada@example.org"},
		{"jürgen@example.org", "JÜRGEN@EXAMPLE.ORG", "ju\u0308rgen@example.org"},
		{"straße@example.org", "STRASSE@example.org"},
		{"σίσυφος@example.org", "ΣΊΣΥΦΟΣ@example.org"},
		{"\u13a0\u13a1", "\uab70\uab71"},                   // Cherokee
		{"\u212belf@example.org", "\u00e5elf@example.org"}, // the Ångström sign
	} {
		for _, v := range same[1:] {
			if normalise(v) != normalise(same[0]) {
				t.Errorf("%q and %q are to be the same and become %q and %q", same[0], v, normalise(same[0]), normalise(v))
			}
		}
	}
	for _, other := range [][2]string{{"ada@example.org", "ad@example.org"}, {"a b", "ab"}, {"jurgen", "jürgen"}} {
		if normalise(other[0]) == normalise(other[1]) {
			t.Errorf("%q and %q are to differ", other[0], other[1])
		}
	}
	for _, empty := range []string{"", "  ", "\t\n", "\u2003"} {
		if normalise(empty) != "" {
			t.Errorf("%q is not empty", empty)
		}
	}
}

func TestNormaliseTwiceIsOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.String().Draw(t, "value")
		if once := normalise(v); normalise(once) != once {
			t.Fatalf("%q becomes %q, then %q", v, once, normalise(once))
		}
	})
}
