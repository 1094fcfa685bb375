package directory_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// openTable opens a directory table in memory.
func openTable(t testing.TB) store.Store {
	t.Helper()
	return openTables(t)("directory")
}

// openTables opens a store in memory, whose tables have nothing to do with each other.
func openTables(t testing.TB) func(name string) store.Store {
	t.Helper()
	db, err := pebblestore.OpenMemory(pebblestore.Config{Clock: clock, ShuffleChanges: 1, SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return db.Table
}

// strictTable refuses what a global table cannot do: more than one operation a commit.
type strictTable struct{ directory.Table }

func (s strictTable) Commit(ctx context.Context, c store.Commit) error {
	if len(c.Ops) != 1 {
		return errors.New("a global table has no transactions")
	}
	return s.Table.Commit(ctx, c)
}

// countingTable counts reads.
type countingTable struct {
	directory.Table

	gets, queries atomic.Int64
}

func (c *countingTable) Get(ctx context.Context, key store.Key) (store.Item, error) {
	c.gets.Add(1)
	return c.Table.Get(ctx, key)
}

func (c *countingTable) Query(ctx context.Context, q store.Query) (store.Page, error) {
	c.queries.Add(1)
	return c.Table.Query(ctx, q)
}

// fault is what a faultyTable does at its operation.
type fault int

const (
	failBefore   fault = iota // the operation fails and has no effect
	failAfter                 // the operation takes effect and fails all the same
	crashBefore               // as failBefore, and nothing works any more
	crashAfter                // as failAfter, and nothing works any more
	faultsOfThem              // how many there are
)

var errInjected = errors.New("injected fault")

// faultyTable fails at its at-th operation, from 1.
type faultyTable struct {
	directory.Table

	what fault

	mu      sync.Mutex
	at      int
	count   int
	crashed bool
}

// around runs an operation of the table under the fault.
func (f *faultyTable) around(run func() error) error {
	f.mu.Lock()
	f.count++
	hit := f.count == f.at
	crashed := f.crashed
	f.crashed = f.crashed || hit && (f.what == crashBefore || f.what == crashAfter)
	f.mu.Unlock()
	if crashed || hit && (f.what == failBefore || f.what == crashBefore) {
		return errInjected
	}
	err := run()
	if hit {
		return errInjected
	}
	return err
}

func (f *faultyTable) Get(ctx context.Context, key store.Key) (item store.Item, err error) {
	err = f.around(func() (e error) { item, e = f.Table.Get(ctx, key); return e })
	return item, err
}

func (f *faultyTable) Query(ctx context.Context, q store.Query) (page store.Page, err error) {
	err = f.around(func() (e error) { page, e = f.Table.Query(ctx, q); return e })
	return page, err
}

func (f *faultyTable) Commit(ctx context.Context, c store.Commit) error {
	return f.around(func() error { return f.Table.Commit(ctx, c) })
}

// putLog puts records into the table as replication would bring them.
func putLog(t testing.TB, table directory.Table, records ...*directoryv1.Record) {
	t.Helper()
	for _, r := range records {
		data, err := proto.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		put(t, table, store.Item{
			Key:     store.Key{Partition: "w/" + r.GetWriter(), Sort: string(binary.BigEndian.AppendUint64(nil, r.GetWseq()))},
			Version: ident.Version{Seq: ident.Seq(r.GetWseq())}, Tag: store.Tag{Class: store.ClassGlobal}, Value: data,
		})
	}
}

func put(t testing.TB, table directory.Table, item store.Item) {
	t.Helper()
	err := table.Commit(t.Context(), store.Commit{Ops: []store.Op{{Kind: store.Put, Item: item}}})
	if err != nil {
		t.Fatal(err)
	}
}
