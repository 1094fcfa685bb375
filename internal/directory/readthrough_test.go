package directory_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/directory"
	faults "github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// A ReadThrough finds verifiers as a Resolver does.
var (
	_ directory.Verifiers = (*directory.ReadThrough)(nil)
	_ directory.Verifiers = (*directory.Resolver)(nil)
)

func newReadThrough(table directory.Table, kept directory.Copy, clock func() time.Time) *directory.ReadThrough {
	return directory.NewReadThrough(directory.ReadThroughConfig{
		Table: table, Topology: topo(), HostSuffixes: []string{"localhost"}, Copy: kept, Clock: clock,
	})
}

// home returns where a tenant lives, "" if it is not known.
func home(t testing.TB, r *directory.ReadThrough, id ident.TenantID) ident.RegionID {
	t.Helper()
	tenant, ok, err := r.ResolveTenant(t.Context(), id)
	if err != nil {
		t.Fatalf("tenant %s: %v", id, err)
	}
	if !ok {
		return ""
	}
	return topo().ID(tenant.Home)
}

func owner(t testing.TB, r *directory.ReadThrough, host string) ident.TenantID {
	t.Helper()
	id, _, ok, err := r.ResolveHost(t.Context(), host)
	if err != nil {
		t.Fatalf("host %s: %v", host, err)
	}
	if !ok {
		return ""
	}
	return id
}

// revoked tells what is known of a key: "unknown", "good" or "revoked".
func revoked(t testing.TB, r *directory.ReadThrough, id ident.TenantID, keyID string) string {
	t.Helper()
	v, ok, err := r.KeyVerifier(t.Context(), id, keyID)
	switch {
	case err != nil:
		t.Fatalf("key %s of %s: %v", keyID, id, err)
		return ""
	case !ok:
		return "unknown"
	case v.Revoked:
		return "revoked"
	default:
		return "good"
	}
}

func in(region ident.RegionID, id string, hosts ...string) *directoryv1.Record {
	t := tenant(id, hosts...)
	t.Home = string(region)
	return tenantRecord(0, t)
}

// TestReadThrough asks for all kinds of name, and again: what was read a moment ago costs nothing.
func TestReadThrough(t *testing.T) {
	t.Parallel()
	table := &countingTable{Table: openTable(t)}
	mustWrite(t, table, control, in(frankfurt, "acme-eu", "api.acme.example"))
	for _, keyID := range []string{"k1", "k2", "k3"} {
		mustWrite(t, table, control, keyRecord(0, "acme-eu", keyID, keyID == "k3"))
	}
	mustWrite(t, table, control, operatorKeyRecord(0, "op1"))
	mustWrite(t, table, frankfurt, revocationRecord("", 0, "acme-eu", "k2"))
	r := newReadThrough(table, nil, clock)
	check := func() {
		t.Helper()
		for host, want := range map[string]ident.TenantID{
			"api.acme.example": "acme-eu", "acme-eu.localhost": "acme-eu", "other.example": "", "other.localhost": "", "UPPER": "",
		} {
			if got := owner(t, r, host); got != want {
				t.Errorf("host %s is %q's, want %q's", host, got, want)
			}
		}
		for id, want := range map[ident.TenantID]ident.RegionID{"acme-eu": frankfurt, "other": "", "UPPER": ""} {
			if got := home(t, r, id); got != want {
				t.Errorf("%s lives in %q, want %q", id, got, want)
			}
		}
		for keyID, want := range map[string]string{"k1": "good", "k2": "revoked", "k3": "revoked", "k4": "unknown", "a/b": "unknown"} {
			if got := revoked(t, r, "acme-eu", keyID); got != want {
				t.Errorf("key %s is %s, want %s", keyID, got, want)
			}
		}
		for _, id := range []ident.TenantID{"other", ""} {
			if got := revoked(t, r, id, "k1"); got != "unknown" {
				t.Errorf("key of %q is %s", id, got)
			}
		}
		for keyID, want := range map[string]bool{"op1": true, "op2": false, "a/b": false} {
			if _, ok, err := r.OperatorKeyVerifier(t.Context(), keyID); ok != want || err != nil {
				t.Errorf("operator key %s: %v %v", keyID, ok, err)
			}
		}
	}
	check()
	before := table.gets.Load()
	check()
	if got := table.gets.Load() - before; got != 0 {
		t.Errorf("%d reads the second time, want none", got)
	}
	checker := directory.NewCredentials(directory.CredentialsConfig{Resolver: r, Clock: clock})
	if checker == nil {
		t.Error("no credentials are checked with it")
	}
}

// TestReadThroughAges moves a tenant and a host and revokes keys: it shows at the age that is allowed and not after.
func TestReadThroughAges(t *testing.T) {
	t.Parallel()
	table := openTable(t)
	mustWrite(t, table, control, in(frankfurt, "acme-eu", "acme.example"))
	mustWrite(t, table, control, keyRecord(0, "acme-eu", "k1", false))
	mustWrite(t, table, control, keyRecord(0, "acme-eu", "k2", false))
	var c movingClock
	r := newReadThrough(table, nil, c.now)
	shows := func(wantHome ident.RegionID, wantOwner ident.TenantID, k1, k2 string) {
		t.Helper()
		gotHome, gotOwner, got1, got2 := home(t, r, "acme-eu"), owner(t, r, "acme.example"), revoked(t, r, "acme-eu", "k1"), revoked(t, r, "acme-eu", "k2")
		if gotHome != wantHome || gotOwner != wantOwner || got1 != k1 || got2 != k2 {
			t.Errorf("at %v: home %s, owner %s, keys %s and %s; want %s, %s, %s, %s",
				c.now().Sub(noon), gotHome, gotOwner, got1, got2, wantHome, wantOwner, k1, k2)
		}
	}
	shows(frankfurt, "acme-eu", "good", "good")
	mustWrite(t, table, control, in(dublin, "acme-eu"))
	mustWrite(t, table, control, in(singapore, "other", "acme.example"))
	mustWrite(t, table, control, keyRecord(0, "acme-eu", "k1", true))
	mustWrite(t, table, dublin, revocationRecord("", 0, "acme-eu", "k2")) // By the new home.
	c.advance(directory.DefaultMaxAge - 1)
	shows(frankfurt, "acme-eu", "good", "good")
	c.advance(1)
	shows(dublin, "other", "revoked", "revoked")
	// A tenant that is not there any more is forgotten, not remembered from before.
	if err := table.Commit(t.Context(), store.Commit{Ops: []store.Op{{
		Kind: store.Delete, Item: store.Item{Key: store.Key{Partition: "s/" + string(control), Sort: "t/acme-eu"}},
	}}}); err != nil {
		t.Fatal(err)
	}
	c.advance(directory.DefaultMaxAge)
	if got := home(t, r, "acme-eu"); got != "" {
		t.Errorf("a tenant that is gone lives in %s", got)
	}
	// A clock that was set back makes nothing true for longer.
	mustWrite(t, table, control, in(frankfurt, "other"))
	c.advance(-time.Hour)
	if got := home(t, r, "other"); got != frankfurt {
		t.Errorf("after the clock was set back: %s, want %s", got, frankfurt)
	}
}

// heldTable holds the next read of the table, answered or not, until it is let go.
type heldTable struct {
	directory.Table

	hold, held chan struct{}
	fail       bool
}

func (h *heldTable) Get(ctx context.Context, key store.Key) (store.Item, error) {
	item, err := h.Table.Get(ctx, key)
	if hold := h.hold; hold != nil {
		h.hold = nil
		close(h.held)
		<-hold
		if h.fail {
			return store.Item{}, errInjected
		}
	}
	return item, err
}

// TestReadThroughFrozen freezes the process while a look-up is on its way, for ten minutes. When it thaws, the look-up's answer, or
// its failure, is as old, and does not count for a call that came since.
func TestReadThroughFrozen(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]bool{"answer": false, "failure": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inner := openTable(t)
			mustWrite(t, inner, control, in(frankfurt, "acme-eu"))
			hold := make(chan struct{})
			table := &heldTable{Table: inner, hold: hold, held: make(chan struct{}), fail: fail}
			var c movingClock
			r := newReadThrough(table, nil, c.now)
			var first sync.WaitGroup
			first.Go(func() {
				if got := home(t, r, "acme-eu"); got != dublin {
					t.Errorf("the call that was frozen: %s, want %s", got, dublin)
				}
			})
			<-table.held
			c.advance(10 * time.Minute)
			mustWrite(t, inner, control, in(dublin, "acme-eu"))
			close(hold)
			if got := home(t, r, "acme-eu"); got != dublin {
				t.Errorf("a call after the thaw: %s, want %s", got, dublin)
			}
			first.Wait()
		})
	}
}

// TestReadThroughBounded asks for more tenants than are remembered: those asked for last cost no read.
func TestReadThroughBounded(t *testing.T) {
	t.Parallel()
	table := &countingTable{Table: openTable(t)}
	const tenants, remembered = 50, 10
	for i := range tenants {
		mustWrite(t, table, control, in(frankfurt, fmt.Sprintf("t%d", i)))
	}
	r := directory.NewReadThrough(directory.ReadThroughConfig{Table: table, Topology: topo(), Clock: clock, MaxNames: remembered})
	ask := func(from, to int) int64 {
		t.Helper()
		before := table.gets.Load()
		for i := from; i < to; i++ {
			if got := home(t, r, ident.TenantID(fmt.Sprintf("t%d", i))); got != frankfurt {
				t.Errorf("t%d lives in %q", i, got)
			}
		}
		return table.gets.Load() - before
	}
	if got := ask(0, tenants); got != tenants {
		t.Errorf("%d reads for %d tenants", got, tenants)
	}
	if got := ask(tenants-remembered, tenants); got != 0 {
		t.Errorf("%d reads for those asked for last, want none", got)
	}
	if got := ask(0, tenants-remembered); got != tenants-remembered {
		t.Errorf("%d reads for the %d that are forgotten", got, tenants-remembered)
	}
	// One that is asked for all the time stays, whatever else comes.
	ask(0, 1)
	var again int64
	for i := 1; i < tenants; i++ {
		ask(i, i+1)
		again += ask(0, 1)
	}
	if again != 0 {
		t.Errorf("%d reads for the one that is asked for all the time, want none", again)
	}
}

// TestReadThroughStaleHostItem checks that a host whose item has come, and its tenant has not or no longer lists it, is nobody's.
func TestReadThroughStaleHostItem(t *testing.T) {
	t.Parallel()
	source, table := openTable(t), openTable(t)
	mustWrite(t, source, control, tenantRecord(0, tenant("acme-eu", "acme.example")))
	items := readPartition(t, source, "s/"+string(control)) // In order: the host's item, then the tenant's.
	put(t, table, items[0])
	var c movingClock
	r := newReadThrough(table, nil, c.now)
	if got := owner(t, r, "acme.example"); got != "" {
		t.Errorf("without the tenant the host is %s's", got)
	}
	put(t, table, items[1])
	c.advance(directory.DefaultUnknownFor)
	if got := owner(t, r, "acme.example"); got != "acme-eu" {
		t.Errorf("with the tenant the host is %q's", got)
	}
	mustWrite(t, source, control, tenantRecord(0, tenant("acme-eu")))
	put(t, table, readPartition(t, source, "s/"+string(control))[1]) // The tenant's new item, before the host's.
	c.advance(directory.DefaultMaxAge)
	if got := owner(t, r, "acme.example"); got != "" {
		t.Errorf("the tenant does not list the host, and it is %s's", got)
	}
}

// TestReadThroughCollapses asks for one tenant from many sides while the table is slow: it is read once. Unknown names are too, and
// then not again for a while.
func TestReadThroughCollapses(t *testing.T) {
	t.Parallel()
	slow := &slowTable{Table: openTable(t), open: make(chan struct{})}
	mustWrite(t, slow.Table, control, in(frankfurt, "acme-eu"))
	table := &countingTable{Table: slow}
	var c movingClock
	r := newReadThrough(table, nil, c.now)
	var all sync.WaitGroup
	var asked atomic.Int64
	for range 100 {
		all.Go(func() {
			asked.Add(1)
			if got := home(t, r, "acme-eu"); got != frankfurt {
				t.Errorf("home %q", got)
			}
		})
	}
	close(slow.open)
	all.Wait()
	if got := table.gets.Load(); got != 1 || asked.Load() != 100 {
		t.Errorf("%d reads, want one", got)
	}
	before := table.gets.Load()
	for range 10 {
		if got := owner(t, r, "unknown.example"); got != "" {
			t.Errorf("an unknown host is %s's", got)
		}
	}
	if got := table.gets.Load() - before; got != 1 {
		t.Errorf("%d reads for an unknown name, want one", got)
	}
	c.advance(directory.DefaultUnknownFor)
	if owner(t, r, "unknown.example"); table.gets.Load()-before != 2 {
		t.Errorf("%d reads after the name's time, want one more", table.gets.Load()-before)
	}
}

// lostTable can be taken away, and hangs then if told to.
type lostTable struct {
	directory.Table

	away, hangs atomic.Bool
	gets        atomic.Int64
}

func (l *lostTable) Get(ctx context.Context, key store.Key) (store.Item, error) {
	l.gets.Add(1)
	switch {
	case l.hangs.Load():
		<-ctx.Done()
		return store.Item{}, ctx.Err()
	case l.away.Load():
		return store.Item{}, errInjected
	}
	return l.Table.Get(ctx, key)
}

// TestReadThroughTableAway takes the table away: what is known goes on, for as long as it takes and almost without a read; of what
// is not, nothing can be said. When the table is back, that is found out within a second.
func TestReadThroughTableAway(t *testing.T) {
	t.Parallel()
	table := &lostTable{Table: openTable(t)}
	mustWrite(t, table, control, in(frankfurt, "acme-eu", "acme.example"))
	mustWrite(t, table, control, keyRecord(0, "acme-eu", "k1", false))
	mustWrite(t, table, control, in(frankfurt, "other"))
	var c movingClock
	r := newReadThrough(table, nil, c.now)
	known := func() {
		t.Helper()
		if h, o, k := home(t, r, "acme-eu"), owner(t, r, "acme.example"), revoked(t, r, "acme-eu", "k1"); h != frankfurt || o != "acme-eu" || k != "good" {
			t.Errorf("home %s, owner %s, key %s", h, o, k)
		}
	}
	known()
	table.away.Store(true)
	c.advance(time.Hour)
	before := table.gets.Load()
	for range 100 {
		known()
	}
	if got := table.gets.Load() - before; got != 1 {
		t.Errorf("%d reads of a table that is away in a moment, want one", got)
	}
	_, _, err := r.ResolveTenant(t.Context(), "other")
	if refusal, ok := errors.AsType[*faults.Error](err); !ok || refusal.Reason != errorsv1.Reason_REASON_REGION_UNAVAILABLE || refusal.RetryAfter == 0 {
		t.Errorf("a tenant that was not asked for: %v, want REGION_UNAVAILABLE with a time", err)
	}
	mustWrite(t, table.Table, control, in(dublin, "acme-eu", "acme.example"))
	table.away.Store(false)
	c.advance(time.Second)
	if got := home(t, r, "acme-eu"); got != dublin {
		t.Errorf("with the table back: %s, want %s", got, dublin)
	}
	if got := home(t, r, "other"); got != frankfurt {
		t.Errorf("with the table back: %s, want %s", got, frankfurt)
	}
}

// TestReadThroughTableHangs checks, on a clock of its own, that a table that does not answer holds one call up and no other.
func TestReadThroughTableHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := &lostTable{Table: openTable(t)}
		mustWrite(t, table, control, in(frankfurt, "acme-eu"))
		r := newReadThrough(table, nil, time.Now)
		if got := home(t, r, "acme-eu"); got != frankfurt {
			t.Fatalf("home %q", got)
		}
		table.hangs.Store(true)
		time.Sleep(time.Minute) // Of the bubble's clock.
		for i, want := range []time.Duration{directory.DefaultLookupTimeout, 0, 0} {
			begin := time.Now()
			if got := home(t, r, "acme-eu"); got != frankfurt || time.Since(begin) != want {
				t.Errorf("call %d: %q after %v; want %s after %v", i, got, time.Since(begin), frankfurt, want)
			}
		}
		// While one call tries again, the others go on.
		time.Sleep(time.Second)
		var trying sync.WaitGroup
		trying.Go(func() { home(t, r, "acme-eu") })
		synctest.Wait()
		begin := time.Now()
		if got := home(t, r, "acme-eu"); got != frankfurt || time.Since(begin) != 0 {
			t.Errorf("beside a try: %q after %v", got, time.Since(begin))
		}
		trying.Wait()
	})
}

// TestReadThroughCallerGone checks that a caller who leaves gets its own error, and that the others are answered.
func TestReadThroughCallerGone(t *testing.T) {
	t.Parallel()
	slow := &slowTable{Table: openTable(t), open: make(chan struct{})}
	mustWrite(t, slow.Table, control, in(frankfurt, "acme-eu"))
	r := newReadThrough(slow, nil, clock)
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, _, err := r.ResolveTenant(gone, "acme-eu"); !errors.Is(err, context.Canceled) {
		t.Errorf("having left: %v", err)
	}
	close(slow.open)
	if got := home(t, r, "acme-eu"); got != frankfurt {
		t.Errorf("home %q", got)
	}
}
