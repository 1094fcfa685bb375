package directory_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/directory"
	faults "github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// step is a part of a workload: a write, or a sweep if decide is nil.
type step struct{ decide decision }

// workload is a life of tenants in which hosts move, keys come and go, and snapshots are published and pruned below.
func workload() []step {
	purged := tenant("acme-eu", "x")
	purged.State = tenancyv1.TenantState_TENANT_STATE_PURGED
	write := func(r *directoryv1.Record, rep string) step {
		if rep != "" {
			r.Repetition = repetition(rep)
		}
		return step{always(r)}
	}
	return []step{
		{create(tenant("acme-eu", "api.acme.example", "x"), repetition("one"))},
		write(tenantRecord(0, tenant("acme-eu", "x", "acme.example")), "two"),
		{create(tenant("zoo", "api.acme.example"), repetition("three"))},
		{}, // publishes the first snapshot
		write(keyRecord(0, "acme-eu", "k1", false), "four"),
		write(keyRecord(0, "acme-eu", "k1", true), ""),
		write(operatorKeyRecord(0, "k2"), ""),
		{}, // publishes the second and prunes below the first
		write(tenantRecord(0, purged), "five"),
		{create(tenant("bank-eu", "x"), repetition("six"))},
		write(tenantRecord(0, tenant("zoo")), ""),
		{}, // publishes the third
		{}, // prunes what is left
	}
}

// process is what a crash ends: a writer over a table that may fail. life is what of the log was ever seen, pruned or not.
type process struct {
	t     *testing.T
	table directory.Table
	life  []*directoryv1.Record
}

// observe adds what is new in the log to life and returns it.
func (p *process) observe() []*directoryv1.Record {
	p.t.Helper()
	var fresh []*directoryv1.Record
	for _, r := range readLog(p.t, p.table, control) {
		switch n := int(r.GetWseq()); {
		case n <= len(p.life):
			if !proto.Equal(p.life[n-1], r) {
				p.t.Fatalf("record %d was %v and is %v", n, p.life[n-1], r)
			}
		case n == len(p.life)+1:
			p.life = append(p.life, r)
			fresh = append(fresh, r)
		default:
			p.t.Fatalf("record %d follows record %d", n, len(p.life))
		}
	}
	return fresh
}

// run runs a step and checks that its answer is true of the log.
func (p *process) run(w *directory.Writer, s step) error {
	p.t.Helper()
	if s.decide == nil {
		_, err := w.Sweep(p.t.Context(), 3)
		if fresh := p.observe(); len(fresh) > 0 {
			p.t.Fatalf("a sweep wrote %v", fresh)
		}
		return err
	}
	r, err := w.Write(p.t.Context(), s.decide)
	fresh := p.observe()
	switch {
	case err == nil && r != nil && (len(fresh) != 1 || !proto.Equal(fresh[0], r)):
		p.t.Fatalf("acknowledged %v, the log got %v", r, fresh)
	case err == nil && r == nil && len(fresh) > 0:
		p.t.Fatalf("nothing was to be written, the log got %v", fresh)
	case err != nil && !faults.Is(err, errorsv1.Reason_REASON_OUTCOME_UNKNOWN) && len(fresh) > 0:
		p.t.Fatalf("failed with %v, the log got %v", err, fresh)
	case len(fresh) > 1:
		p.t.Fatalf("one write, the log got %v", fresh)
	}
	return err
}

// TestCrashAtEveryOperation lets each operation of a workload fail, or the process die at it, before or after it took effect. Then
// another process goes on with the work. At the end nothing acknowledged is missing, nothing is there twice, and the state is
// what the log says, however little the first process had done of it.
func TestCrashAtEveryOperation(t *testing.T) {
	t.Parallel()
	count := crashRun(t, openTable(t), 0, failBefore)
	if count < 80 {
		t.Fatalf("the workload has %d operations only", count)
	}
	t.Logf("%d operations, %d faults each", count, faultsOfThem)
	for what := range faultsOfThem {
		t.Run(strconv.Itoa(int(what)), func(t *testing.T) {
			t.Parallel()
			tables := openTables(t)
			for at := 1; at <= count; at++ {
				crashRun(t, tables(fmt.Sprintf("directory-%d", at)), at, what)
			}
		})
	}
}

// crashRun runs the workload with a fault at an operation and returns how many operations there were.
func crashRun(t *testing.T, table directory.Table, at int, what fault) int {
	t.Helper()
	plain := strictTable{table}
	faulty := &faultyTable{Table: plain, at: at, what: what}
	p := &process{t: t, table: plain}
	w := newWriter(faulty, control)
	for _, s := range workload() {
		for {
			err := p.run(w, s)
			if err == nil {
				break
			}
			if !errors.Is(err, errInjected) {
				t.Fatalf("fault %d at %d: %v", what, at, err)
			}
			if faulty.crashed {
				w = newWriter(plain, control) // The next process.
			}
		}
	}
	checkFolded(t, plain, p.life)
	return faulty.count
}

// checkFolded checks that the state items, and what a follower makes of logs and snapshots, are what the log folds to.
func checkFolded(t *testing.T, table directory.Table, life []*directoryv1.Record) {
	t.Helper()
	want := fold(life)
	reader := directory.NewReader(directory.ReaderConfig{Table: table, Control: control, Regions: regions()})
	for _, id := range worldTenants {
		record, err := reader.TenantRecord(t.Context(), ident.TenantID(id))
		newest := want.newest[string(control)+" tenant "+id]
		if err != nil || record.GetWseq() != newest.GetWseq() || !proto.Equal(record.GetTenant(), newest.GetTenant()) {
			t.Fatalf("tenant %s: %v, %v; want %v", id, record, err, newest)
		}
	}
	for _, host := range worldHosts {
		owner, err := reader.HostOwner(t.Context(), host)
		if err != nil || owner != want.host(host) {
			t.Fatalf("host %s: %q, %v; want %q", host, owner, err, want.host(host))
		}
	}
	for _, r := range life {
		if rep := r.GetRepetition(); rep != nil {
			got, err := reader.Repetition(t.Context(), rep.GetKeyHash())
			if err != nil || !proto.Equal(got, rep) {
				t.Fatalf("repetition of record %d: %v, %v", r.GetWseq(), got, err)
			}
		}
	}
	x := newIndex()
	f := directory.NewFollower(directory.FollowerConfig{Table: table, Writers: regions(), Control: control, Sink: x})
	if err := f.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.Position(control); got != ident.Seq(len(life)) {
		t.Fatalf("a new follower comes to %d of %d", got, len(life))
	}
	want.check(t, x)
}

// TestSweepPrunes checks what a sweep leaves: the log beyond the older of two snapshots, and no other snapshot.
func TestSweepPrunes(t *testing.T) {
	t.Parallel()
	table := strictTable{openTable(t)}
	w := newWriter(table, control)
	life := make([]*directoryv1.Record, 0, 25)
	var published []ident.Seq
	for i := range 25 {
		r, err := w.Write(t.Context(), always(tenantRecord(0, tenant(worldTenants[i%3], worldHosts[i%5]))))
		if err != nil {
			t.Fatal(err)
		}
		life = append(life, r)
		report, err := w.Sweep(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if report.Published {
			published = append(published, report.Last)
		}
	}
	if !slices.Equal(published, []ident.Seq{10, 20}) {
		t.Fatalf("published at %v, want at 10 and 20", published)
	}
	log := readLog(t, table, control)
	if len(log) != 15 || log[0].GetWseq() != 11 {
		t.Fatalf("%d records from %d on are left, want 15 from 11 on", len(log), log[0].GetWseq())
	}
	checkFolded(t, table, life)
}
