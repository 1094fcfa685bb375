package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

func expiryTests() []test {
	return []test{
		{name: "an expired item is not read", run: func(f *fixture) {
			it := f.mortal("s", time.Minute)
			f.has(it)
			f.clock.Move(time.Minute - time.Second)
			f.has(it)
			f.clock.Move(time.Second)
			f.hasNot(it.Key)
		}},
		{name: "expiry is never early", run: func(f *fixture) {
			it := item("p", "s", "v", 1)
			it.Expires = f.clock.Read().Add(time.Minute) // Not a whole second.
			f.put(it)
			f.clock.Move(time.Minute - time.Nanosecond)
			if _, err := f.Get(f.Context(), it.Key); err != nil {
				f.Errorf("before its expiry: %v", err)
			}
			f.clock.Move(time.Second)
			f.hasNot(it.Key)
		}},
		{name: "an item in the past is never there", run: func(f *fixture) {
			it := f.mortal("s", -time.Hour)
			f.hasNot(it.Key)
			f.page(store.Query{Partition: "p"}, false)
		}},
		{name: "pages skip the expired", run: func(f *fixture) {
			var want []string
			for i := range 20 {
				life := time.Hour
				if i%2 == 1 {
					life = time.Minute
				} else {
					want = append(want, fmt.Sprintf("%02d", i))
				}
				f.mortal(fmt.Sprintf("%02d", i), life)
			}
			f.clock.Move(2 * time.Minute)
			f.page(store.Query{Partition: "p"}, false, want...)
			f.page(store.Query{Partition: "p", Limit: 4}, true, want[:4]...)
			f.page(store.Query{Partition: "p", Limit: 10}, false, want...)
			f.page(store.Query{Partition: "p", Limit: 1, Descending: true}, true, want[9])
		}},
		{name: "conditions count the expired as absent", run: func(f *fixture) {
			for _, s := range []string{"absent", "is", "older"} {
				f.mortal(s, time.Minute)
			}
			f.clock.Move(time.Minute) // To the second.
			f.refusedOne(ident.Version{}, put(item("p", "is", "w", 2), store.VersionIs(version(1))))
			f.commit(put(item("p", "older", "w", 0), store.OlderThan(version(1))))
			f.has(item("p", "older", "w", 0))
			f.commit(put(item("p", "absent", "w", 2), store.Absent()))
			f.has(item("p", "absent", "w", 2))
		}},
		{name: "conditions of commits with a token count the expired as absent", run: func(f *fixture) {
			for _, s := range []string{"absent", "is", "older", "removed"} {
				f.mortal(s, time.Minute)
			}
			f.clock.Move(2 * time.Minute)
			is := store.Commit{Ops: []store.Op{put(item("p", "is", "w", 2), store.VersionIs(version(1)))}, Token: "is"}
			if err := f.Commit(f.Context(), is); !errors.As(err, new(*store.ConditionError)) {
				f.Errorf("commit: %v; want a ConditionError", err)
			}
			f.ok(store.Commit{Ops: []store.Op{put(item("p", "older", "w", 0), store.OlderThan(version(1)))}, Token: "older"})
			f.has(item("p", "older", "w", 0))
			f.ok(store.Commit{Ops: []store.Op{put(item("p", "absent", "w", 2), store.Absent())}, Token: "absent"})
			f.has(item("p", "absent", "w", 2))
			f.ok(store.Commit{Ops: []store.Op{remove(store.Key{Partition: "p", Sort: "removed"}, store.Absent())}, Token: "removed"})
		}},
		{name: "reasons of commits with a token count the expired as absent", multi: true, run: func(f *fixture) {
			here := item("p", "here", "v", 3)
			f.mortal("gone", time.Minute)
			f.put(here)
			f.clock.Move(2 * time.Minute)
			gone, other := store.Key{Partition: "p", Sort: "gone"}, item("p", "other", "v", 1)
			c := store.Commit{Token: "token-1", Ops: []store.Op{
				put(item("p", "gone", "w", 1), store.Absent()), check(here.Key, store.Absent()), put(other, store.Absent()),
			}}
			var got *store.ConditionError
			if err := f.Commit(f.Context(), c); !errors.As(err, &got) {
				f.Fatalf("commit: %v; want a ConditionError", err)
			}
			want := store.ConditionError{Failed: []bool{false, true, false}, Stored: []ident.Version{{}, version(3), {}}}
			if diff := cmp.Diff(want, *got); diff != "" {
				f.Errorf("reasons (-want +got):\n%s", diff)
			}
			f.hasNot(gone)
			f.hasNot(other.Key)
			c.Ops = []store.Op{put(item("p", "gone", "w", 1), store.Absent()), check(here.Key, store.VersionIs(version(3))), put(other, store.Absent())}
			f.ok(c)
			f.has(item("p", "gone", "w", 1))
			f.has(other)
		}},
		{name: "a put without expiry revives for good", run: func(f *fixture) {
			f.mortal("s", time.Minute)
			f.put(item("p", "s", "w", 2))
			f.clock.Move(time.Hour)
			f.has(item("p", "s", "w", 2))
		}},
	}
}

// mortal puts an item that expires after d, from the next whole second.
func (f *fixture) mortal(sort string, d time.Duration) store.Item {
	f.Helper()
	it := item("p", sort, "v", 1)
	it.Expires = f.clock.Read().Add(d).Truncate(time.Second).UTC()
	if d > 0 {
		f.clock.Move(it.Expires.Add(-d).Sub(f.clock.Read())) // The clock stands on the second.
	}
	f.put(it)
	return it
}
