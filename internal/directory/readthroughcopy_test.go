package directory_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/directory"
	faults "github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// memoryCopy is a Copy of records, or of an error.
type memoryCopy struct {
	records []*directoryv1.Record
	saved   time.Time
	err     error
	loads   atomic.Int64
}

func (m *memoryCopy) Load(_ context.Context, sink directory.Sink) (directory.Loaded, error) {
	m.loads.Add(1)
	if m.err != nil {
		return directory.Loaded{}, m.err
	}
	sink.Apply(slices.Clone(m.records))
	return directory.Loaded{Records: len(m.records), Saved: m.saved}, nil
}

func (m *memoryCopy) Save(context.Context, []*directoryv1.Position, iter.Seq[*directoryv1.Record]) error {
	return errors.New("nobody saves")
}

// TestReadThroughCopy takes the table away from a process that knows little: the last good copy says the rest, and what is newer in
// it than what was read.
func TestReadThroughCopy(t *testing.T) {
	t.Parallel()
	table := &lostTable{Table: openTable(t)}
	mustWrite(t, table, control, in(frankfurt, "acme-eu", "acme.example"))
	mustWrite(t, table, control, keyRecord(0, "acme-eu", "k1", false))
	mustWrite(t, table, control, in(frankfurt, "bank", "bank.example"))
	var c movingClock
	moved, stale := in(dublin, "acme-eu"), in(singapore, "bank", "bank.example")
	moved.Wseq, stale.Wseq = 9, 1
	kept := &memoryCopy{saved: noon.Add(time.Minute), records: []*directoryv1.Record{
		moved, stale, tenantRecord(7, tenant("other", "other.example", "acme.example")),
		keyRecord(2, "acme-eu", "k1", false), keyRecord(3, "acme-eu", "k2", false), operatorKeyRecord(4, "op1"),
		revocationRecord(frankfurt, 1, "acme-eu", "k1"),
	}}
	r := newReadThrough(table, kept, c.now)
	if h, b, k := home(t, r, "acme-eu"), home(t, r, "bank"), revoked(t, r, "acme-eu", "k1"); h != frankfurt || b != frankfurt || k != "good" {
		t.Fatalf("homes %s and %s, key %s", h, b, k)
	}
	owner(t, r, "acme.example")
	table.away.Store(true)
	c.advance(2 * time.Minute)
	if got := home(t, r, "acme-eu"); got != frankfurt || kept.loads.Load() != 0 {
		t.Errorf("known a moment ago: %s, %d loads; want %s and no load", got, kept.loads.Load(), frankfurt)
	}
	for host, want := range map[string]ident.TenantID{"other.example": "other", "acme.example": "other", "bank.example": "bank", "other.localhost": "other"} {
		if got := owner(t, r, host); got != want {
			t.Errorf("host %s is %q's, want %q's", host, got, want)
		}
	}
	if h, b := home(t, r, "acme-eu"), home(t, r, "bank"); h != dublin || b != frankfurt {
		t.Errorf("homes %s and %s; want the newer of copy and reading, %s and %s", h, b, dublin, frankfurt)
	}
	for keyID, want := range map[string]string{"k1": "revoked", "k2": "good"} {
		if got := revoked(t, r, "acme-eu", keyID); got != want {
			t.Errorf("key %s is %s, want %s", keyID, got, want)
		}
	}
	if _, ok, err := r.OperatorKeyVerifier(t.Context(), "op1"); !ok || err != nil {
		t.Errorf("operator key: %v %v", ok, err)
	}
	if _, _, err := r.ResolveTenant(t.Context(), "nobody"); !faults.Is(err, errorsv1.Reason_REASON_REGION_UNAVAILABLE) {
		t.Errorf("a name in neither: %v, want REGION_UNAVAILABLE", err)
	}
	if got := kept.loads.Load(); got != 1 {
		t.Errorf("%d loads, want one", got)
	}
}

// TestReadThroughStartsFromCopy starts a process while the table is away. It knows what the copy says, and finds out when the table is
// back although it has read nothing itself.
func TestReadThroughStartsFromCopy(t *testing.T) {
	t.Parallel()
	table := &lostTable{Table: openTable(t)}
	table.away.Store(true)
	mustWrite(t, table.Table, control, in(dublin, "acme-eu"))
	var c movingClock
	r := newReadThrough(table, &memoryCopy{records: []*directoryv1.Record{tenantRecord(1, tenant("acme-eu"))}}, c.now)
	for range 10 {
		if got := home(t, r, "acme-eu"); got != frankfurt {
			t.Fatalf("from the copy: %q, want %s", got, frankfurt)
		}
	}
	if got := table.gets.Load(); got != 1 {
		t.Errorf("%d reads of a table that is away, want one", got)
	}
	table.away.Store(false)
	c.advance(time.Second)
	if got := home(t, r, "acme-eu"); got != dublin {
		t.Errorf("with the table back: %q, want %s", got, dublin)
	}
}

// TestReadThroughNoCopy checks that a copy that cannot be used makes no name unknown, and is not loaded for each call.
func TestReadThroughNoCopy(t *testing.T) {
	t.Parallel()
	table := &lostTable{Table: openTable(t)}
	mustWrite(t, table, control, in(frankfurt, "acme-eu"))
	var c movingClock
	kept := &memoryCopy{err: directory.ErrTornFile}
	r := newReadThrough(table, kept, c.now)
	home(t, r, "acme-eu")
	table.away.Store(true)
	c.advance(time.Hour)
	for range 10 {
		if got := home(t, r, "acme-eu"); got != frankfurt {
			t.Errorf("home %q, want the last known", got)
		}
		if _, _, err := r.ResolveTenant(t.Context(), "other"); !faults.Is(err, errorsv1.Reason_REASON_REGION_UNAVAILABLE) {
			t.Errorf("unknown: %v", err)
		}
	}
	if got := kept.loads.Load(); got != 1 {
		t.Errorf("%d loads in a moment, want one", got)
	}
	kept.err, kept.records = nil, []*directoryv1.Record{tenantRecord(7, tenant("other"))}
	c.advance(time.Minute)
	if got := home(t, r, "other"); got != frankfurt {
		t.Errorf("once the copy is good: %q", got)
	}
}
