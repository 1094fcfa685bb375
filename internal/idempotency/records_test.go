package idempotency_test

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/seal/local"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

const tenant = ident.TenantID("acme-eu")

type region struct {
	table   store.Store
	records *idempotency.Records
	now     time.Time
}

func open(t *testing.T) *region {
	t.Helper()
	r := &region{now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return r.now }
	db, err := pebblestore.OpenMemory(pebblestore.Config{Clock: clock, SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	wrapper, err := local.Open(t.TempDir(), "eu-central-1")
	if err != nil {
		t.Fatal(err)
	}
	ring := seal.NewKeyring(seal.KeyringConfig{
		Region: "eu-central-1", Jurisdiction: "EU", Keys: db.Table("keys"), Wrapper: wrapper, Clock: clock,
	})
	if err := ring.Provision(t.Context(), tenant, 1, []ident.RegionID{"eu-central-1"}); err != nil {
		t.Fatal(err)
	}
	r.table = db.Table("regional")
	r.records = idempotency.New(idempotency.Config{Store: r.table, Sealer: ring, Jurisdiction: "EU", Clock: clock})
	return r
}

func callOf(key, request string) *call.Call {
	return &call.Call{Tenant: tenant, Operation: &call.Operation{
		KeyHash: sha256.Sum256([]byte(key)), RequestHash: sha256.Sum256([]byte(request)),
	}}
}

// put commits an answer as a write does.
func (r *region) put(t *testing.T, c *call.Call, w call.Write, answer string) error {
	t.Helper()
	op, err := r.records.Op(t.Context(), c.Tenant, *c.Operation, w, []byte(answer))
	if err != nil {
		t.Fatal(err)
	}
	return r.table.Commit(context.Background(), store.Commit{Ops: []store.Op{op}})
}

func TestReplay(t *testing.T) {
	t.Parallel()
	r := open(t)
	write := call.Write{Epoch: 3, Lane: 7, Seq: 41}
	if err := r.put(t, callOf("key", "request"), write, "answer"); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		call  *call.Call
		found bool
		want  errorsv1.Reason
	}{
		"the same call":     {callOf("key", "request"), true, 0},
		"another key":       {callOf("key2", "request"), false, 0},
		"another request":   {callOf("key", "request2"), false, errorsv1.Reason_REASON_IDEMPOTENCY_MISMATCH},
		"no key":            {&call.Call{Tenant: tenant}, false, 0},
		"no tenant":         {&call.Call{Operation: callOf("key", "request").Operation}, false, 0},
		"another tenant":    {&call.Call{Tenant: "bank-eu", Operation: callOf("key", "request").Operation}, false, 0},
		"no call whatever":  {nil, false, 0},
		"neither of either": {callOf("", ""), false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, found, err := r.records.Replay(t.Context(), test.call)
			if found != test.found || fault.ReasonOf(err) != test.want || (err != nil && test.want == 0) {
				t.Fatalf("%v, %v", found, err)
			}
			if test.call == nil {
				return
			}
			if test.call.Replayed != found || (test.call.Committed != nil) != found {
				t.Errorf("the call is %+v", test.call)
			}
			if found && (string(answer) != "answer" || cmp.Diff(&write, test.call.Committed) != "") {
				t.Errorf("%q of %+v", answer, test.call.Committed)
			}
		})
	}
}

// A key stands for its first call for 24 hours, and for a new one after.
func TestRecordsExpire(t *testing.T) {
	t.Parallel()
	r := open(t)
	first, second := call.Write{Epoch: 1, Lane: 1, Seq: 1}, call.Write{Epoch: 1, Lane: 2, Seq: 1}
	if err := r.put(t, callOf("key", "request"), first, "first"); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(idempotency.Lifetime - time.Second)
	if err := r.put(t, callOf("key", "request"), second, "second"); err == nil {
		t.Error("a second record within 24 hours")
	}
	if answer, _, err := r.records.Replay(t.Context(), callOf("key", "request")); err != nil || string(answer) != "first" {
		t.Errorf("%q, %v", answer, err)
	}
	r.now = r.now.Add(2 * time.Second)
	if _, found, err := r.records.Replay(t.Context(), callOf("key", "another request")); found || err != nil {
		t.Errorf("after 24 hours: %v, %v", found, err)
	}
	if err := r.put(t, callOf("key", "another request"), second, "second"); err != nil {
		t.Errorf("after 24 hours: %v", err)
	}
}

func TestPartitionsHaveEveryKey(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, p := range idempotency.Partitions(tenant) {
		known[p] = true
	}
	rapid.Check(t, func(t *rapid.T) {
		hash := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))
		key := idempotency.Key(tenant, hash)
		if !known[key.Partition] || key.Sort != string(hash[:]) {
			t.Fatalf("%q is in none of the partitions", key)
		}
	})
}
