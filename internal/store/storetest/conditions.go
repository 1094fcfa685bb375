package storetest

import (
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

func conditionTests() []test {
	return []test{
		{name: "put", run: func(f *fixture) {
			conditionTable(f, func(k store.Key, c store.Condition) store.Op {
				return put(store.Item{Key: k, Version: version(9), Tag: tag()}, c)
			})
		}},
		{name: "delete", run: func(f *fixture) { conditionTable(f, remove) }},
		{name: "check", run: func(f *fixture) {
			conditionTable(f, func(k store.Key, c store.Condition) store.Op {
				if c == store.Always() {
					c = store.OlderThan(ident.Version{Epoch: 9}) // A check needs a condition; this one holds as well.
				}
				return check(k, c)
			})
		}},
		{name: "a check changes nothing", run: func(f *fixture) {
			it := item("p", "s", "v", 3)
			f.put(it)
			f.commit(check(it.Key, store.VersionIs(version(3))))
			f.has(it)
			f.commit(check(store.Key{Partition: "p", Sort: "t"}, store.Absent()))
			f.hasNot(store.Key{Partition: "p", Sort: "t"})
		}},
		{name: "conditions of a chain", run: func(f *fixture) {
			k := store.Key{Partition: "p", Sort: "s"}
			f.commit(put(item("p", "s", "1", 1), store.Absent()))
			f.commit(put(item("p", "s", "2", 2), store.VersionIs(version(1))))
			f.refusedOne(version(2), put(item("p", "s", "3", 3), store.VersionIs(version(1))))
			f.has(item("p", "s", "2", 2))
			f.commit(remove(k, store.VersionIs(version(2))))
			f.refusedOne(ident.Version{}, put(item("p", "s", "3", 3), store.VersionIs(version(2))))
			f.commit(put(item("p", "s", "3", 3), store.Absent()))
			f.has(item("p", "s", "3", 3))
		}},
	}
}

// conditionTable tries each kind of condition, by an operation that op makes, on an absent item and on one of version 1.5.
func conditionTable(f *fixture, op func(store.Key, store.Condition) store.Op) {
	f.Helper()
	stored := ident.Version{Epoch: 1, Seq: 5}
	cases := []struct {
		name            string
		cond            store.Condition
		absent, present bool // whether it holds
	}{
		{"always", store.Always(), true, true},
		{"absent", store.Absent(), true, false},
		{"version is that", store.VersionIs(stored), false, true},
		{"version is another number", store.VersionIs(ident.Version{Epoch: 1, Seq: 6}), false, false},
		{"version is another epoch", store.VersionIs(ident.Version{Epoch: 2, Seq: 5}), false, false},
		{"version is zero", store.VersionIs(ident.Version{}), false, false},
		{"older than the same", store.OlderThan(stored), true, false},
		{"older than a newer number", store.OlderThan(ident.Version{Epoch: 1, Seq: 6}), true, true},
		{"older than an older number", store.OlderThan(ident.Version{Epoch: 1, Seq: 4}), true, false},
		{"older than a newer epoch", store.OlderThan(ident.Version{Epoch: 2, Seq: 1}), true, true},
		{"older than an older epoch", store.OlderThan(ident.Version{Epoch: 0, Seq: 9}), true, false},
		{"older than zero", store.OlderThan(ident.Version{}), true, false},
	}
	for _, tc := range cases {
		gone := store.Key{Partition: "gone", Sort: tc.name}
		here := store.Item{Key: store.Key{Partition: "here", Sort: tc.name}, Version: stored, Tag: tag(), Value: []byte("kept")}
		f.put(here)
		f.Logf("condition: %s", tc.name)
		if tc.absent {
			f.commit(op(gone, tc.cond))
		} else {
			f.refusedOne(ident.Version{}, op(gone, tc.cond))
			f.hasNot(gone)
		}
		if tc.present {
			f.commit(op(here.Key, tc.cond))
		} else {
			f.refusedOne(stored, op(here.Key, tc.cond))
			f.has(here)
		}
	}
}
