package storetest

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

func limitTests() []test {
	return []test{
		{name: "the largest keys", run: func(f *fixture) {
			p, s := strings.Repeat("p", store.MaxPartitionBytes), strings.Repeat("s", store.MaxSortBytes)
			f.put(item(p, s, "v", 1))
			f.has(item(p, s, "v", 1))
			f.page(store.Query{Partition: p, From: s}, false, s)
			f.page(store.Query{Partition: p, From: s + "\x00"}, false)
			f.page(store.Query{Partition: p, To: s + "\x00"}, false, s)
			f.fails(store.ErrTooLarge, put(item(p+"p", s, "v", 1), store.Always()))
			f.fails(store.ErrTooLarge, put(item(p, s+"s", "v", 1), store.Always()))
		}},
		{name: "an empty partition key", run: func(f *fixture) {
			f.fails(store.ErrInvalid, put(item("", "s", "v", 1), store.Always()))
		}},
		{name: "the largest item", run: func(f *fixture) {
			it := item("p", "s", strings.Repeat("v", store.MaxItemBytes-2), 1)
			f.put(it)
			f.has(it)
			it.Value = append(it.Value, 'v')
			f.fails(store.ErrTooLarge, put(it, store.Always()))
		}},
		{name: "the largest item with the largest of everything else", run: func(f *fixture) {
			k := store.Key{Partition: strings.Repeat("p", store.MaxPartitionBytes), Sort: strings.Repeat("s", store.MaxSortBytes)}
			it := f.largest(k, store.MaxItemBytes)
			f.put(it)
			f.has(it)
			f.commit(put(it, store.VersionIs(it.Version)))
		}},
		{name: "the largest commit of as many items as there may be", multi: true, run: func(f *fixture) {
			var ops []store.Op
			for left, n := store.MaxCommitBytes, store.MaxOps; n > 0; n-- {
				it := f.largest(store.Key{Partition: "p", Sort: strconv.Itoa(n)}, left/n)
				ops, left = append(ops, put(it, store.OlderThan(it.Version))), left-left/n
			}
			f.commit(ops...)
			for _, op := range ops {
				f.has(op.Item)
			}
			ops[0].Item.Value = append(ops[0].Item.Value, 'v')
			f.fails(store.ErrTooLarge, ops...)
		}},
		{name: "tags", run: func(f *fixture) {
			it := item("p", "s", "v", 1)
			it.Tag.Tenant = ident.TenantID(strings.Repeat("t", store.MaxTagBytes))
			f.fails(store.ErrTooLarge, put(it, store.Always()))
			it.Tag.Tenant = "not text: \xff"
			f.fails(store.ErrInvalid, put(it, store.Always()))
			f.hasNot(it.Key)
		}},
		{name: "the largest commit", multi: true, run: func(f *fixture) {
			var ops []store.Op
			left := store.MaxCommitBytes
			for i := 0; left > 0; i++ {
				size := min(left, store.MaxItemBytes)
				it := item("p", fmt.Sprintf("%02d", i), "", i)
				it.Value = []byte(strings.Repeat("v", size-3))
				ops, left = append(ops, put(it, store.Absent())), left-size
			}
			f.commit(ops...)
			for _, op := range ops {
				f.has(op.Item)
			}
			last := &ops[len(ops)-1].Item
			last.Value = append(last.Value, 'v')
			for i := range ops {
				ops[i].If = store.Always()
			}
			f.fails(store.ErrTooLarge, ops...)
		}},
		{name: "too many or no operations", run: func(f *fixture) {
			ops := make([]store.Op, 0, store.MaxOps+1)
			for i := range store.MaxOps + 1 {
				ops = append(ops, put(item("p", strconv.Itoa(i), "v", 1), store.Always()))
			}
			f.fails(store.ErrInvalid, ops...)
			f.fails(store.ErrInvalid)
			f.hasNot(store.Key{Partition: "p", Sort: "0"})
		}},
		{name: "malformed operations", run: func(f *fixture) {
			it := item("p", "s", "v", 1)
			f.fails(store.ErrInvalid, store.Op{Item: it})
			f.fails(store.ErrInvalid, store.Op{Kind: store.Check + 1, Item: it})
			f.fails(store.ErrInvalid, check(it.Key, store.Always()))
			it.Tag.Class = 0
			f.fails(store.ErrInvalid, put(it, store.Always()))
			it.Tag.Class = store.ClassPII + 1
			f.fails(store.ErrInvalid, put(it, store.Always()))
			f.hasNot(it.Key)
		}},
	}
}

// largest is an item of a size, in the port's measure, whose version, tag and expiry are as long as can be.
func (f *fixture) largest(k store.Key, size int) store.Item {
	it := store.Item{
		Key: k, Version: ident.Version{Epoch: math.MaxUint64, Seq: math.MaxUint64}, Expires: f.clock.Read().AddDate(100, 0, 0).Truncate(time.Second).UTC(),
		Tag: store.Tag{Tenant: ident.TenantID(strings.Repeat("t", store.MaxTagBytes-2)), Class: store.ClassPII, Jurisdiction: "EU"},
	}
	it.Value = []byte(strings.Repeat("v", size-len(k.Partition)-len(k.Sort)))
	return it
}
