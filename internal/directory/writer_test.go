package directory_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/directory"
	faults "github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/globaltable"
)

func newWriter(table directory.Table, region ident.RegionID) *directory.Writer {
	return directory.NewWriter(directory.WriterConfig{
		Table: table, Region: region, Control: control, Clock: clock, Random: rand.Reader,
	})
}

// decision is what Write takes.
type decision = func(context.Context, directory.View) (*directoryv1.Record, error)

// always writes a record whatever is so.
func always(r *directoryv1.Record) decision {
	return func(context.Context, directory.View) (*directoryv1.Record, error) { return r, nil }
}

var (
	errTenantTaken = faults.New(errorsv1.Reason_REASON_ALREADY_EXISTS, "the tenant exists")
	errHostTaken   = faults.New(errorsv1.Reason_REASON_ALREADY_EXISTS, "the host is another tenant's")
)

// create makes a tenant as a service would: its id and its hosts must be free, and the call may be a repetition.
func create(t *tenancyv1.Tenant, rep *directoryv1.Repetition) decision {
	return func(ctx context.Context, v directory.View) (*directoryv1.Record, error) {
		if rep != nil {
			if known, err := v.Repetition(ctx, rep.GetKeyHash()); err != nil || known != nil {
				return nil, err
			}
		}
		if known, err := v.Tenant(ctx, ident.TenantID(t.GetId())); err != nil {
			return nil, err
		} else if known != nil {
			return nil, errTenantTaken
		}
		for _, host := range t.GetHosts() {
			if owner, err := v.HostOwner(ctx, host); err != nil {
				return nil, err
			} else if owner != "" {
				return nil, errHostTaken
			}
		}
		return &directoryv1.Record{Subject: &directoryv1.Record_Tenant{Tenant: t}, Repetition: rep}, nil
	}
}

func repetition(name string) *directoryv1.Repetition {
	key, request := sha256.Sum256([]byte(name)), sha256.Sum256([]byte("request "+name))
	return &directoryv1.Repetition{KeyHash: key[:], RequestHash: request[:], Answer: []byte("answer " + name)}
}

// readLog returns a writer's log as it lies in the table.
func readLog(t testing.TB, table directory.Table, writer ident.RegionID) []*directoryv1.Record {
	t.Helper()
	var log []*directoryv1.Record
	q := store.Query{Partition: "w/" + string(writer)}
	for {
		page, err := table.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			r := new(directoryv1.Record)
			if err := proto.Unmarshal(item.Value, r); err != nil {
				t.Fatal(err)
			}
			log = append(log, r)
		}
		if !page.More {
			return log
		}
		q.From = page.Items[len(page.Items)-1].Key.Sort + "\x00"
	}
}

// checkGapless checks that a log's numbers are 1 to n.
func checkGapless(t testing.TB, log []*directoryv1.Record) {
	t.Helper()
	for i, r := range log {
		if r.GetWseq() != uint64(i+1) {
			t.Fatalf("record %d of the log has number %d", i+1, r.GetWseq())
		}
	}
}

// view gives the state that a decision would see now.
func view(t testing.TB, table directory.Table, fn func(directory.View)) {
	t.Helper()
	_, err := newWriter(table, control).Write(t.Context(), func(_ context.Context, v directory.View) (*directoryv1.Record, error) {
		fn(v)
		return nil, nil //nolint:nilnil // Nothing is to be written.
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWriterNumbersAndDates(t *testing.T) {
	t.Parallel()
	table := strictTable{openTable(t)}
	w := newWriter(table, control)
	for i := range 3 {
		in := tenantRecord(99, tenant(fmt.Sprintf("t%d", i)))
		in.Writer = "somebody"
		got, err := w.Write(t.Context(), always(in))
		if err != nil {
			t.Fatal(err)
		}
		if got.GetWriter() != string(control) || got.GetWseq() != uint64(i+1) || !got.GetWriteTime().AsTime().Equal(noon) {
			t.Fatalf("record %v, want number %d of %s at %v", got, i+1, control, noon)
		}
		if in.GetWseq() != 99 {
			t.Fatal("the caller's record was changed")
		}
		view(t, table, func(v directory.View) {
			if v.Next() != ident.Seq(i+2) {
				t.Errorf("next is %d, want %d", v.Next(), i+2)
			}
		})
	}
	checkGapless(t, readLog(t, table, control))
}

// TestWriterMayOnlySpeakOfItsOwn checks which region may write what.
func TestWriterMayOnlySpeakOfItsOwn(t *testing.T) {
	t.Parallel()
	erasure := func(region ident.RegionID) *directoryv1.Record {
		return &directoryv1.Record{Subject: &directoryv1.Record_Erasure{
			Erasure: &directoryv1.Erasure{Tenant: "acme-eu", Region: string(region)},
		}}
	}
	for name, tc := range map[string]struct {
		writer ident.RegionID
		record *directoryv1.Record
		ok     bool
	}{
		"tenant by control":        {control, tenantRecord(0, tenant("acme-eu")), true},
		"tenant by home":           {frankfurt, tenantRecord(0, tenant("acme-eu")), false},
		"key by control":           {control, keyRecord(0, "acme-eu", "k1", false), true},
		"key by home":              {frankfurt, keyRecord(0, "acme-eu", "k1", false), false},
		"operator key by control":  {control, operatorKeyRecord(0, "k1"), true},
		"operator key by home":     {frankfurt, operatorKeyRecord(0, "k1"), false},
		"revocation by home":       {frankfurt, revocationRecord("", 0, "acme-eu", "k1"), true},
		"own region keys":          {frankfurt, regionKeysRecord(frankfurt, 0, "k1"), true},
		"another's region keys":    {control, regionKeysRecord(frankfurt, 0, "k1"), false},
		"own erasure":              {frankfurt, erasure(frankfurt), true},
		"another's erasure":        {frankfurt, erasure(dublin), false},
		"token key by control":     {control, tokenKeyRecord(0, 1, "w"), true},
		"token key by home":        {frankfurt, tokenKeyRecord(0, 1, "w"), false},
		"a token key without id":   {control, tokenKeyRecord(0, 0, "w"), false},
		"class table by any":       {frankfurt, classTableRecord("", 0, "v1.0.0"), true},
		"a forged class table":     {frankfurt, forgedTableRecord(), false},
		"a table without a print":  {control, &directoryv1.Record{Subject: &directoryv1.Record_ClassTable{}}, false},
		"nothing":                  {control, new(directoryv1.Record), false},
		"a tenant without an id":   {control, tenantRecord(0, new(tenancyv1.Tenant)), false},
		"a tenant id with a slash": {control, tenantRecord(0, tenant("a/b")), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := openTable(t)
			_, err := newWriter(table, tc.writer).Write(t.Context(), always(tc.record))
			if (err == nil) != tc.ok || len(readLog(t, table, tc.writer)) == 1 != tc.ok {
				t.Errorf("error %v, log %v; want written: %v", err, readLog(t, table, tc.writer), tc.ok)
			}
			// The reading side holds the same line.
			x := newIndex()
			raw := openTable(t)
			record := proto.CloneOf(tc.record)
			record.Writer, record.Wseq = string(tc.writer), 1
			putLog(t, raw, record)
			f := directory.NewFollower(directory.FollowerConfig{Table: raw, Writers: regions(), Control: control, Sink: x})
			if err := f.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			if name == "tenant by home" && x.Len() > 0 || name == "tenant by control" && x.Len() == 0 {
				t.Errorf("the follower took %d tenants", x.Len())
			}
			if _, ok := x.RouteKey(frankfurt, "k1"); ok != (name == "own region keys") {
				t.Errorf("the follower took a route key: %v", ok)
			}
			if _, ok := x.ClassTable(tc.record.GetClassTable().GetFingerprint()); ok != (name == "class table by any") {
				t.Errorf("the follower took a class table: %v", ok)
			}
			if got := x.TokenKeys(); len(got) > 0 != (name == "token key by control" || name == "a token key without id") {
				t.Errorf("the follower took token keys: %v", got)
			}
		})
	}
}

// TestWriterSeesItsOwnState walks through a tenant's life and checks hosts, keys and repetitions at each step.
func TestWriterSeesItsOwnState(t *testing.T) {
	t.Parallel()
	table := strictTable{openTable(t)}
	w := newWriter(table, control)
	owners := func(want map[string]ident.TenantID) {
		t.Helper()
		view(t, table, func(v directory.View) {
			for host, owner := range want {
				if got, err := v.HostOwner(t.Context(), host); err != nil || got != owner {
					t.Errorf("host %s is %q's, %v; want %q", host, got, err, owner)
				}
			}
		})
	}
	write := func(d decision, want error) *directoryv1.Record {
		t.Helper()
		r, err := w.Write(t.Context(), d)
		if !errors.Is(err, want) {
			t.Fatalf("error %v, want %v", err, want)
		}
		return r
	}
	write(create(tenant("acme-eu", "a", "b"), repetition("one")), nil)
	owners(map[string]ident.TenantID{"a": "acme-eu", "b": "acme-eu", "c": ""})
	write(create(tenant("acme-eu"), nil), errTenantTaken)
	write(create(tenant("other", "c", "b"), nil), errHostTaken)
	owners(map[string]ident.TenantID{"c": ""})
	write(always(tenantRecord(0, tenant("acme-eu", "b", "c"))), nil)
	owners(map[string]ident.TenantID{"a": "", "b": "acme-eu", "c": "acme-eu"})
	write(create(tenant("other", "a"), nil), nil)
	purged := tenant("acme-eu", "b", "c")
	purged.State = tenancyv1.TenantState_TENANT_STATE_PURGED
	write(always(tenantRecord(0, purged)), nil)
	owners(map[string]ident.TenantID{"a": "other", "b": "", "c": ""})
	// Whoever claimed a host last has it; one who gives it up without having it takes it from nobody.
	write(always(tenantRecord(0, tenant("zoo", "z"))), nil)
	write(always(tenantRecord(0, tenant("bank", "z"))), nil)
	write(always(tenantRecord(0, tenant("zoo"))), nil)
	owners(map[string]ident.TenantID{"z": "bank"})
	if r := write(create(tenant("acme-eu"), repetition("one")), nil); r != nil {
		t.Errorf("a repetition wrote %v", r)
	}
	view(t, table, func(v directory.View) {
		got, err := v.Repetition(t.Context(), repetition("one").GetKeyHash())
		if diff := cmp.Diff(repetition("one"), got, protocmp.Transform()); err != nil || diff != "" {
			t.Errorf("repetition (-want +got), %v:\n%s", err, diff)
		}
		record, err := v.TenantRecord(t.Context(), "acme-eu")
		if err != nil || record.GetWseq() != 4 || record.GetRepetition() != nil {
			t.Errorf("record %v, %v; want number 4 without a repetition", record, err)
		}
	})
}

// TestWriterDecidesAgain lets another writer come first while a decision is made: neither its record nor its refusal counts.
func TestWriterDecidesAgain(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]error{"record": nil, "refusal": errTenantTaken} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := openTable(t)
			calls := 0
			r, err := newWriter(table, control).Write(t.Context(), func(ctx context.Context, _ directory.View) (*directoryv1.Record, error) {
				calls++
				if calls > 1 {
					return tenantRecord(0, tenant("late")), nil
				}
				if _, err := newWriter(table, control).Write(ctx, always(tenantRecord(0, tenant("early")))); err != nil {
					return nil, err
				}
				return tenantRecord(0, tenant("lost")), refuse
			})
			if err != nil || calls != 2 || r.GetWseq() != 2 {
				t.Fatalf("record %v, %v after %d decisions; want number 2 after 2", r, err, calls)
			}
			log := readLog(t, table, control)
			if len(log) != 2 || log[0].GetTenant().GetId() != "early" || log[1].GetTenant().GetId() != "late" {
				t.Fatalf("log %v", log)
			}
		})
	}
}

// TestWriterRaces runs 64 writers, each a process of its own as far as the table can tell, in three races at once: for numbers, for
// one host, and for one idempotency key.
func TestWriterRaces(t *testing.T) {
	t.Parallel()
	t.Run("store", func(t *testing.T) { t.Parallel(); race(t, strictTable{openTable(t)}) })
	t.Run("global table", func(t *testing.T) {
		t.Parallel()
		table, err := globaltable.Open(t.Context(), globaltable.Config{
			Region: control, Peers: others(control), Local: openTable(t), Clock: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		race(t, table)
	})
}

func race(t *testing.T, table directory.Table) {
	t.Helper()
	const writers = 64
	var all sync.WaitGroup
	var mu sync.Mutex
	acknowledged := make(map[uint64]string)
	refused, repeated := 0, 0
	for i := range writers {
		all.Go(func() {
			w := newWriter(table, control)
			for _, attempt := range []struct {
				tenant *tenancyv1.Tenant
				rep    *directoryv1.Repetition
			}{
				{tenant(fmt.Sprintf("own-%d", i)), nil},
				{tenant(fmt.Sprintf("wants-%d", i), "one.example"), nil},
				{tenant("same"), repetition("same")},
			} {
				r, err := w.Write(t.Context(), create(attempt.tenant, attempt.rep))
				mu.Lock()
				switch {
				case errors.Is(err, errHostTaken):
					refused++
				case err != nil:
					t.Errorf("writing: %v", err)
				case r == nil:
					repeated++
				default:
					acknowledged[r.GetWseq()] = r.GetTenant().GetId()
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	log := readLog(t, table, control)
	checkGapless(t, log)
	if len(log) != writers+2 || refused != writers-1 || repeated != writers-1 {
		t.Fatalf("%d records, %d refused, %d repeated; want %d, %d, %d", len(log), refused, repeated, writers+2, writers-1, writers-1)
	}
	for _, r := range log {
		if acknowledged[r.GetWseq()] != r.GetTenant().GetId() {
			t.Errorf("record %d is %s, acknowledged as %s", r.GetWseq(), r.GetTenant().GetId(), acknowledged[r.GetWseq()])
		}
	}
}

// TestWriterOneProcess shares one Writer between goroutines, one of which gives up waiting.
func TestWriterOneProcess(t *testing.T) {
	t.Parallel()
	table := openTable(t)
	w := newWriter(table, control)
	_, err := w.Write(t.Context(), func(ctx context.Context, _ directory.View) (*directoryv1.Record, error) {
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := w.Write(gone, always(tenantRecord(0, tenant("gone")))); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting with an ended context: %v", err)
		}
		return tenantRecord(0, tenant("here")), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if log := readLog(t, table, control); len(log) != 1 {
		t.Fatalf("log %v, want one record", log)
	}
}

// TestRepetitionExpires checks that an idempotency key is free again after its time.
func TestRepetitionExpires(t *testing.T) {
	t.Parallel()
	table := openTable(t) // Its clock stands at noon.
	early := directory.NewWriter(directory.WriterConfig{
		Table: table, Region: control, Control: control, Random: rand.Reader,
		Clock: func() time.Time { return noon.Add(-directory.RepetitionTTL) },
	})
	if _, err := early.Write(t.Context(), create(tenant("acme-eu"), repetition("one"))); err != nil {
		t.Fatal(err)
	}
	if r, err := newWriter(table, control).Write(t.Context(), create(tenant("acme-us"), repetition("one"))); err != nil || r == nil {
		t.Fatalf("after a day: %v, %v; want a new record", r, err)
	}
	if r, err := newWriter(table, control).Write(t.Context(), create(tenant("acme-sg"), repetition("one"))); err != nil || r != nil {
		t.Fatalf("within a day: %v, %v; want a repetition", r, err)
	}
}
