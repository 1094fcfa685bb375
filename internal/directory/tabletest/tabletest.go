// Package tabletest is the conformance suite of the port directory.Table: what the directory relies on, and no more. Every adapter
// passes it, embedded and on AWS:
//
//	func TestConformance(t *testing.T) {
//		tabletest.Run(t, func(t *testing.T, clock func() time.Time) []directory.Table { ... })
//	}
//
// What it states, of one replica:
//
//   - A commit of one operation takes effect or fails with the reason and the stored version; of many that want one free key, one
//     gets it. Commits of more operations are refused.
//   - A put of a free key that is sent again under its token, because its outcome was not known, answers success, and has no second
//     effect, as long as the item stands as it was put.
//   - Reads show each commit that returned before, in pages that are in the order of bytes, whole, and not empty while more follows.
//   - An expired item is as absent as one that never was.
//   - The feed begins with an empty batch and rings for this replica's own commits.
//
// And of several: what is written in one arrives in all, item by item, in any order, and nothing is lost on the way.
package tabletest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/testclock"
)

// Factory makes an empty table that takes the time from clock, and returns its replicas: one or more. It cleans up with t.Cleanup.
type Factory func(t *testing.T, clock func() time.Time) []directory.Table

// Run runs the suite. Its tests run in parallel, each on a table of its own.
func Run(t *testing.T, factory Factory) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"Commit", commitTests()},
		{"Race", raceTests()},
		{"Token", tokenTests()},
		{"Read", readTests()},
		{"Expiry", expiryTests()},
		{"Changes", changesTests()},
		{"Replicas", replicaTests()},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, tc := range group.tests {
				t.Run(tc.name, func(t *testing.T) {
					t.Parallel()
					tc.run(newFixture(t, factory))
				})
			}
		})
	}
}

type test struct {
	name string
	run  func(f *fixture)
}

// fixture is a test with its table; the Table is the first replica.
type fixture struct {
	*testing.T
	directory.Table

	replicas []directory.Table
	clock    *testclock.Clock
}

func newFixture(t *testing.T, factory Factory) *fixture {
	t.Helper()
	c := testclock.New()
	replicas := factory(t, c.Read)
	return &fixture{T: t, Table: replicas[0], replicas: replicas, clock: c}
}

// item is an item as the directory has them: GLOBAL, with a number for a version.
func item(partition, sort string, n int, value string) store.Item {
	return store.Item{
		Key: store.Key{Partition: partition, Sort: sort}, Version: ident.Version{Seq: ident.Seq(n)}, //nolint:gosec // Not negative.
		Tag: store.Tag{Tenant: "acme-eu", Class: store.ClassGlobal}, Value: []byte(value),
	}
}

func put(it store.Item, cond store.Condition) store.Commit {
	return store.Commit{Ops: []store.Op{{Kind: store.Put, Item: it, If: cond}}}
}

func remove(k store.Key) store.Commit {
	return store.Commit{Ops: []store.Op{{Kind: store.Delete, Item: store.Item{Key: k}}}}
}

// named is a commit under a token.
func named(c store.Commit, token string) store.Commit {
	c.Token = token
	return c
}

// ok makes a commit that must succeed.
func (f *fixture) ok(c store.Commit) {
	f.Helper()
	if err := f.Commit(f.Context(), c); err != nil {
		f.Fatalf("commit: %v", err)
	}
}

// refused makes a commit whose condition must fail on an item of version n; 0: on none.
func (f *fixture) refused(n int, c store.Commit) {
	f.Helper()
	var got *store.ConditionError
	if err := f.Commit(f.Context(), c); !errors.As(err, &got) {
		f.Errorf("commit: %v; want a ConditionError", err)
		return
	}
	want := store.ConditionError{Failed: []bool{true}, Stored: []ident.Version{{Seq: ident.Seq(n)}}} //nolint:gosec // Not negative.
	if diff := cmp.Diff(want, *got); diff != "" {
		f.Errorf("reasons (-want +got):\n%s", diff)
	}
}

// fails makes a commit that must fail with target.
func (f *fixture) fails(target error, c store.Commit) {
	f.Helper()
	if err := f.Commit(f.Context(), c); !errors.Is(err, target) {
		f.Errorf("commit: %v; want %v", err, target)
	}
}

// has checks that an item is stored as it was put.
func (f *fixture) has(want store.Item) {
	f.Helper()
	got, err := f.Get(f.Context(), want.Key)
	if err != nil {
		f.Fatalf("get %q: %v", want.Key, err)
	}
	if !reflect.DeepEqual(want, got) { // cmp goes through large values byte by byte.
		f.Errorf("item %q: %s", want.Key, difference(want, got))
	}
}

func difference(want, got store.Item) string {
	if !bytes.Equal(want.Value, got.Value) && len(want.Value)+len(got.Value) > 1000 {
		return fmt.Sprintf("another value, of %d bytes instead of %d", len(got.Value), len(want.Value))
	}
	return "(-want +got)\n" + cmp.Diff(want, got)
}

// hasNot checks that there is no item.
func (f *fixture) hasNot(k store.Key) {
	f.Helper()
	if it, err := f.Get(f.Context(), k); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("get %q: %v, %v; want ErrNotFound", k, it, err)
	}
}

// walk returns the sort keys of a query, page by page, and how many pages there were.
func (f *fixture) walk(table directory.Table, q store.Query) (sorts []string, pages int) {
	f.Helper()
	for {
		page, err := table.Query(f.Context(), q)
		if err != nil {
			f.Fatalf("query: %v", err)
		}
		pages++
		switch {
		case q.Limit > 0 && len(page.Items) > q.Limit:
			f.Fatalf("a page of %d items; want at most %d", len(page.Items), q.Limit)
		case page.More && len(page.Items) == 0:
			f.Fatal("a page is empty though more follows")
		}
		for _, it := range page.Items {
			sorts = append(sorts, it.Key.Sort)
		}
		if !page.More {
			return sorts, pages
		}
		last := page.Items[len(page.Items)-1].Key.Sort
		if q.Descending {
			q.To = last
		} else {
			q.From = last + "\x00"
		}
	}
}

// each calls fn for 0 to n-1 at once, and fails the test with what fails.
func (f *fixture) each(n int, fn func(int) error) {
	f.Helper()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := fn(i); err != nil {
				f.Errorf("%d: %v", i, err)
			}
		})
	}
	all.Wait()
}
