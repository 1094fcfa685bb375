package storetest

import (
	"fmt"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

func expiryTests() []test {
	return []test{
		{name: "an expired item is not read", run: func(f *fixture) {
			it := f.mortal("s", time.Minute)
			f.has(it)
			f.clock.move(time.Minute - time.Second)
			f.has(it)
			f.clock.move(time.Second)
			f.hasNot(it.Key)
		}},
		{name: "expiry is never early", run: func(f *fixture) {
			it := item("p", "s", "v", 1)
			it.Expires = f.clock.read().Add(time.Minute) // Not a whole second.
			f.put(it)
			f.clock.move(time.Minute - time.Nanosecond)
			if _, err := f.Get(f.Context(), it.Key); err != nil {
				f.Errorf("before its expiry: %v", err)
			}
			f.clock.move(time.Second)
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
			f.clock.move(2 * time.Minute)
			f.page(store.Query{Partition: "p"}, false, want...)
			f.page(store.Query{Partition: "p", Limit: 4}, true, want[:4]...)
			f.page(store.Query{Partition: "p", Limit: 10}, false, want...)
			f.page(store.Query{Partition: "p", Limit: 1, Descending: true}, true, want[9])
		}},
		{name: "conditions count the expired as absent", run: func(f *fixture) {
			for _, s := range []string{"absent", "is", "older"} {
				f.mortal(s, time.Minute)
			}
			f.clock.move(2 * time.Minute)
			f.refusedOne(ident.Version{}, put(item("p", "is", "w", 2), store.VersionIs(version(1))))
			f.commit(put(item("p", "older", "w", 0), store.OlderThan(version(1))))
			f.has(item("p", "older", "w", 0))
			f.commit(put(item("p", "absent", "w", 2), store.Absent()))
			f.has(item("p", "absent", "w", 2))
		}},
		{name: "a put without expiry revives for good", run: func(f *fixture) {
			f.mortal("s", time.Minute)
			f.put(item("p", "s", "w", 2))
			f.clock.move(time.Hour)
			f.has(item("p", "s", "w", 2))
		}},
	}
}

// mortal puts an item that expires after d, from the next whole second.
func (f *fixture) mortal(sort string, d time.Duration) store.Item {
	f.Helper()
	it := item("p", sort, "v", 1)
	it.Expires = f.clock.read().Add(d).Truncate(time.Second).UTC()
	if d > 0 {
		f.clock.move(it.Expires.Add(-d).Sub(f.clock.read())) // The clock stands on the second.
	}
	f.put(it)
	return it
}
