package sealtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

// testNotReady: nothing is sealed before every lawful region holds the key, and a later call goes on.
func testNotReady(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	ring, tenant := w.start(home), w.tenant()
	_, err := trySeal(t.Context(), ring, tenant)
	wantError(t, err, seal.ErrNoKey)

	away := errors.New("the standby does not answer")
	cut := w.start(home, func(c *seal.KeyringConfig) { c.Courier = unreachable{c.Courier, standby, away} })
	for range 2 {
		wantError(t, cut.Provision(t.Context(), tenant, 1, lawful()), away)
		_, err = trySeal(t.Context(), cut, tenant)
		wantError(t, err, seal.ErrNotReady)
		wantError(t, err, seal.ErrNoKey)
		_, err = cut.Hash(t.Context(), tenant, "p", []byte("v"))
		wantError(t, err, seal.ErrNotReady)
		_, err = cut.Rotate(t.Context(), tenant, 1, lawful())
		wantError(t, err, seal.ErrNotReady)
		// The third region holds the key, and has not used it either.
		_, err = trySeal(t.Context(), w.start(third), tenant)
		wantError(t, err, seal.ErrNotReady)
	}
	// The standby's process knows that it has no key, until it is delivered.
	other := w.start(standby)
	_, err = trySeal(t.Context(), other, tenant)
	wantError(t, err, seal.ErrNoKey)
	if err := ring.Provision(t.Context(), tenant, 1, lawful()); err != nil {
		t.Fatalf("with the standby back: %v", err)
	}
	v := sealValue(t, t.Context(), ring, tenant)
	wantOpens(t, t.Context(), other, v)

	alone := seal.NewKeyring(seal.KeyringConfig{Region: home, Keys: f.NewKeys(t), Wrapper: w.regions[home].wrapper, Clock: w.clock})
	if err := alone.Provision(t.Context(), tenant, 1, lawful()); err == nil {
		t.Error("Provision succeeds without a way to the other regions")
	}
	if err := alone.Provision(t.Context(), tenant, 1, []ident.RegionID{home, home, ident.NoRegion}); err != nil {
		t.Errorf("Provision for one region alone: %v", err)
	}
}

type unreachable struct {
	seal.Courier

	region ident.RegionID
	err    error
}

func (u unreachable) Deliver(ctx context.Context, to ident.RegionID, d seal.Delivery) error {
	if to == u.region {
		return u.err
	}
	return u.Courier.Deliver(ctx, to, d)
}

// testStandbyAlone: a lost home's table and key are not needed to open, to seal and to rotate at the standby.
func testStandbyAlone(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	ring, tenant := w.provisioned(t)
	values := append(make([]value, 0, 4), sealValue(t, t.Context(), ring, tenant))
	if _, err := ring.Rotate(t.Context(), tenant, 1, lawful()); err != nil {
		t.Fatal(err)
	}
	values = append(values, sealValue(t, t.Context(), ring, tenant))
	calls := w.regions[home].wrapper.unwraps.Load() + w.regions[home].wrapper.wraps.Load()

	gone := errors.New("the home is lost")
	promoted := w.start(standby, func(c *seal.KeyringConfig) { c.Courier = unreachable{c.Courier, home, gone} })
	values = append(values, sealValue(t, t.Context(), promoted, tenant))
	if err := promoted.Provision(t.Context(), tenant, 2, survivors()); err != nil {
		t.Fatal(err)
	}
	if generation, err := promoted.Rotate(t.Context(), tenant, 2, survivors()); err != nil || generation != 3 {
		t.Fatalf("Rotate = %d, %v", generation, err)
	}
	values = append(values, sealValue(t, t.Context(), promoted, tenant))
	for _, v := range values {
		wantOpens(t, t.Context(), w.start(standby), v)
		wantOpens(t, t.Context(), w.start(third), v)
	}
	if now := w.regions[home].wrapper.unwraps.Load() + w.regions[home].wrapper.wraps.Load(); now != calls {
		t.Errorf("the lost home's key was called %d times", now-calls)
	}
}

// testNewRegion: a region that becomes lawful later gets all generations.
func testNewRegion(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	ring, tenant := w.start(home), w.tenant()
	if err := ring.Provision(t.Context(), tenant, 1, []ident.RegionID{home}); err != nil {
		t.Fatal(err)
	}
	v := sealValue(t, t.Context(), ring, tenant)
	if _, err := w.start(standby).Open(t.Context(), v.bind, v.sealed); !errors.Is(err, seal.ErrNoKey) {
		t.Fatalf("Open in a region that is not lawful: %v", err)
	}
	if _, err := ring.Rotate(t.Context(), tenant, 1, []ident.RegionID{home}); err != nil {
		t.Fatal(err)
	}
	if err := ring.Provision(t.Context(), tenant, 1, lawful()); err != nil {
		t.Fatal(err)
	}
	wantOpens(t, t.Context(), w.start(standby), v)
	wantOpens(t, t.Context(), w.start(standby), sealValue(t, t.Context(), ring, tenant))
}

func testRotation(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	ring, tenant := w.provisioned(t)
	sibling, other := w.start(home), w.start(standby)
	hash, err := ring.Hash(t.Context(), tenant, "User.email", []byte("a@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	values := []value{sealValue(t, t.Context(), ring, tenant)}
	// Both have the first generation in memory when the next ones come.
	wantOpens(t, t.Context(), sibling, values[0])
	wantOpens(t, t.Context(), other, values[0])
	for want := uint32(2); want <= 4; want++ {
		if got, err := ring.Rotate(t.Context(), tenant, 1, lawful()); err != nil || got != want {
			t.Fatalf("Rotate = %d, %v; want %d", got, err, want)
		}
		values = append(values, sealValue(t, t.Context(), ring, tenant))
		for _, v := range values {
			wantOpens(t, t.Context(), ring, v)
			wantOpens(t, t.Context(), sibling, v)
			wantOpens(t, t.Context(), other, v)
		}
	}
	generations := map[string]bool{}
	for _, v := range values {
		generations[string(v.sealed[:5])] = true
	}
	if len(generations) != len(values) {
		t.Errorf("%d generations sealed with %d keys", len(values), len(generations))
	}
	after, err := ring.Hash(t.Context(), tenant, "User.email", []byte("a@example.com"))
	if err != nil || string(after) != string(hash) {
		t.Errorf("a rotation changes hashes: %v", err)
	}
	_, err = ring.Rotate(t.Context(), w.tenant(), 1, lawful())
	wantError(t, err, seal.ErrNotReady)
}

func testPurge(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	ring, tenant := w.provisioned(t)
	v := sealValue(t, t.Context(), ring, tenant)
	keep, kept := w.provisioned(t)
	other := sealValue(t, t.Context(), keep, kept)
	for range 2 {
		if err := ring.Purge(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
	}
	for _, process := range []*seal.Keyring{ring, w.start(home)} {
		_, err := process.Open(t.Context(), v.bind, v.sealed)
		wantError(t, err, seal.ErrPurged)
		wantError(t, err, seal.ErrNoKey)
		_, err = trySeal(t.Context(), process, tenant)
		wantError(t, err, seal.ErrPurged)
		_, err = process.Hash(t.Context(), tenant, "p", nil)
		wantError(t, err, seal.ErrPurged)
		wantError(t, process.Provision(t.Context(), tenant, 2, lawful()), seal.ErrPurged)
		_, err = process.Rotate(t.Context(), tenant, 2, lawful())
		wantError(t, err, seal.ErrPurged)
	}
	page, err := w.regions[home].keys.Query(t.Context(), store.Query{Partition: string(tenant)})
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("after a purge: %d items, %v; want the mark alone", len(page.Items), err)
	}
	// The standby has purged nothing yet; it opens, but brings nothing back to where the tenant is dead.
	wantOpens(t, t.Context(), w.start(standby), v)
	wantError(t, w.start(standby).Provision(t.Context(), tenant, 3, lawful()), seal.ErrPurged)
	if err := w.start(standby).Purge(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	_, err = w.start(standby).Open(t.Context(), v.bind, v.sealed)
	wantError(t, err, seal.ErrPurged)
	// A tenant that never had a key here dies as well, and its neighbours live.
	never := w.tenant()
	if err := ring.Purge(t.Context(), never); err != nil {
		t.Fatal(err)
	}
	wantError(t, ring.Provision(t.Context(), never, 1, lawful()), seal.ErrPurged)
	wantOpens(t, t.Context(), ring, other)
}

// testFirstUseAtOnce: processes of the home that provision at once agree on one key.
func testFirstUseAtOnce(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	tenant := w.tenant()
	const processes = 6
	rings := make([]*seal.Keyring, processes)
	for i := range rings {
		rings[i] = w.start(home)
	}
	values := make([]value, 2*processes)
	errs := make([]error, 2*processes)
	var group sync.WaitGroup
	for i := range values {
		group.Go(func() {
			ring := rings[i%processes]
			if errs[i] = ring.Provision(t.Context(), tenant, 1, lawful()); errs[i] == nil {
				values[i], errs[i] = trySeal(t.Context(), ring, tenant)
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	rings = slices.Concat(rings, []*seal.Keyring{w.start(standby), w.start(third)})
	for _, v := range values {
		for _, ring := range rings {
			wantOpens(t, t.Context(), ring, v)
		}
	}
}
