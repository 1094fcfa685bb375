package pebblestore

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/store"
)

func FuzzRecord(f *testing.F) {
	it := store.Item{Tag: store.Tag{Tenant: "t", Class: store.ClassPII, Jurisdiction: "EU"}, Value: []byte("v"), Expires: time.Unix(9, 0)}
	f.Add(appendRecord(nil, &it))
	f.Add([]byte{})
	f.Add([]byte{recordFormat, 0x80, 0x80})
	f.Add([]byte{recordFormat, 1, 2, 3, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, rec []byte) {
		it, h, err := parseRecord(rec, store.Tag{})
		if err != nil {
			return
		}
		again, h2, err := parseRecord(appendRecord(nil, &it), it.Tag)
		if err != nil || h2 != h && h.expires < 1<<62 {
			t.Fatalf("header %v became %v, %v", h, h2, err)
		}
		if diff := cmp.Diff(it, again); diff != "" && h.expires < 1<<62 {
			t.Fatalf("record (-want +got):\n%s", diff)
		}
	})
}

func FuzzKey(f *testing.F) {
	f.Add(appendKey(nil, tablePrefix(spaceItem, "table"), store.Key{Partition: "p", Sort: "s"}))
	f.Add([]byte{spaceItem, 9, 'a'})
	f.Add([]byte{spaceItem, 0xff, 'a', 'b'})
	f.Add([]byte{spaceItem, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, key []byte) {
		table, item, err := parseKey(key)
		if err != nil {
			return
		}
		_, again, err := parseKey(appendKey(nil, tablePrefix(spaceItem, table), item))
		if err != nil || again != item {
			t.Fatalf("key %v became %v, %v", item, again, err)
		}
	})
}
