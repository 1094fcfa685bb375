package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/domicile-api/domicile/internal/store"
)

func walkTests() []test {
	return []test{
		{name: "every item once", multi: true, run: func(f *fixture) {
			walker := f.walker()
			const items, batch = 2400, 100
			want := map[store.Key]string{}
			for n := 0; n < items; n += batch {
				ops := make([]store.Op, batch)
				for i := range ops {
					it := item(fmt.Sprintf("p%d", i%7), fmt.Sprintf("s%05d", n+i), fmt.Sprintf("v%d", n+i), 1)
					ops[i], want[it.Key] = put(it, store.Always()), string(it.Value)
				}
				f.commit(ops...)
			}
			err := walker.Walk(f.Context(), func(it store.Item) error {
				if v, there := want[it.Key]; !there || v != string(it.Value) || it.Tag != tag() {
					f.Errorf("%q has %q and %+v, or came twice", it.Key, it.Value, it.Tag)
				}
				delete(want, it.Key)
				return nil
			})
			if err != nil || len(want) > 0 {
				f.Errorf("%d items were not visited; %v", len(want), err)
			}
		}},
		{name: "not what has expired", run: func(f *fixture) {
			walker := f.walker()
			it := item("p", "s", "v", 1)
			it.Expires = f.clock.Read().Add(time.Minute)
			f.put(it)
			f.clock.Move(2 * time.Minute)
			if err := walker.Walk(f.Context(), func(store.Item) error { return errors.New("visited") }); err != nil {
				f.Error(err)
			}
		}},
		{name: "ends with the function's error", run: func(f *fixture) {
			walker := f.walker()
			f.put(item("p", "a", "v", 1), item("p", "b", "v", 1))
			enough, visits := errors.New("enough"), 0
			err := walker.Walk(f.Context(), func(store.Item) error { visits++; return enough })
			if !errors.Is(err, enough) || visits != 1 {
				f.Errorf("%d visits, %v", visits, err)
			}
		}},
	}
}

// walker is the store as a store.Walker, which not every store is.
func (f *fixture) walker() store.Walker {
	w, ok := f.Store.(store.Walker)
	if !ok {
		f.Skip("the store cannot be walked")
	}
	return w
}
