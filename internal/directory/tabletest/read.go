package tabletest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

func readTests() []test {
	return []test{
		{"what is not there", func(f *fixture) {
			f.ok(put(item("s/a", "x", 1, "v"), store.Always()))
			for _, k := range []store.Key{{Partition: "s/b", Sort: "x"}, {Partition: "s/a", Sort: "x\x00"}, {Partition: "s/a"}} {
				f.hasNot(k)
			}
			if sorts, _ := f.walk(f, store.Query{Partition: "s/b"}); len(sorts) > 0 {
				f.Errorf("an absent partition has %q", sorts)
			}
		}},
		{"a commit is read at once", readAtOnce},
		{"order and bounds", orderAndBounds},
		{"pages of a long log", longLog},
		{"pages of large items", largePieces},
		{"an ended context", func(f *fixture) {
			ctx, cancel := context.WithCancel(f.Context())
			cancel()
			_, getErr := f.Get(ctx, store.Key{Partition: "s/a", Sort: "x"})
			_, queryErr := f.Query(ctx, store.Query{Partition: "s/a"})
			commitErr := f.Commit(ctx, put(item("s/a", "x", 1, "v"), store.Always()))
			for _, err := range []error{getErr, queryErr, commitErr} {
				if !errors.Is(err, context.Canceled) {
					f.Errorf("with an ended context: %v; want canceled", err)
				}
			}
		}},
		{"an invalid query", func(f *fixture) {
			for _, q := range []store.Query{{}, {Partition: "p", Limit: -1}, {Partition: "p", Limit: store.MaxPage + 1}} {
				if _, err := f.Query(f.Context(), q); !errors.Is(err, store.ErrInvalid) {
					f.Errorf("query %+v: %v; want ErrInvalid", q, err)
				}
			}
		}},
	}
}

// number is a record's sort key.
func number(n int) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(n))) //nolint:gosec // Not negative.
}

// readAtOnce writes a log as a writer does: after each commit its record is the last, and the next number is free.
func readAtOnce(f *fixture) {
	for n := 1; n <= 30; n++ {
		it := item("w/a", number(n), n, "v")
		f.ok(put(it, store.Absent()))
		f.has(it)
		page, err := f.Query(f.Context(), store.Query{Partition: "w/a", Descending: true, Limit: 1})
		if err != nil || len(page.Items) != 1 || page.Items[0].Key != it.Key || page.More != (n > 1) {
			f.Fatalf("after record %d the last is %v, %v", n, page, err)
		}
		f.hasNot(store.Key{Partition: "w/a", Sort: number(n + 1)})
	}
}

func orderAndBounds(f *fixture) {
	sorts := []string{"\x00", "a", "a\x00", "a/", "a/b", "a0", "b", "\x80", "\xff", "\xff\xff"}
	for i, s := range sorts {
		f.ok(put(item("s/a", s, i, "v"), store.Always()))
	}
	f.ok(put(item("s/a2", "a", 1, "v"), store.Always())) // Another partition, which begins alike.
	for _, q := range []struct {
		from, to string
		want     []string
	}{
		{"", "", sorts},
		{"a", "b", []string{"a", "a\x00", "a/", "a/b", "a0"}},
		{"a/", "a0", []string{"a/", "a/b"}},
		{"b\x00", "", []string{"\x80", "\xff", "\xff\xff"}},
		{"b", "b", nil},
		{"c", "b", nil},
	} {
		for _, descending := range []bool{false, true} {
			want := slices.Clone(q.want)
			if descending {
				slices.Reverse(want)
			}
			for _, limit := range []int{0, 1, 3} {
				got, _ := f.walk(f, store.Query{Partition: "s/a", From: q.from, To: q.to, Descending: descending, Limit: limit})
				if !slices.Equal(got, want) {
					f.Errorf("from %q to %q, descending %v, limit %d: %q; want %q", q.from, q.to, descending, limit, got, want)
				}
			}
		}
	}
}

func longLog(f *fixture) {
	const records = 120
	want := make([]string, records)
	for n := range records {
		want[n] = number(n + 1)
	}
	f.each(8, func(w int) error {
		for n := w; n < records; n += 8 {
			if err := f.Commit(f.Context(), put(item("w/a", want[n], n+1, "v"), store.Absent())); err != nil {
				return err
			}
		}
		return nil
	})
	got, pages := f.walk(f, store.Query{Partition: "w/a", Limit: 50})
	if !slices.Equal(got, want) || pages != 3 {
		f.Errorf("%d records in %d pages; want %d in 3", len(got), pages, records)
	}
}

// largePieces reads pages that are larger than what DynamoDB sends at once, which is a megabyte.
func largePieces(f *fixture) {
	const pieces = 6
	want := make([]string, 0, pieces)
	value := strings.Repeat("v", 300<<10)
	for i := range pieces {
		it := item("n/a", number(i), i, value)
		f.ok(put(it, store.Absent()))
		want = append(want, it.Key.Sort)
	}
	got, _ := f.walk(f, store.Query{Partition: "n/a", Limit: 4})
	if !slices.Equal(got, want) {
		f.Errorf("%d pieces; want %d", len(got), len(want))
	}
	f.has(item("n/a", number(5), 5, value))
}

func expiryTests() []test {
	mortal := func(f *fixture, sort string, n int) store.Item {
		it := item("s/a", sort, n, "v")
		it.Expires = f.clock.Read().Add(time.Hour).Truncate(time.Second).UTC()
		return it
	}
	return []test{
		{"an expired item is not read", func(f *fixture) {
			it, stays := mortal(f, "i/x", 1), item("s/a", "i/y", 1, "v")
			f.ok(put(it, store.Always()))
			f.ok(put(stays, store.Always()))
			f.has(it)
			f.clock.Move(time.Hour)
			f.hasNot(it.Key)
			if sorts, _ := f.walk(f, store.Query{Partition: "s/a"}); !slices.Equal(sorts, []string{"i/y"}) {
				f.Errorf("the partition has %q; want i/y alone", sorts)
			}
		}},
		{"an expired item counts as absent", func(f *fixture) {
			for i, cond := range []store.Condition{store.Absent(), store.OlderThan(ident.Version{Seq: 3})} {
				it := mortal(f, fmt.Sprintf("i/%d", i), 5)
				f.ok(put(it, store.Always()))
				again := item("s/a", it.Key.Sort, 3, "again")
				f.refused(5, put(again, cond))
				f.clock.Move(time.Hour)
				f.ok(put(again, cond))
				f.has(again)
			}
		}},
	}
}
