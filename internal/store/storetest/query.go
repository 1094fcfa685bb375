package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/internal/store"
)

func queryTests() []test {
	return []test{
		{name: "an absent partition is empty", run: func(f *fixture) {
			f.put(item("p", "s", "v", 1))
			f.page(store.Query{Partition: "q"}, false)
		}},
		{name: "order and bounds", run: queryBounds},
		{name: "items come whole", run: func(f *fixture) {
			want := []store.Item{item("p", "", "0", 1), item("p", "a", "1", 2), item("p", "b", "", 3)}
			want[1].Tag = store.Tag{Tenant: "other", Class: store.ClassGlobal}
			f.put(want...)
			page, err := f.Query(f.Context(), store.Query{Partition: "p"})
			if err != nil {
				f.Fatal(err)
			}
			if diff := cmp.Diff(want, page.Items); diff != "" {
				f.Errorf("items (-want +got):\n%s", diff)
			}
		}},
		{name: "partitions do not leak into each other", run: func(f *fixture) {
			// Each of these is a prefix of others, or would be if it were joined with a sort key.
			partitions := []string{"a", "aa", "a\x00", "a\x00\x00", "a\x00b", "a\x01", "a\xff", "a\xff\xff", "\xff", "\xff\xff", "\x00", "\x01a"}
			for i, p := range partitions {
				f.put(item(p, "", "v", i), item(p, "a", "v", i), item(p, "\x00b", "v", i), item(p, "\xff", "v", i))
			}
			for _, p := range partitions {
				f.page(store.Query{Partition: p}, false, "", "\x00b", "a", "\xff")
				f.page(store.Query{Partition: p, Descending: true}, false, "\xff", "a", "\x00b", "")
			}
		}},
		{name: "limit and more", run: func(f *fixture) {
			f.put(item("p", "a", "v", 1), item("p", "b", "v", 2), item("p", "c", "v", 3), item("q", "d", "v", 4))
			f.page(store.Query{Partition: "p", Limit: 2}, true, "a", "b")
			f.page(store.Query{Partition: "p", Limit: 3}, false, "a", "b", "c")
			f.page(store.Query{Partition: "p", Limit: 4}, false, "a", "b", "c")
			f.page(store.Query{Partition: "p", Limit: 1, Descending: true}, true, "c")
			f.page(store.Query{Partition: "p", Limit: 2, To: "c"}, false, "a", "b")
		}},
		{name: "the default page", run: func(f *fixture) {
			want := make([]string, 0, store.MaxPage+1)
			for i := range store.MaxPage + 1 {
				want = append(want, fmt.Sprintf("%05d", i))
			}
			f.fill("p", want)
			f.page(store.Query{Partition: "p"}, true, want[:store.MaxPage]...)
			f.page(store.Query{Partition: "p", From: want[1]}, false, want[1:]...)
		}},
		{name: "paging sees each item once", run: queryPaging},
		{name: "deleted items are gone", run: func(f *fixture) {
			f.put(item("p", "a", "v", 1), item("p", "b", "v", 2), item("p", "c", "v", 3))
			f.commit(remove(store.Key{Partition: "p", Sort: "c"}, store.Always()))
			f.page(store.Query{Partition: "p", Limit: 2}, false, "a", "b")
			f.commit(remove(store.Key{Partition: "p", Sort: "a"}, store.Always()))
			f.page(store.Query{Partition: "p", Descending: true}, false, "b")
		}},
		{name: "invalid queries", run: func(f *fixture) {
			for _, tc := range []struct {
				q    store.Query
				want error
			}{
				{store.Query{}, store.ErrInvalid},
				{store.Query{Partition: "p", Limit: -1}, store.ErrInvalid},
				{store.Query{Partition: "p", Limit: store.MaxPage + 1}, store.ErrInvalid},
				{store.Query{Partition: strings.Repeat("p", store.MaxPartitionBytes+1)}, store.ErrTooLarge},
				{store.Query{Partition: "p", From: strings.Repeat("s", store.MaxSortBytes+2)}, store.ErrTooLarge},
			} {
				if _, err := f.Query(f.Context(), tc.q); !errors.Is(err, tc.want) {
					f.Errorf("query %+v: %v; want %v", tc.q, err, tc.want)
				}
			}
		}},
	}
}

// page checks the sort keys of a page and whether it says that more follow.
func (f *fixture) page(q store.Query, more bool, want ...string) {
	f.Helper()
	page, err := f.Query(f.Context(), q)
	if err != nil {
		f.Fatalf("query %+v: %v", q, err)
	}
	got := make([]string, 0, len(page.Items))
	for _, it := range page.Items {
		if it.Key.Partition != q.Partition {
			f.Errorf("query %+v: an item of partition %q", q, it.Key.Partition)
		}
		got = append(got, it.Key.Sort)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		f.Errorf("query %+v (-want +got):\n%s", q, diff)
	}
	if page.More != more {
		f.Errorf("query %+v: more is %v; want %v", q, page.More, more)
	}
}

// fill puts items with these sort keys, several a commit where the store can.
func (f *fixture) fill(partition string, sorts []string) {
	f.Helper()
	size := store.MaxOps
	if f.options.SingleOp {
		size = 1
	}
	for chunk := range slices.Chunk(sorts, size) {
		ops := make([]store.Op, 0, len(chunk))
		for _, s := range chunk {
			ops = append(ops, put(item(partition, s, "v", 1), store.Always()))
		}
		f.commit(ops...)
	}
}

func queryBounds(f *fixture) {
	// In the order of their bytes.
	sorts := []string{"", "\x00", "\x00\x00", "\x00\xff", "a", "a\x00", "a\x00\xff", "ab", "a\xff", "b", "\x7f", "\x80", "\xff", "\xff\x00", "\xff\xff"}
	f.fill("p", sorts)
	for i, from := range sorts {
		for j, to := range sorts {
			if j == 0 {
				j = len(sorts) // An empty To is unbounded.
			}
			var want []string
			if i < j {
				want = slices.Clone(sorts[i:j])
			}
			f.page(store.Query{Partition: "p", From: from, To: to}, false, want...)
			slices.Reverse(want)
			f.page(store.Query{Partition: "p", From: from, To: to, Descending: true}, false, want...)
		}
	}
}

func queryPaging(f *fixture) {
	sorts := make([]string, 0, 60)
	for i := range 60 {
		sorts = append(sorts, fmt.Sprintf("%c%c", "\x00\x01az\xfe\xff"[i%6], i))
	}
	slices.Sort(sorts)
	f.fill("p", sorts)
	f.fill("p\x00", sorts[:5])
	rapid.Check(f.T, func(rt *rapid.T) {
		q := store.Query{Partition: "p", Limit: rapid.IntRange(1, 61).Draw(rt, "limit"), Descending: rapid.Bool().Draw(rt, "descending")}
		var got []string
		for {
			page, err := f.Query(f.Context(), q)
			if err != nil {
				rt.Fatal(err)
			}
			for _, it := range page.Items {
				got = append(got, it.Key.Sort)
			}
			if !page.More {
				break
			}
			last := page.Items[len(page.Items)-1].Key.Sort
			if q.Descending {
				q.To = last
			} else {
				q.From = last + "\x00"
			}
		}
		if q.Descending {
			slices.Reverse(got)
		}
		if diff := cmp.Diff(sorts, got); diff != "" {
			rt.Fatalf("pages of %d, descending %v (-want +got):\n%s", q.Limit, q.Descending, diff)
		}
	})
}
