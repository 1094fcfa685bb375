package directory_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/directory"
	faults "github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// movingClock is a clock that tests move.
type movingClock struct{ nanos atomic.Int64 }

func (c *movingClock) now() time.Time          { return noon.Add(time.Duration(c.nanos.Load())) }
func (c *movingClock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func newResolver(x *directory.Index, table directory.Table, clock func() time.Time) *directory.Resolver {
	return directory.NewResolver(directory.ResolverConfig{
		Index: x, Table: table, Topology: topo(), HostSuffixes: []string{"localhost", "domicile.example"}, Clock: clock,
	})
}

func mustWrite(t testing.TB, table directory.Table, region ident.RegionID, r *directoryv1.Record) *directoryv1.Record {
	t.Helper()
	written, err := newWriter(table, region).Write(t.Context(), always(r))
	if err != nil {
		t.Fatal(err)
	}
	return written
}

// TestResolverReadsThrough asks for what the follower has not brought yet.
func TestResolverReadsThrough(t *testing.T) {
	t.Parallel()
	table := &countingTable{Table: openTable(t)}
	mustWrite(t, table, control, tenantRecord(0, tenant("acme-eu", "api.acme.example")))
	mustWrite(t, table, control, keyRecord(0, "acme-eu", "k1", false))
	mustWrite(t, table, control, keyRecord(0, "acme-eu", "k2", false))
	mustWrite(t, table, control, operatorKeyRecord(0, "op1"))
	mustWrite(t, table, frankfurt, revocationRecord("", 0, "acme-eu", "k2"))
	r := newResolver(newIndex(), table, clock)
	ctx := t.Context()
	if id, got, ok, err := r.ResolveHost(ctx, "api.acme.example"); id != "acme-eu" || !ok || err != nil || got.Epoch != 1 {
		t.Errorf("host: %q %+v %v %v", id, got, ok, err)
	}
	for _, keyID := range []string{"k1", "k2"} {
		if v, ok, err := r.KeyVerifier(ctx, "acme-eu", keyID); !ok || err != nil || v.Revoked != (keyID == "k2") {
			t.Errorf("key %s: %+v %v %v", keyID, v, ok, err)
		}
	}
	if _, ok, err := r.OperatorKeyVerifier(ctx, "op1"); !ok || err != nil {
		t.Errorf("operator key: %v %v", ok, err)
	}
	if _, ok, err := r.KeyVerifier(ctx, "", "op1"); ok || err != nil {
		t.Errorf("an operator key as a key of no tenant: %v %v", ok, err)
	}
	before := table.gets.Load()
	for host, want := range map[string]ident.TenantID{
		"api.acme.example": "acme-eu", "acme-eu.localhost": "acme-eu", "acme-eu.domicile.example": "acme-eu",
	} {
		if id, _, ok, err := r.ResolveHost(ctx, host); id != want || !ok || err != nil {
			t.Errorf("host %s: %q %v %v", host, id, ok, err)
		}
	}
	if _, ok, err := r.ResolveTenant(ctx, "acme-eu"); !ok || err != nil {
		t.Errorf("tenant: %v %v", ok, err)
	}
	if got := table.gets.Load() - before; got != 0 {
		t.Errorf("%d look-ups for known names, want none", got)
	}
}

// TestResolverImplausible checks that what cannot be a name costs no look-up.
func TestResolverImplausible(t *testing.T) {
	t.Parallel()
	table := &countingTable{Table: openTable(t)}
	r := newResolver(newIndex(), table, clock)
	long := string(make([]byte, 300))
	for _, name := range []string{"", "UPPER", "a/b", "ü", "a b", "a\x00", long} {
		if _, ok, err := r.ResolveTenant(t.Context(), ident.TenantID(name)); ok || err != nil {
			t.Errorf("tenant %q: %v %v", name, ok, err)
		}
		if _, _, ok, err := r.ResolveHost(t.Context(), name); ok || err != nil {
			t.Errorf("host %q: %v %v", name, ok, err)
		}
		if _, ok, err := r.KeyVerifier(t.Context(), ident.TenantID(name), "k1"); ok || err != nil {
			t.Errorf("key of %q: %v %v", name, ok, err)
		}
	}
	if got := table.gets.Load(); got != 0 {
		t.Errorf("%d look-ups, want none", got)
	}
}

// TestResolverUnknownNames asks for 100,000 unknown hosts, each several times: each costs one look-up, until its time is over.
func TestResolverUnknownNames(t *testing.T) {
	t.Parallel()
	table := &countingTable{Table: openTable(t)}
	var c movingClock
	r := newResolver(newIndex(), table, c.now)
	const hosts, askers = 100_000, 2
	var all sync.WaitGroup
	for range askers {
		all.Go(func() {
			for i := range hosts {
				if _, _, ok, err := r.ResolveHost(t.Context(), fmt.Sprintf("h%d.example", i)); ok || err != nil {
					t.Errorf("unknown host: %v %v", ok, err)
					return
				}
			}
		})
	}
	all.Wait()
	if got := table.gets.Load(); got != hosts {
		t.Errorf("%d look-ups for %d names", got, hosts)
	}
	c.advance(directory.DefaultUnknownFor)
	if _, _, ok, err := r.ResolveHost(t.Context(), "h1.example"); ok || err != nil || table.gets.Load() != hosts+1 {
		t.Errorf("after its time: %v %v, %d look-ups more; want one", ok, err, table.gets.Load()-hosts)
	}
}

// TestResolverNameAppears checks that a name is known the moment its record is applied, though it was found unknown just before.
func TestResolverNameAppears(t *testing.T) {
	t.Parallel()
	table := openTable(t)
	x := newIndex()
	r := newResolver(x, table, clock)
	f := newFollower(table, x)
	for _, host := range []string{"acme.example", "acme-eu.localhost"} {
		if _, _, ok, err := r.ResolveHost(t.Context(), host); ok || err != nil {
			t.Fatalf("before: %v %v", ok, err)
		}
	}
	mustWrite(t, table, control, tenantRecord(0, tenant("acme-eu", "acme.example")))
	if err := f.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"acme.example", "acme-eu.localhost"} {
		if id, _, ok, err := r.ResolveHost(t.Context(), host); id != "acme-eu" || !ok || err != nil {
			t.Fatalf("after: %s is %q %v %v", host, id, ok, err)
		}
	}
}

// TestResolverStaleHostItem checks that a host's item whose tenant has not come, or no longer lists the host, resolves to nothing,
// and is not asked for again and again.
func TestResolverStaleHostItem(t *testing.T) {
	t.Parallel()
	source := openTable(t)
	mustWrite(t, source, control, tenantRecord(0, tenant("acme-eu", "acme.example")))
	items := readPartition(t, source, "s/"+string(control)) // In order: the host's item, then the tenant's.
	if len(items) != 2 || items[0].Key.Sort[:2] != "h/" {
		t.Fatalf("state items %v", items)
	}
	table := &countingTable{Table: openTable(t)}
	put(t, table, items[0])
	var c movingClock
	r := newResolver(newIndex(), table, c.now)
	for range 3 {
		if id, _, ok, err := r.ResolveHost(t.Context(), "acme.example"); ok || err != nil {
			t.Fatalf("without the tenant: %q %v %v", id, ok, err)
		}
	}
	if got := table.gets.Load(); got != 2 {
		t.Errorf("%d reads, want one of the host and one of its tenant", got)
	}
	put(t, table, items[1])
	c.advance(directory.DefaultUnknownFor)
	if id, _, ok, err := r.ResolveHost(t.Context(), "acme.example"); id != "acme-eu" || !ok || err != nil {
		t.Errorf("with the tenant: %q %v %v", id, ok, err)
	}
}

// TestResolverFailsStatic takes the table away: known names go on, unknown ones get a typed error, and that is not remembered.
func TestResolverFailsStatic(t *testing.T) {
	t.Parallel()
	table := openTable(t)
	away := &faultyTable{Table: table, crashed: true}
	x := newIndex()
	x.Apply([]*directoryv1.Record{tenantRecord(1, tenant("acme-eu")), keyRecord(2, "acme-eu", "k1", false)})
	for name, r := range map[string]*directory.Resolver{"away": newResolver(x, away, clock), "none": newResolver(x, nil, clock)} {
		if _, ok, err := r.ResolveTenant(t.Context(), "acme-eu"); !ok || err != nil {
			t.Errorf("%s: known tenant: %v %v", name, ok, err)
		}
		if _, ok, err := r.KeyVerifier(t.Context(), "acme-eu", "k1"); !ok || err != nil {
			t.Errorf("%s: known key: %v %v", name, ok, err)
		}
		_, _, errTenant := r.ResolveTenant(t.Context(), "new")
		_, _, _, errHost := r.ResolveHost(t.Context(), "new.example")
		_, _, errKey := r.KeyVerifier(t.Context(), "acme-eu", "new")
		for _, err := range []error{errTenant, errHost, errKey} {
			var refusal *faults.Error
			if !errors.As(err, &refusal) || refusal.Reason != errorsv1.Reason_REASON_REGION_UNAVAILABLE || refusal.RetryAfter == 0 {
				t.Errorf("%s: unknown name: %v, want REGION_UNAVAILABLE with a time", name, err)
			}
		}
	}
	mustWrite(t, table, control, tenantRecord(0, tenant("new")))
	r := newResolver(x, away, clock)
	if _, _, err := r.ResolveTenant(t.Context(), "new"); err == nil {
		t.Error("resolved without a table")
	}
	away.crashed = false
	if _, ok, err := r.ResolveTenant(t.Context(), "new"); !ok || err != nil {
		t.Errorf("with the table back: %v %v", ok, err)
	}
}

// slowTable answers reads only once it is opened, and counts how many wait.
type slowTable struct {
	directory.Table

	open          chan struct{}
	waiting, most atomic.Int64
}

func (s *slowTable) Get(ctx context.Context, key store.Key) (store.Item, error) {
	now := s.waiting.Add(1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	defer s.waiting.Add(-1)
	select {
	case <-s.open:
		return s.Table.Get(ctx, key)
	case <-ctx.Done():
		return store.Item{}, ctx.Err()
	}
}

// TestResolverBoundsLookups floods a table that does not answer: few look-ups run, few names wait, the others are refused, and one
// name is looked up once however many ask.
func TestResolverBoundsLookups(t *testing.T) {
	t.Parallel()
	slow := &slowTable{Table: openTable(t), open: make(chan struct{})}
	mustWrite(t, slow.Table, control, tenantRecord(0, tenant("acme-eu")))
	counting := &countingTable{Table: slow}
	r := directory.NewResolver(directory.ResolverConfig{
		Index: newIndex(), Table: counting, Topology: topo(), Clock: clock, MaxLookups: 3, MaxWaiting: 5, LookupTimeout: time.Hour,
	})
	refused := make(chan error, 100)
	var same, flood sync.WaitGroup
	for range 10 {
		same.Go(func() {
			if _, ok, err := r.ResolveTenant(t.Context(), "acme-eu"); !ok || err != nil {
				t.Errorf("the name that many ask for: %v %v", ok, err)
			}
		})
	}
	for counting.gets.Load() == 0 {
		runtime.Gosched() // Until one of them is at the table, so that its name has its place.
	}
	gone, leave := context.WithCancel(t.Context())
	for i := range 50 {
		flood.Go(func() {
			_, _, err := r.ResolveTenant(gone, ident.TenantID(fmt.Sprintf("t%d", i)))
			refused <- err
		})
	}
	for range 50 - 7 {
		if err := <-refused; !faults.Is(err, errorsv1.Reason_REASON_OVERLOADED) {
			t.Fatalf("beyond the bound: %v, want OVERLOADED", err)
		}
	}
	leave() // The other seven wait; they may leave.
	for range 7 {
		if err := <-refused; !errors.Is(err, context.Canceled) {
			t.Fatalf("having left: %v", err)
		}
	}
	flood.Wait()
	close(slow.open)
	same.Wait()
	if most := slow.most.Load(); most > 3 {
		t.Errorf("%d look-ups at once, want at most 3", most)
	}
}

// TestResolverLookupTimesOut checks, on a clock of its own, that a table that hangs is given up.
func TestResolverLookupTimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newResolver(newIndex(), &slowTable{open: make(chan struct{})}, clock)
		begin := time.Now()
		_, _, err := r.ResolveTenant(t.Context(), "acme-eu")
		if !faults.Is(err, errorsv1.Reason_REASON_REGION_UNAVAILABLE) || time.Since(begin) != directory.DefaultLookupTimeout {
			t.Fatalf("after %v: %v; want REGION_UNAVAILABLE after %v", time.Since(begin), err, directory.DefaultLookupTimeout)
		}
	})
}

// TestResolverKnownNamesDoNotAllocate holds the request path to its promise.
func TestResolverKnownNamesDoNotAllocate(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts what others allocate too.
	x := newIndex()
	x.Apply([]*directoryv1.Record{tenantRecord(1, tenant("acme-eu", "acme.example")), keyRecord(2, "acme-eu", "k1", false)})
	r := newResolver(x, openTable(t), clock)
	ctx := t.Context()
	if allocs := testing.AllocsPerRun(100, func() {
		_, tenantOK, _ := r.ResolveTenant(ctx, "acme-eu")
		_, _, hostOK, _ := r.ResolveHost(ctx, "acme.example")
		_, _, suffixOK, _ := r.ResolveHost(ctx, "acme-eu.localhost")
		_, keyOK, _ := r.KeyVerifier(ctx, "acme-eu", "k1")
		if !tenantOK || !hostOK || !suffixOK || !keyOK {
			t.Fatal("a known name is unknown")
		}
	}); allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

// TestResolverDeleted checks that deleted and purged tenants are known as such, without a look-up.
func TestResolverDeleted(t *testing.T) {
	t.Parallel()
	table := &countingTable{Table: openTable(t)}
	for _, state := range []tenancyv1.TenantState{tenancyv1.TenantState_TENANT_STATE_DELETED, tenancyv1.TenantState_TENANT_STATE_PURGED} {
		x := newIndex()
		gone := tenant("acme-eu", "acme.example")
		gone.State = state
		x.Apply([]*directoryv1.Record{tenantRecord(1, gone)})
		r := newResolver(x, table, clock)
		if got, ok, err := r.ResolveTenant(t.Context(), "acme-eu"); !ok || err != nil || got.State != uint8(state) {
			t.Errorf("%v: %+v %v %v", state, got, ok, err)
		}
	}
	if got := table.gets.Load(); got != 0 {
		t.Errorf("%d look-ups, want none", got)
	}
}
