package storetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/domicile-api/domicile/internal/store"
)

func lifecycleTests() []test {
	return []test{
		{name: "an ended context", run: anEndedContext},
		{name: "contexts that end during commits", run: contextsThatEndDuringCommits},
		{name: "a closed store", run: aClosedStore},
		{name: "closing during commits", run: closingDuringCommits},
	}
}

func anEndedContext(f *fixture) {
	it := item("p", "s", "v", 1)
	f.put(it)
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	_, getErr := f.Get(ctx, it.Key)
	_, queryErr := f.Query(ctx, store.Query{Partition: "p"})
	commitErr := f.Commit(ctx, store.Commit{Ops: []store.Op{put(item("p", "s", "w", 2), store.Always())}})
	changesErr := f.Changes(ctx, func([]store.Change) error { return nil })
	for name, err := range map[string]error{"get": getErr, "query": queryErr, "commit": commitErr, "changes": changesErr} {
		if !errors.Is(err, context.Canceled) {
			f.Errorf("%s: %v; want canceled", name, err)
		}
	}
	f.has(it)
}

func contextsThatEndDuringCommits(f *fixture) {
	// Whoever goes away leaves its outcome open, and everybody else in order.
	f.put(item("p", "counter", "0", 0))
	f.each(8, func(w int) error {
		for i := range 25 {
			ctx, cancel := context.WithCancel(f.Context())
			go cancel()
			key := fmt.Sprintf("%d-%d", w, i)
			err := f.Commit(ctx, store.Commit{Ops: []store.Op{put(item("p", key, "v", 1), store.Absent())}})
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			if err := f.increment(store.Key{Partition: "p", Sort: "counter"}); err != nil {
				return err
			}
		}
		return nil
	})
	f.has(item("p", "counter", "200", 200))
}

func aClosedStore(f *fixture) {
	if f.options.Close == nil {
		f.Skip("this store cannot be closed")
	}
	it := item("p", "s", "v", 1)
	f.put(it)
	l := f.listen(nil)
	if err := f.options.Close(f.Store); err != nil {
		f.Fatal(err)
	}
	<-l.ended
	_, getErr := f.Get(f.Context(), it.Key)
	_, queryErr := f.Query(f.Context(), store.Query{Partition: "p"})
	commitErr := f.Commit(f.Context(), store.Commit{Ops: []store.Op{put(it, store.Always())}})
	changesErr := f.Changes(f.Context(), func([]store.Change) error { return nil })
	for name, err := range map[string]error{
		"get": getErr, "query": queryErr, "commit": commitErr, "changes": changesErr, "open changes": l.err,
	} {
		if !errors.Is(err, store.ErrClosed) {
			f.Errorf("%s: %v; want ErrClosed", name, err)
		}
	}
}

func closingDuringCommits(f *fixture) {
	if f.options.Close == nil {
		f.Skip("this store cannot be closed")
	}
	started, closed := make(chan struct{}, 4), make(chan error, 1)
	go func() {
		<-started
		closed <- f.options.Close(f.Store)
	}()
	f.each(4, func(w int) error {
		for i := 0; ; i++ {
			err := f.Commit(f.Context(), store.Commit{Ops: []store.Op{put(item("p", fmt.Sprintf("%d-%d", w, i), "v", 1), store.Absent())}})
			if errors.Is(err, store.ErrClosed) {
				return nil
			}
			if err != nil {
				return err
			}
			select {
			case started <- struct{}{}:
			default:
			}
		}
	})
	if err := <-closed; err != nil {
		f.Error(err)
	}
}
