package tabletest

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

func commitTests() []test {
	return []test{
		{"a put replaces the whole item", func(f *fixture) {
			first := item("s/a", "t/x", 1, "a long first value")
			second := store.Item{
				Key: first.Key, Version: ident.Version{Seq: 2}, Tag: store.Tag{Class: store.ClassGlobal}, Value: []byte{},
			}
			f.ok(put(first, store.Always()))
			f.has(first)
			f.ok(put(second, store.Always()))
			f.has(second)
		}},
		{"put if absent", func(f *fixture) {
			it := item("w/a", "\x00\x00\x00\x00\x00\x00\x00\x01", 1, "v")
			f.ok(put(it, store.Absent()))
			f.refused(1, put(item("w/a", it.Key.Sort, 7, "other"), store.Absent()))
			f.has(it)
			f.ok(remove(it.Key))
			f.ok(put(it, store.Absent()))
			f.has(it)
		}},
		{"put if older", func(f *fixture) {
			f.ok(put(item("s/a", "t/x", 5, "five"), store.OlderThan(ident.Version{Seq: 5})))
			for _, n := range []int{5, 4} {
				f.refused(5, put(item("s/a", "t/x", n, "late"), store.OlderThan(ident.Version{Seq: ident.Seq(n)}))) //nolint:gosec // Not negative.
			}
			f.has(item("s/a", "t/x", 5, "five"))
			f.ok(put(item("s/a", "t/x", 6, "six"), store.OlderThan(ident.Version{Seq: 6})))
			f.has(item("s/a", "t/x", 6, "six"))
		}},
		{"a delete removes, also what is not there", func(f *fixture) {
			it := item("w/a", "x", 1, "v")
			f.ok(put(it, store.Always()))
			for range 2 {
				f.ok(remove(it.Key))
				f.hasNot(it.Key)
			}
		}},
		{"one operation, no more and no less", func(f *fixture) {
			a, b := item("s/a", "x", 1, "v"), item("s/a", "y", 1, "v")
			f.fails(store.ErrInvalid, store.Commit{})
			f.fails(store.ErrInvalid, store.Commit{Ops: []store.Op{{Kind: store.Put, Item: a}, {Kind: store.Put, Item: b}}})
			f.hasNot(a.Key)
			f.hasNot(b.Key)
			f.fails(store.ErrInvalid, put(item("", "x", 1, "v"), store.Always()))
		}},
		{"the largest item", func(f *fixture) {
			it := item("n/a", "x", 1, "")
			it.Value = []byte(strings.Repeat("v", store.MaxItemBytes-1024))
			f.ok(put(it, store.Absent()))
			f.has(it)
			it.Value = make([]byte, store.MaxItemBytes)
			it.Key.Sort = "too large"
			f.fails(store.ErrTooLarge, put(it, store.Absent()))
			f.hasNot(it.Key)
		}},
	}
}

func raceTests() []test {
	return []test{
		{"one of many takes a number", func(f *fixture) {
			const writers, numbers = 16, 4
			for n := range numbers {
				f.takeNumber(fmt.Sprintf("%08d", n), writers)
			}
		}},
		{"the newest stays", func(f *fixture) {
			const writers = 24
			f.each(writers, func(i int) error {
				it := item("s/a", "t/x", i+1, fmt.Sprintf("value %d", i+1))
				err := f.Commit(f.Context(), put(it, store.OlderThan(it.Version)))
				if refused, ok := errors.AsType[*store.ConditionError](err); ok && refused.Stored[0].Seq > it.Version.Seq {
					return nil
				}
				return err
			})
			f.has(item("s/a", "t/x", writers, fmt.Sprintf("value %d", writers)))
		}},
	}
}

// takeNumber lets writers race for one key. Their values are the same, so that only the table can tell them apart.
func (f *fixture) takeNumber(sort string, writers int) {
	f.Helper()
	var mu sync.Mutex
	won := 0
	f.each(writers, func(i int) error {
		err := f.Commit(f.Context(), named(put(item("w/a", sort, 1, "the same"), store.Absent()), fmt.Sprintf("%s-%d", sort, i)))
		var refused *store.ConditionError
		switch {
		case err == nil:
			mu.Lock()
			defer mu.Unlock()
			won++
			return nil
		case errors.As(err, &refused) && refused.Stored[0].Seq == 1:
			return nil
		default:
			return err
		}
	})
	if won != 1 {
		f.Errorf("%d writers took number %s; want one", won, sort)
	}
}

func tokenTests() []test {
	return []test{
		{"a put sent again answers success", func(f *fixture) {
			it := item("w/a", "x", 1, "v")
			c := named(put(it, store.Absent()), "token-1")
			for range 3 {
				f.ok(c)
				f.has(it)
			}
			f.refused(1, named(put(it, store.Absent()), "token-2"))
			f.refused(1, put(it, store.Absent()))
		}},
		{"a refused put leaves no token", func(f *fixture) {
			it := item("w/a", "x", 1, "v")
			f.ok(named(put(it, store.Absent()), "token-1"))
			other := named(put(item("w/a", "x", 2, "w"), store.Absent()), "token-2")
			f.refused(1, other)
			f.ok(remove(it.Key))
			f.ok(other)
			f.has(item("w/a", "x", 2, "w"))
		}},
		{"many equal puts at once", func(f *fixture) {
			it := item("w/a", "x", 1, "v")
			c := named(put(it, store.Absent()), "token-1")
			f.each(8, func(int) error { return f.Commit(f.Context(), c) })
			f.has(it)
		}},
		{"a long token", func(f *fixture) {
			c := put(item("w/a", "x", 1, "v"), store.Absent())
			f.ok(named(c, strings.Repeat("t", store.MaxTokenBytes)))
			f.fails(store.ErrInvalid, named(c, strings.Repeat("t", store.MaxTokenBytes+1)))
		}},
	}
}
