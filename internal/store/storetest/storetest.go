// Package storetest is the conformance suite of the port internal/store. Every adapter passes it, embedded and on AWS, so that
// what holds on one holds on the other:
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t *testing.T, clock func() time.Time) store.Store { ... }, storetest.Options{})
//	}
//
// The suite's tests run in parallel, each on a store of its own.
package storetest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/testclock"
)

// Factory makes an empty store that takes the time from clock. It cleans up with t.Cleanup.
type Factory func(t *testing.T, clock func() time.Time) store.Store

// Options say what a store has, besides the port.
type Options struct {
	// SingleOp is set for a store whose commits have exactly one operation, such as a replica of a global table: more are
	// refused with store.ErrInvalid.
	SingleOp bool
	// OwnTokenClock is set for a store whose engine counts the life of tokens by a clock of its own, which the suite cannot move.
	OwnTokenClock bool
	// Close closes a store that the factory made; the tests of a closed store need it.
	Close func(store.Store) error
}

// Run runs the suite.
func Run(t *testing.T, factory Factory, o Options) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"Get", getTests()},
		{"Query", queryTests()},
		{"Condition", conditionTests()},
		{"Transaction", transactionTests()},
		{"Limits", limitTests()},
		{"Token", tokenTests()},
		{"Expiry", expiryTests()},
		{"Changes", changesTests()},
		{"Concurrency", concurrencyTests()},
		{"Lifecycle", lifecycleTests()},
		{"Walk", walkTests()},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, tc := range group.tests {
				if tc.multi && o.SingleOp {
					continue
				}
				t.Run(tc.name, func(t *testing.T) {
					t.Parallel()
					tc.run(newFixture(t, factory, o))
				})
			}
		})
	}
}

// test is one test; multi says that it needs commits of several operations.
type test struct {
	name  string
	multi bool
	run   func(f *fixture)
}

// fixture is a test with its store.
type fixture struct {
	*testing.T
	store.Store

	clock   *testclock.Clock
	options Options
}

func newFixture(t *testing.T, factory Factory, o Options) *fixture {
	t.Helper()
	c := testclock.New()
	return &fixture{T: t, Store: factory(t, c.Read), clock: c, options: o}
}

// tag is on each item that does not say otherwise.
func tag() store.Tag { return store.Tag{Tenant: "acme-eu", Class: store.ClassPII, Jurisdiction: "EU"} }

func version(n int) ident.Version { return ident.Version{Epoch: 1, Seq: ident.Seq(n)} } //nolint:gosec // Never negative.

func item(partition, sort, value string, v int) store.Item {
	return store.Item{
		Key: store.Key{Partition: partition, Sort: sort}, Version: version(v), Tag: tag(), Value: []byte(value),
	}
}

func put(it store.Item, cond store.Condition) store.Op {
	return store.Op{Kind: store.Put, Item: it, If: cond}
}

func remove(k store.Key, cond store.Condition) store.Op {
	return store.Op{Kind: store.Delete, Item: store.Item{Key: k}, If: cond}
}

func check(k store.Key, cond store.Condition) store.Op {
	return store.Op{Kind: store.Check, Item: store.Item{Key: k}, If: cond}
}

// commit commits the operations, which must succeed.
func (f *fixture) commit(ops ...store.Op) {
	f.Helper()
	if err := f.Commit(f.Context(), store.Commit{Ops: ops}); err != nil {
		f.Fatalf("commit: %v", err)
	}
}

// put puts the items, one commit each, so that it serves a single-operation store as well.
func (f *fixture) put(items ...store.Item) {
	f.Helper()
	for _, it := range items {
		f.commit(put(it, store.Always()))
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
		f.Errorf("item %q (-want +got):\n%s", want.Key, cmp.Diff(want, got))
	}
}

// hasNot checks that there is no item.
func (f *fixture) hasNot(k store.Key) {
	f.Helper()
	if it, err := f.Get(f.Context(), k); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("get %q: %v, %v; want ErrNotFound", k, it, err)
	}
}

// fails checks that a commit fails with target, and returns the error.
func (f *fixture) fails(target error, ops ...store.Op) {
	f.Helper()
	if err := f.Commit(f.Context(), store.Commit{Ops: ops}); !errors.Is(err, target) {
		f.Errorf("commit: %v; want %v", err, target)
	}
}

// refused checks that a commit fails with exactly these reasons.
func (f *fixture) refused(want store.ConditionError, ops ...store.Op) {
	f.Helper()
	err := f.Commit(f.Context(), store.Commit{Ops: ops})
	var got *store.ConditionError
	if !errors.As(err, &got) {
		f.Errorf("commit: %v; want a ConditionError", err)
		return
	}
	if diff := cmp.Diff(want, *got); diff != "" {
		f.Errorf("reasons (-want +got):\n%s", diff)
	}
}

// refusedOne is refused for a single operation on an item that has version v.
func (f *fixture) refusedOne(v ident.Version, op store.Op) {
	f.Helper()
	f.refused(store.ConditionError{Failed: []bool{true}, Stored: []ident.Version{v}}, op)
}
