package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/store"
)

func changesTests() []test {
	return []test{
		{name: "each change is told", run: eachChangeIsTold},
		{name: "several operations", multi: true, run: severalOperations},
		{name: "what is told can be read", run: whatIsToldCanBeRead},
		{name: "a refused batch comes again", run: aRefusedBatchComesAgain},
		{name: "the first batch comes again too", run: theFirstBatchComesAgainToo},
		{name: "each consumer is told, whatever the others do", run: eachConsumerIsToldWhateverTheOthersDo},
		{name: "concurrent commits", run: concurrentCommits},
		{name: "it ends with its context", run: itEndsWithItsContext},
	}
}

func eachChangeIsTold(f *fixture) {
	l := f.listen(nil)
	want := map[store.Key]bool{}
	for i := range 20 {
		it := item(fmt.Sprintf("p%d", i%3), strconv.Itoa(i), "v", 1)
		f.put(it)
		want[it.Key] = i%2 == 0
		if i%2 == 0 {
			f.commit(remove(it.Key, store.Always()))
		}
	}
	l.await(want)
}

func severalOperations(f *fixture) {
	old := item("p", "old", "v", 1)
	f.put(old)
	l := f.listen(nil)
	f.commit(
		put(item("p", "a", "v", 1), store.Absent()), put(item("q", "b", "v", 1), store.Absent()),
		remove(old.Key, store.Always()), check(store.Key{Partition: "p", Sort: "checked"}, store.Absent()),
	)
	l.await(map[store.Key]bool{{Partition: "p", Sort: "a"}: false, {Partition: "q", Sort: "b"}: false, old.Key: true})
}

func whatIsToldCanBeRead(f *fixture) {
	l := f.listen(func(changes []store.Change) error {
		for _, c := range changes {
			if _, err := f.Get(f.Context(), c.Key); err != nil {
				f.Errorf("get of a told item %q: %v", c.Key, err)
			}
		}
		return nil
	})
	want := map[store.Key]bool{}
	for i := range 50 {
		it := item("p", strconv.Itoa(i), "v", 1)
		f.put(it)
		want[it.Key] = false
	}
	l.await(want)
}

func aRefusedBatchComesAgain(f *fixture) {
	refusals := 0
	l := f.listen(func(changes []store.Change) error {
		if len(changes) > 0 && refusals < 3 {
			refusals++
			return errors.New("not now")
		}
		return nil
	})
	want := map[store.Key]bool{}
	for i := range 10 {
		it := item("p", strconv.Itoa(i), "v", 1)
		f.put(it)
		want[it.Key] = false
	}
	l.await(want)
	if err := l.stop(); !errors.Is(err, context.Canceled) {
		f.Errorf("changes: %v; want canceled", err)
	}
	if refusals != 3 {
		f.Errorf("%d refusals; want 3", refusals)
	}
}

func theFirstBatchComesAgainToo(f *fixture) {
	ctx, cancel := context.WithCancel(f.Context())
	calls := 0
	err := f.Changes(ctx, func(changes []store.Change) error {
		if calls++; calls == 1 {
			return errors.New("not now")
		}
		if len(changes) != 0 {
			f.Errorf("a batch of %d before the empty one was taken", len(changes))
		}
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || calls != 2 {
		f.Errorf("changes: %v after %d calls; want canceled after 2", err, calls)
	}
}

func eachConsumerIsToldWhateverTheOthersDo(f *fixture) {
	stuck := f.listen(func(changes []store.Change) error {
		if len(changes) > 0 {
			return errors.New("never")
		}
		return nil
	})
	a, b := f.listen(nil), f.listen(nil)
	want := map[store.Key]bool{}
	for i := range 10 {
		it := item("p", strconv.Itoa(i), "v", 1)
		f.put(it)
		want[it.Key] = false
	}
	a.await(want)
	b.await(want)
	if err := stuck.stop(); !errors.Is(err, context.Canceled) {
		f.Errorf("changes: %v; want canceled", err)
	}
}

func concurrentCommits(f *fixture) {
	l := f.listen(nil)
	const writers, each = 8, 50
	want := map[store.Key]bool{}
	for w := range writers {
		for i := range each {
			want[store.Key{Partition: fmt.Sprintf("p%d", w), Sort: strconv.Itoa(i)}] = false
		}
	}
	f.each(writers, func(w int) error {
		for i := range each {
			it := item(fmt.Sprintf("p%d", w), strconv.Itoa(i), "v", 1)
			if err := f.Commit(f.Context(), store.Commit{Ops: []store.Op{put(it, store.Absent())}}); err != nil {
				return err
			}
		}
		return nil
	})
	l.await(want)
}

func itEndsWithItsContext(f *fixture) {
	l := f.listen(nil)
	if err := l.stop(); !errors.Is(err, context.Canceled) {
		f.Errorf("changes: %v; want canceled", err)
	}
}

// listener collects what a feed tells: of each item, whether it was deleted by the last change told.
type listener struct {
	f      *fixture
	cancel context.CancelFunc
	ended  chan struct{}
	err    error

	mu   sync.Mutex
	told map[store.Key]bool
	bell chan struct{}
}

// listen opens a feed and returns when it is open. Batches go through fn first, if there is one; what it refuses is not
// collected.
func (f *fixture) listen(fn func([]store.Change) error) *listener {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	l := &listener{f: f, cancel: cancel, ended: make(chan struct{}), told: map[store.Key]bool{}, bell: make(chan struct{}, 1)}
	open, first := make(chan struct{}), true
	go func() {
		defer close(l.ended)
		l.err = f.Changes(ctx, func(changes []store.Change) error {
			if first {
				first = false
				if len(changes) != 0 {
					f.Errorf("the first batch has %d changes; want none", len(changes))
				}
				close(open)
			}
			if fn != nil {
				if err := fn(changes); err != nil {
					return err
				}
			}
			l.note(changes)
			return nil
		})
	}()
	f.Cleanup(func() { _ = l.stop() })
	select {
	case <-open:
	case <-l.ended:
		f.Fatalf("changes: %v", l.err)
	}
	return l
}

func (l *listener) note(changes []store.Change) {
	l.mu.Lock()
	for _, c := range changes {
		l.told[c.Key] = c.Deleted
	}
	l.mu.Unlock()
	select {
	case l.bell <- struct{}{}:
	default:
	}
}

// stop ends the feed and returns how it ended.
func (l *listener) stop() error {
	l.cancel()
	<-l.ended
	return l.err
}

// await returns when all of want was told, and nothing else was. It waits as long as the test may run.
func (l *listener) await(want map[store.Key]bool) {
	l.f.Helper()
	for {
		l.mu.Lock()
		equal := cmp.Equal(want, l.told)
		for k := range l.told {
			if _, ok := want[k]; !ok {
				l.f.Errorf("told of %q, which did not change", k)
				equal = true
			}
		}
		l.mu.Unlock()
		if equal {
			return
		}
		select {
		case <-l.bell:
		case <-l.ended:
			l.f.Fatalf("changes ended: %v", l.err)
		case <-l.f.Context().Done():
			return
		}
	}
}
