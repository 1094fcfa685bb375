package tabletest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/store"
)

func changesTests() []test {
	return []test{
		{"the first batch is empty, then own commits ring", ownCommitsRing},
		{"it ends with its context", func(f *fixture) {
			ctx, cancel := context.WithCancel(f.Context())
			err := f.Changes(ctx, func([]store.Change) error {
				cancel()
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				f.Errorf("changes: %v; want canceled", err)
			}
		}},
	}
}

// ownCommitsRing commits once the feed has begun, and waits until each was told of.
func ownCommitsRing(f *fixture) {
	const commits = 5
	ctx, cancel := context.WithCancel(f.Context())
	open, first := make(chan struct{}), true
	var told []store.Key
	ended := make(chan error, 1)
	go func() {
		ended <- f.Changes(ctx, func(changes []store.Change) error {
			if first {
				first = false
				if len(changes) > 0 {
					f.Errorf("the first batch has %d changes; want none", len(changes))
				}
				close(open)
			}
			for _, c := range changes {
				if !slices.Contains(told, c.Key) {
					told = append(told, c.Key)
				}
			}
			if len(told) == commits {
				cancel()
			}
			return nil
		})
	}()
	<-open
	for n := range commits {
		f.ok(put(item("w/a", number(n+1), n+1, "v"), store.Absent()))
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		f.Errorf("changes: %v after %d of %d commits were told of", err, len(told), commits)
	}
	for n := range commits {
		if !slices.Contains(told, store.Key{Partition: "w/a", Sort: number(n + 1)}) {
			f.Errorf("commit %d was not told of", n+1)
		}
	}
}

func replicaTests() []test {
	return []test{
		{"what is written arrives everywhere", arrivesEverywhere},
		{"deletes and new states arrive too", newStatesArrive},
	}
}

// arrivesEverywhere lets each replica write a log of its own. In the end all have all, whatever the order of arrival was.
func arrivesEverywhere(f *fixture) {
	const records = 20
	f.each(len(f.replicas), func(r int) error {
		for n := range records {
			it := item(fmt.Sprintf("w/%d", r), number(n+1), n+1, fmt.Sprintf("record %d of %d", n+1, r))
			if err := f.replicas[r].Commit(f.Context(), put(it, store.Absent())); err != nil {
				return err
			}
		}
		return nil
	})
	for at, replica := range f.replicas {
		for writer := range f.replicas {
			q := store.Query{Partition: fmt.Sprintf("w/%d", writer)}
			f.eventuallyf(func() bool {
				sorts, _ := f.walk(replica, q)
				return len(sorts) == records
			}, "replica %d gets the log of %d", at, writer)
		}
	}
}

func newStatesArrive(f *fixture) {
	last := f.replicas[len(f.replicas)-1]
	kept, gone := item("s/a", "t/kept", 1, "first"), item("s/a", "t/gone", 1, "first")
	f.ok(put(kept, store.Always()))
	f.ok(put(gone, store.Always()))
	f.eventuallyf(func() bool { return f.shows(last, kept) && f.shows(last, gone) }, "the items arrive")
	kept.Version.Seq, kept.Value = 2, []byte("second")
	f.ok(put(kept, store.OlderThan(kept.Version)))
	f.ok(remove(gone.Key))
	f.eventuallyf(func() bool {
		_, err := last.Get(f.Context(), gone.Key)
		return f.shows(last, kept) && errors.Is(err, store.ErrNotFound)
	}, "the new states arrive")
}

func (f *fixture) shows(table directory.Table, want store.Item) bool {
	f.Helper()
	got, err := table.Get(f.Context(), want.Key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		f.Fatalf("get: %v", err)
	}
	return err == nil && string(got.Value) == string(want.Value) && got.Version == want.Version
}

// eventuallyf waits until something is so, as long as the test may run: nothing tells a reader when an item has come.
func (f *fixture) eventuallyf(is func() bool, format string, args ...any) {
	f.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-f.Context().Done():
			f.Fatalf("never: "+format, args...)
		}
	}
}
