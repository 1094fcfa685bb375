package sealtest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
)

// rival returns a delivery to a region of a key that another region made for a tenant under an epoch, and that nobody has.
func (w *world) rival(
	t *testing.T, f Fixture, tenant ident.TenantID, epoch ident.Epoch, to ident.RegionID, generations int, ready bool,
) seal.Delivery {
	t.Helper()
	recorder := &recordingCourier{Courier: hookedCourier{w.courier}, to: to, swallows: true}
	ring := seal.NewKeyring(seal.KeyringConfig{
		Region: foreign, Keys: f.NewKeys(t), Wrapper: f.NewWrapper(t, foreign), Courier: recorder, Clock: w.clock,
	})
	if err := ring.Provision(t.Context(), tenant, epoch, []ident.RegionID{foreign}); err != nil {
		t.Fatal(err)
	}
	for range generations - 1 {
		if _, err := ring.Rotate(t.Context(), tenant, epoch, []ident.RegionID{foreign}); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, ring.Provision(t.Context(), tenant, epoch, []ident.RegionID{foreign, to}), errSwallowed)
	d := recorder.deliveries[0]
	d.Ready = ready
	return d
}

// testConflict goes through what may and may not take the place of a key that is held.
func testConflict(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	away := errors.New("the standby does not answer")
	cut := w.start(home, func(c *seal.KeyringConfig) { c.Courier = unreachable{c.Courier, standby, away} })
	held := func() ident.TenantID { // by the third region, under epoch 2, not in use
		t.Helper()
		tenant := w.tenant()
		wantError(t, cut.Provision(t.Context(), tenant, 2, lawful()), away)
		return tenant
	}
	inUse := func() ident.TenantID {
		t.Helper()
		_, tenant := w.provisioned(t)
		return tenant
	}
	for name, tc := range map[string]struct {
		tenant      ident.TenantID
		epoch       ident.Epoch
		generations int
		ready       bool
		want        error
	}{
		"an earlier owner's":                     {held(), 1, 1, false, seal.ErrConflict},
		"another of the same owner":              {held(), 2, 1, false, seal.ErrConflict},
		"a later owner's":                        {held(), 3, 1, false, nil},
		"an earlier owner's in use":              {held(), 1, 1, true, nil},
		"over one in use":                        {inUse(), 9, 1, false, seal.ErrConflict},
		"over one in use, ready":                 {inUse(), 9, 1, true, seal.ErrConflict},
		"over one in use, with more generations": {inUse(), 9, 3, true, seal.ErrConflict},
	} {
		target := w.start(third)
		d := w.rival(t, f, tc.tenant, tc.epoch, third, tc.generations, tc.ready)
		if err := target.Accept(t.Context(), d); !errors.Is(err, tc.want) {
			t.Errorf("%s: Accept: %v, want %v", name, err, tc.want)
		}
		if _, err := trySeal(t.Context(), w.start(third), tc.tenant); tc.ready && tc.want == nil && err != nil {
			t.Errorf("%s: Seal: %v", name, err)
		}
	}
}

// testEarlierOwnerLate: an owner that goes on with a key it holds is not overtaken by an owner between it and who made the key.
func testEarlierOwnerLate(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	tenant := w.tenant()
	away := errors.New("the standby does not answer")
	cut := w.start(home, func(c *seal.KeyringConfig) { c.Courier = unreachable{c.Courier, standby, away} })
	wantError(t, cut.Provision(t.Context(), tenant, 1, lawful()), away)

	// The third region is the owner of epoch 3. Between its deliveries, one of epoch 2 reaches it and the home.
	toThird, toHome := w.rival(t, f, tenant, 2, third, 1, false), w.rival(t, f, tenant, 2, home, 1, false)
	w.start(home)
	overtaken := &interruptedCourier{Courier: hookedCourier{w.courier}}
	owner := w.start(third, func(c *seal.KeyringConfig) { c.Courier = overtaken })
	overtaken.interrupt = func() {
		wantError(t, owner.Accept(t.Context(), toThird), seal.ErrConflict)
		wantError(t, w.start(home).Accept(t.Context(), toHome), seal.ErrConflict)
	}
	if err := owner.Provision(t.Context(), tenant, 3, lawful()); err != nil {
		t.Fatal(err)
	}
	if overtaken.interrupt != nil {
		t.Fatal("nothing was delivered as ready")
	}
	settle(t, w, tenant, 1, []value{sealValue(t, t.Context(), owner, tenant)})
}

// interruptedCourier has something happen before the first delivery that is ready.
type interruptedCourier struct {
	seal.Courier

	interrupt func()
}

func (c *interruptedCourier) Deliver(ctx context.Context, to ident.RegionID, d seal.Delivery) error {
	if interrupt := c.interrupt; d.Ready && interrupt != nil {
		c.interrupt = nil
		interrupt()
	}
	return c.Courier.Deliver(ctx, to, d)
}

// testLateDelivery replays each delivery of a tenant's history in the end, out of order: nothing changes.
func testLateDelivery(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	tenant := w.tenant()
	recorder := &recordingCourier{Courier: w.courier, to: standby}
	ring := w.start(home, func(c *seal.KeyringConfig) { c.Courier = recorder })
	if err := ring.Provision(t.Context(), tenant, 1, lawful()); err != nil {
		t.Fatal(err)
	}
	values := append(make([]value, 0, 3), sealValue(t, t.Context(), ring, tenant))
	for range 2 {
		if _, err := ring.Rotate(t.Context(), tenant, 1, lawful()); err != nil {
			t.Fatal(err)
		}
		values = append(values, sealValue(t, t.Context(), ring, tenant))
	}
	before := sealValue(t, t.Context(), w.start(standby), tenant)
	target := w.start(standby)
	for _, late := range slices.Backward(recorder.deliveries) {
		if err := target.Accept(t.Context(), late); err != nil {
			t.Fatalf("a late delivery: %v", err)
		}
	}
	for _, v := range append(values, before) {
		wantOpens(t, t.Context(), w.start(standby), v)
	}
	after := sealValue(t, t.Context(), w.start(standby), tenant)
	if string(after.sealed[:5]) != string(before.sealed[:5]) {
		t.Error("a late delivery brings an old generation back into use")
	}
	// What was delivered to one region is of no use to another, nor under another tenant's name.
	wantError(t, w.start(third).Accept(t.Context(), recorder.deliveries[0]), seal.ErrCannotOpen)
	misnumbered := recorder.deliveries[0]
	misnumbered.Key.Generation++
	wantError(t, target.Accept(t.Context(), misnumbered), seal.ErrCannotOpen)
	misnumbered.Key.Generation--
	renamed := recorder.deliveries[0]
	renamed.Key.Tenant = string(w.tenant())
	wantError(t, target.Accept(t.Context(), renamed), seal.ErrCannotOpen)
}

// recordingCourier remembers what is delivered to a region. When it swallows, nothing arrives there.
type recordingCourier struct {
	seal.Courier

	to         ident.RegionID
	swallows   bool
	deliveries []seal.Delivery
}

var errSwallowed = errors.New("sealtest: swallowed")

func (r *recordingCourier) Deliver(ctx context.Context, to ident.RegionID, d seal.Delivery) error {
	if to == r.to {
		r.deliveries = append(r.deliveries, d)
		if r.swallows {
			return errSwallowed
		}
	}
	return r.Courier.Deliver(ctx, to, d)
}
