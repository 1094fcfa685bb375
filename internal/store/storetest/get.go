package storetest

import (
	"errors"
	"strings"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

func getTests() []test {
	return []test{
		{name: "round trip", run: func(f *fixture) {
			full := item("p", "s", "value", 7)
			full.Version = ident.Version{Epoch: 1 << 60, Seq: 1 << 61}
			full.Expires = f.clock.Read().Add(time.Hour).Truncate(time.Second).UTC()
			f.put(full)
			f.has(full)
		}},
		{name: "least item", run: func(f *fixture) {
			least := store.Item{Key: store.Key{Partition: "p"}, Tag: store.Tag{Class: store.ClassGlobal}, Value: []byte{}}
			f.put(least)
			f.has(least)
		}},
		{name: "absent", run: func(f *fixture) {
			f.put(item("p", "s", "v", 1))
			for _, k := range []store.Key{{Partition: "p"}, {Partition: "p", Sort: "s\x00"}, {Partition: "q", Sort: "s"}, {Partition: "ps"}} {
				f.hasNot(k)
			}
		}},
		{name: "a put replaces the whole item", run: func(f *fixture) {
			first := item("p", "s", "a long first value", 1)
			first.Expires = f.clock.Read().Add(time.Hour).Truncate(time.Second).UTC()
			second := item("p", "s", "2", 2)
			second.Tag = store.Tag{Tenant: "other", Class: store.ClassRegional, Jurisdiction: "US"}
			f.put(first, second)
			f.has(second)
		}},
		{name: "a delete removes", run: func(f *fixture) {
			it := item("p", "s", "v", 1)
			f.put(it)
			f.commit(remove(it.Key, store.Always()))
			f.hasNot(it.Key)
			f.commit(remove(it.Key, store.Always())) // Of nothing: fine.
			f.put(it)
			f.has(it)
		}},
		{name: "binary keys and values", run: func(f *fixture) {
			parts := []string{
				"\x00", "\x00\x00", "\x00\xff", "\xff", "\xff\xff", "a", "a\x00", "a\x00b", "a\xff", "\x01", "é", "\x80",
				strings.Repeat("\xff", 300), strings.Repeat("\x00", 300),
			}
			n := 0
			for _, p := range parts {
				for _, s := range append(parts, "") {
					n++
					f.put(item(p, s, "\x00v\xff"+p+s, n))
				}
			}
			n = 0
			for _, p := range parts {
				for _, s := range append(parts, "") {
					n++
					f.has(item(p, s, "\x00v\xff"+p+s, n))
				}
			}
		}},
		{name: "the caller's slice and the answer's are not the store's", run: func(f *fixture) {
			it := item("p", "s", "abc", 1)
			f.put(it)
			it.Value[0] = 'X'
			got, err := f.Get(f.Context(), it.Key)
			if err != nil || string(got.Value) != "abc" {
				f.Fatalf("value %q, %v; want abc", got.Value, err)
			}
			got.Value[0] = 'Y'
			f.has(item("p", "s", "abc", 1))
		}},
		{name: "an invalid key", run: func(f *fixture) {
			if _, err := f.Get(f.Context(), store.Key{}); !errors.Is(err, store.ErrInvalid) {
				f.Errorf("get of an empty key: %v; want ErrInvalid", err)
			}
			if _, err := f.Get(f.Context(), store.Key{Partition: strings.Repeat("p", store.MaxPartitionBytes+1)}); !errors.Is(err, store.ErrTooLarge) {
				f.Errorf("get of a long key: %v; want ErrTooLarge", err)
			}
		}},
	}
}
