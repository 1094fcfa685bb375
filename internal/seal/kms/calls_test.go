package kms_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/seal/kms"
	"github.com/domicile-api/domicile/internal/store"
)

// pair is a home and its standby, as two deployments of processes that share nothing but KMS and a way to deliver.
type pair struct {
	kms    *fakeKMS
	keys   map[ident.RegionID]*fakeKey
	tables map[ident.RegionID]store.Store
	// recipient is how the home wraps for the standby.
	recipient *kms.Recipient
	rings     map[ident.RegionID]*seal.Keyring
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{
		kms: newFakeKMS(), keys: map[ident.RegionID]*fakeKey{}, tables: map[ident.RegionID]store.Store{}, rings: map[ident.RegionID]*seal.Keyring{},
	}
	tables := newTables(t)
	for _, id := range []ident.RegionID{home, standby} {
		p.keys[id], p.tables[id] = p.kms.add(id, "alias/domicile-tenants"), tables(t)
		p.start(t, id)
	}
	recipient, err := kms.NewRecipient(p.kms.config(standby, "alias/domicile-tenants"))
	if err != nil {
		t.Fatal(err)
	}
	p.recipient = recipient
	return p
}

// start starts a process of a region, with nothing in memory.
func (p *pair) start(t *testing.T, id ident.RegionID) *seal.Keyring {
	t.Helper()
	p.rings[id] = seal.NewKeyring(seal.KeyringConfig{
		Region: id, Jurisdiction: "EU", Keys: p.tables[id], Clock: time.Now, Courier: p, Wrapper: wrapper(t, p.kms.config(id, "alias/domicile-tenants")),
	})
	return p.rings[id]
}

// WrapFor implements seal.Courier as a home does on AWS: it asks the other region's KMS itself.
func (p *pair) WrapFor(ctx context.Context, _ ident.RegionID, tenant ident.TenantID, keyset []byte) ([]byte, error) {
	return p.recipient.Wrap(ctx, tenant, keyset)
}

// Deliver implements seal.Courier.
func (p *pair) Deliver(ctx context.Context, to ident.RegionID, d seal.Delivery) error {
	return p.rings[to].Accept(ctx, d)
}

const tenant ident.TenantID = "acme-eu"

// sealed is a tenant's first value, sealed at home.
func (p *pair) sealed(t *testing.T) (seal.Bind, []byte) {
	t.Helper()
	if err := p.rings[home].Provision(t.Context(), tenant, 1, []ident.RegionID{home, standby}); err != nil {
		t.Fatal(err)
	}
	bind := seal.Bind{Tenant: tenant, Type: "domicile.profile.v1.User", ID: "usr_1"}
	sealed, err := p.rings[home].Seal(t.Context(), bind, []byte("canary.person@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	return bind, sealed
}

func wantOpens(t *testing.T, ring *seal.Keyring, bind seal.Bind, sealed []byte) {
	t.Helper()
	plain, err := ring.Open(t.Context(), bind, sealed)
	if err != nil || string(plain) != "canary.person@example.com" {
		t.Errorf("Open = %q, %v", plain, err)
	}
}

// A cold read costs one Decrypt, of many at once too; a warm one costs nothing.
func TestCallsOfARead(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	bind, sealed := p.sealed(t)
	ring := p.start(t, home)
	before := p.kms.total()

	// The one Decrypt waits until all readers have asked: a slower one would find a warm cache.
	asked := make(chan struct{})
	p.kms.intercept = func(string, string) (*http.Response, error) {
		<-asked
		return nil, nil //nolint:nilnil // KMS answers
	}
	const readers = 50
	var started, done sync.WaitGroup
	started.Add(readers)
	for range readers {
		done.Go(func() {
			started.Done()
			wantOpens(t, ring, bind, sealed)
		})
	}
	started.Wait()
	close(asked)
	done.Wait()
	if n := p.kms.total() - before; n != 1 || p.kms.count(home, "Decrypt") == 0 {
		t.Errorf("%d cold reads at once make %d calls: %v", readers, n, p.kms.calls)
	}
	before = p.kms.total()
	for range 100 {
		wantOpens(t, ring, bind, sealed)
		if _, err := ring.Seal(t.Context(), bind, []byte("again")); err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Hash(t.Context(), tenant, "p", nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.kms.total() - before; n != 0 {
		t.Errorf("warm reads and writes make %d calls", n)
	}
}

// What the home has sealed opens in the standby when the home's key is beyond use, and the standby goes on from there: a lost
// region's key is not needed.
func TestStandbyWithoutTheHomesKey(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"DisabledException", "AccessDeniedException", "KMSInvalidStateException"} {
		p := newPair(t)
		bind, sealed := p.sealed(t)
		p.kms.refuse(p.keys[home], code, "")
		delete(p.tables, home)

		ring := p.start(t, standby)
		wantOpens(t, ring, bind, sealed)
		if err := ring.Provision(t.Context(), tenant, 2, []ident.RegionID{standby}); err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Rotate(t.Context(), tenant, 2, []ident.RegionID{standby}); err != nil {
			t.Fatal(err)
		}
		fresh, err := ring.Seal(t.Context(), bind, []byte("canary.person@example.com"))
		if err != nil {
			t.Fatal(err)
		}
		wantOpens(t, p.start(t, standby), bind, fresh)
	}
}

// A home whose key is beyond use opens nothing, from nowhere, and makes no other key.
func TestFailsClosed(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	bind, sealed := p.sealed(t)
	p.kms.refuse(p.keys[home], "DisabledException", "")
	ring := p.start(t, home)
	abroad := p.kms.count(standby, "Decrypt")
	before, err := p.tables[home].Query(t.Context(), store.Query{Partition: string(tenant)})
	if err != nil {
		t.Fatal(err)
	}
	wantKeyError := func(what string, err error) {
		t.Helper()
		if got, ok := errors.AsType[*kms.KeyError](err); !ok || got.Reason != kms.Disabled {
			t.Errorf("%s: %v", what, err)
		}
	}
	plain, err := ring.Open(t.Context(), bind, sealed)
	if plain != nil {
		t.Errorf("opens as %q", plain)
	}
	wantKeyError("Open", err)
	_, err = ring.Seal(t.Context(), bind, []byte("more"))
	wantKeyError("Seal", err)
	_, err = ring.Hash(t.Context(), tenant, "p", nil)
	wantKeyError("Hash", err)
	wantKeyError("Provision", ring.Provision(t.Context(), tenant, 1, []ident.RegionID{home, standby}))
	_, err = ring.Rotate(t.Context(), tenant, 1, []ident.RegionID{home, standby})
	wantKeyError("Rotate", err)
	wantKeyError("Provision of another", ring.Provision(t.Context(), "other-eu", 1, []ident.RegionID{home, standby}))
	if n := p.kms.count(standby, "Decrypt"); n != abroad {
		t.Errorf("the standby's key was asked %d times", n-abroad)
	}
	after, err := p.tables[home].Query(t.Context(), store.Query{Partition: string(tenant)})
	if err != nil || len(after.Items) != len(before.Items) {
		t.Fatalf("the keys table has %d items, had %d: %v", len(after.Items), len(before.Items), err)
	}
	for i := range after.Items {
		if string(after.Items[i].Value) != string(before.Items[i].Value) {
			t.Errorf("item %q was changed", after.Items[i].Key.Sort)
		}
	}
	p.kms.refuse(p.keys[home], "", "")
	wantOpens(t, ring, bind, sealed)
}

// What was purged does not open again, though the KMS key is as it was.
func TestPurge(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	bind, sealed := p.sealed(t)
	for _, ring := range p.rings {
		if err := ring.Purge(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
	}
	calls := p.kms.total()
	for _, id := range []ident.RegionID{home, standby} {
		if _, err := p.start(t, id).Open(t.Context(), bind, sealed); !errors.Is(err, seal.ErrPurged) {
			t.Errorf("in %s: %v", id, err)
		}
	}
	if p.kms.total() != calls {
		t.Error("the KMS key is asked for a tenant that has no wrapped key")
	}
}
