package storetest

import (
	"fmt"
	"strconv"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

func transactionTests() []test {
	return []test{
		{name: "several partitions at once", multi: true, run: func(f *fixture) {
			old := item("c", "3", "old", 1)
			f.put(old)
			a, b := item("a", "1", "a", 1), item("b", "2", "b", 1)
			f.commit(put(a, store.Absent()), put(b, store.Absent()), remove(old.Key, store.VersionIs(version(1))))
			f.has(a)
			f.has(b)
			f.hasNot(old.Key)
		}},
		{name: "all or nothing, with a reason per operation", multi: true, run: func(f *fixture) {
			here, locked := item("p", "here", "v", 4), item("p", "locked", "v", 6)
			f.put(here, locked)
			f.refused(
				store.ConditionError{
					Failed: []bool{false, true, false, true, true, false},
					Stored: []ident.Version{{}, version(4), {}, {}, version(6), {}},
				},
				put(item("p", "new", "v", 1), store.Absent()),
				put(item("p", "here", "changed", 5), store.Absent()),
				put(item("q", "new", "v", 1), store.Always()),
				check(store.Key{Partition: "p", Sort: "gone"}, store.VersionIs(version(1))),
				remove(locked.Key, store.VersionIs(version(5))),
				check(store.Key{Partition: "q", Sort: "x"}, store.Absent()),
			)
			f.hasNot(store.Key{Partition: "p", Sort: "new"})
			f.hasNot(store.Key{Partition: "q", Sort: "new"})
			f.has(here)
			f.has(locked)
		}},
		{name: "one operation an item", multi: true, run: func(f *fixture) {
			it := item("p", "s", "v", 1)
			f.fails(store.ErrInvalid, put(it, store.Always()), put(it, store.Always()))
			f.fails(store.ErrInvalid, check(it.Key, store.Absent()), put(it, store.Always()))
			f.hasNot(it.Key)
		}},
		{name: "keys that look alike are two items", multi: true, run: func(f *fixture) {
			a, b := item("p", "qr", "1", 1), item("pq", "r", "2", 2)
			f.commit(put(a, store.Absent()), put(b, store.Absent()))
			f.has(a)
			f.has(b)
		}},
		{name: "as many operations as are allowed", multi: true, run: func(f *fixture) {
			ops := make([]store.Op, 0, store.MaxOps)
			for i := range store.MaxOps {
				ops = append(ops, put(item(fmt.Sprintf("p%d", i%7), strconv.Itoa(i), "v", i), store.Absent()))
			}
			f.commit(ops...)
			for i := range store.MaxOps {
				f.has(item(fmt.Sprintf("p%d", i%7), strconv.Itoa(i), "v", i))
			}
		}},
		{name: "checks alone", multi: true, run: func(f *fixture) {
			f.put(item("p", "a", "v", 1))
			f.commit(check(store.Key{Partition: "p", Sort: "a"}, store.VersionIs(version(1))), check(store.Key{Partition: "p", Sort: "b"}, store.Absent()))
		}},
		{name: "a single-operation store refuses more", run: func(f *fixture) {
			if !f.options.SingleOp {
				f.Skip("this store takes several operations")
			}
			f.fails(store.ErrInvalid, put(item("p", "a", "v", 1), store.Always()), put(item("p", "b", "v", 1), store.Always()))
			f.hasNot(store.Key{Partition: "p", Sort: "a"})
		}},
	}
}
