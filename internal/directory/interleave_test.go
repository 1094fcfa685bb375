package directory_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/directory"
	faults "github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/store"
)

// hookedTable calls a hook before its at-th operation, from 1.
type hookedTable struct {
	directory.Table

	at, count int
	hook      func()
}

func (h *hookedTable) step() {
	if h.count++; h.count == h.at {
		h.hook()
	}
}

func (h *hookedTable) Get(ctx context.Context, key store.Key) (store.Item, error) {
	h.step()
	return h.Table.Get(ctx, key)
}

func (h *hookedTable) Query(ctx context.Context, q store.Query) (store.Page, error) {
	h.step()
	return h.Table.Query(ctx, q)
}

func (h *hookedTable) Commit(ctx context.Context, c store.Commit) error {
	h.step()
	return h.Table.Commit(ctx, c)
}

// TestSlowWriter stops a writer before each of its operations and lets another one write twice to the same tenant and hosts
// meanwhile. Whatever the slow one does when it goes on, the state is what the log says.
func TestSlowWriter(t *testing.T) {
	t.Parallel()
	tables := openTables(t)
	for at, done := 1, false; !done; at++ {
		table := tables(fmt.Sprintf("directory-%d", at))
		mustWrite(t, table, control, tenantRecord(0, tenant("acme-eu", "x", "acme.example")))
		slow := &hookedTable{Table: table, at: at}
		slow.hook = func() {
			fast := newWriter(table, control)
			for _, next := range []*directoryv1.Record{
				tenantRecord(0, tenant("acme-eu", "acme.example", "api.acme.example")), tenantRecord(0, tenant("zoo", "x")),
			} {
				if _, err := fast.Write(t.Context(), always(next)); err != nil {
					t.Fatal(err)
				}
			}
		}
		_, err := newWriter(slow, control).Write(t.Context(), always(tenantRecord(0, tenant("acme-eu", "x", "bank.example"))))
		if err != nil {
			t.Fatal(err)
		}
		life := readLog(t, table, control)
		checkGapless(t, life)
		if _, err := newWriter(table, control).Sweep(t.Context(), 1000); err != nil {
			t.Fatal(err)
		}
		checkFolded(t, table, life)
		done = slow.count < at
	}
}

// TestWriterUnknownOutcome lets commits fail: while it can be found out whether one took effect it is, and then the answer is
// true; when it cannot, the answer says so.
func TestWriterUnknownOutcome(t *testing.T) {
	t.Parallel()
	const put = 2 // The second operation, after the query for the last record, is the put of the new one.
	for _, what := range []fault{failBefore, failAfter} {
		table := openTable(t)
		r, err := newWriter(&faultyTable{Table: table, at: put, what: what}, control).Write(t.Context(), always(tenantRecord(0, tenant("acme-eu"))))
		if log := readLog(t, table, control); err != nil || r.GetWseq() != 1 || len(log) != 1 {
			t.Errorf("fault %d: %v, %v, log %v; want one record", what, r, err, log)
		}
	}
	for what, written := range map[fault]int{crashBefore: 0, crashAfter: 1} {
		table := openTable(t)
		_, err := newWriter(&faultyTable{Table: table, at: put, what: what}, control).Write(t.Context(), always(tenantRecord(0, tenant("acme-eu"))))
		if log := readLog(t, table, control); !faults.Is(err, errorsv1.Reason_REASON_OUTCOME_UNKNOWN) || len(log) != written {
			t.Errorf("fault %d: %v, log %v; want OUTCOME_UNKNOWN and %d records", what, err, log, written)
		}
	}
}

// fullTable has no space.
type fullTable struct{ directory.Table }

func (fullTable) Commit(context.Context, store.Commit) error { return store.ErrFull }

func TestWriterFull(t *testing.T) {
	t.Parallel()
	_, err := newWriter(fullTable{openTable(t)}, control).Write(t.Context(), always(tenantRecord(0, tenant("acme-eu"))))
	if !faults.Is(err, errorsv1.Reason_REASON_STORAGE_FULL) || !errors.Is(err, store.ErrFull) {
		t.Errorf("error %v, want STORAGE_FULL", err)
	}
}

// TestWriterCallerGone checks that a call whose caller leaves at the commit is finished all the same.
func TestWriterCallerGone(t *testing.T) {
	t.Parallel()
	table := openTable(t)
	ctx, leave := context.WithCancel(t.Context())
	hooked := &hookedTable{Table: table, at: 2, hook: leave}
	if _, err := newWriter(hooked, control).Write(ctx, always(tenantRecord(0, tenant("acme-eu", "x")))); err != nil {
		t.Fatal(err)
	}
	checkFolded(t, table, readLog(t, table, control))
}
