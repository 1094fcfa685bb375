package sealtest

import (
	"fmt"
	"testing"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
)

// testCrashAtEachStep stops a Provision and a Rotate at each of their effects, done or not, and goes on in two ways: the
// home comes back, or is lost and comes back after the standby has taken over. No value that was sealed may be lost.
func testCrashAtEachStep(t *testing.T, f Fixture) {
	t.Helper()
	for _, rotate := range []bool{false, true} {
		for _, done := range []bool{false, true} {
			for _, lost := range []bool{false, true} {
				t.Run(fmt.Sprintf("rotate=%t/done=%t/lost=%t", rotate, done, lost), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, f).remember()
					for step := 1; crashAt(t, w, scenario{step: step, rotate: rotate, done: done, lost: lost}); step++ {
						if step > 200 {
							t.Fatal("more effects than there can be")
						}
					}
				})
			}
		}
	}
}

type scenario struct {
	step               int
	rotate, done, lost bool
}

// crashAt plays a scenario with a new tenant; it returns false when there are fewer effects than its step.
func crashAt(t *testing.T, w *world, s scenario) bool {
	t.Helper()
	ring, tenant := w.start(home), w.tenant()
	var values []value
	if s.rotate {
		if err := ring.Provision(t.Context(), tenant, 1, lawful()); err != nil {
			t.Fatal(err)
		}
		values = append(values, sealValue(t, t.Context(), ring, tenant))
	}
	h, fired := crash(s.step, s.done)
	ctx := withHook(t.Context(), h)
	var err error
	if s.rotate {
		_, err = ring.Rotate(ctx, tenant, 1, lawful())
	} else {
		err = ring.Provision(ctx, tenant, 1, lawful())
	}
	if !fired() {
		if err != nil {
			t.Fatalf("without a crash: %v", err)
		}
		return false
	}
	if err == nil {
		t.Fatalf("step %d: a crash is not told", s.step)
	}
	// What the home can seal after its restart must already be safe: it may be lost in the next moment.
	if v, err := trySeal(t.Context(), w.start(home), tenant); err == nil {
		values = append(values, v)
	} else if s.rotate {
		t.Fatalf("step %d: a tenant with a key cannot seal after a crash: %v", s.step, err)
	} else {
		wantError(t, err, seal.ErrNoKey)
	}
	owner := ident.Epoch(1)
	if s.lost {
		values = append(values, takeOver(t, w, tenant, values)...)
		owner = 2
	}
	settle(t, w, tenant, owner, values)
	return true
}

// takeOver lets the standby go on without the home, which then wakes up as if nothing had happened.
func takeOver(t *testing.T, w *world, tenant ident.TenantID, values []value) []value {
	t.Helper()
	promoted := w.start(standby)
	for _, v := range values {
		wantOpens(t, t.Context(), promoted, v)
		wantOpens(t, t.Context(), w.start(third), v)
	}
	if err := promoted.Provision(t.Context(), tenant, 2, survivors()); err != nil {
		t.Fatalf("the standby cannot take over: %v", err)
	}
	fresh := append(make([]value, 0, 2), sealValue(t, t.Context(), promoted, tenant))
	if _, err := promoted.Rotate(t.Context(), tenant, 2, survivors()); err != nil {
		t.Fatalf("the standby cannot rotate: %v", err)
	}
	fresh = append(fresh, sealValue(t, t.Context(), promoted, tenant))
	// Whether this fails or not, it must do no harm.
	_ = w.start(home).Provision(t.Context(), tenant, 1, lawful())
	return fresh
}

// settle has the owner finish, and checks that all lawful regions open all values and seal for each other.
func settle(t *testing.T, w *world, tenant ident.TenantID, owner ident.Epoch, values []value) {
	t.Helper()
	at := home
	if owner == 2 {
		at = standby
	}
	if err := w.start(at).Provision(t.Context(), tenant, owner, lawful()); err != nil {
		t.Fatalf("the owner cannot finish: %v", err)
	}
	for _, id := range lawful() {
		values = append(values, sealValue(t, t.Context(), w.start(id), tenant))
	}
	for _, id := range lawful() {
		ring := w.start(id)
		for _, v := range values {
			wantOpens(t, t.Context(), ring, v)
		}
	}
}
