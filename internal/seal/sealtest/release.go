package sealtest

import (
	"errors"
	"testing"

	"github.com/domicile-api/domicile/internal/seal"
)

// testRelease: a region that has released a key cannot open with it, in no process, until it is delivered again; nobody else notices.
func testRelease(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	ring, tenant := w.provisioned(t)
	v := sealValue(t, t.Context(), ring, tenant)
	other := w.start(third)
	wantOpens(t, t.Context(), other, v)
	for range 2 {
		if err := other.Release(t.Context(), tenant); err != nil {
			t.Fatalf("Release: %v", err)
		}
		_, err := other.Open(t.Context(), v.bind, v.sealed)
		wantError(t, err, seal.ErrNoKey)
		_, err = w.start(third).Open(t.Context(), v.bind, v.sealed)
		wantError(t, err, seal.ErrNoKey)
	}
	wantOpens(t, t.Context(), w.start(standby), v)
	// The home remembers that everybody holds the key.
	if err := ring.Provision(t.Context(), tenant, 1, lawful()); err != nil {
		t.Fatal(err)
	}
	if err := ring.Deliver(t.Context(), tenant, 1, lawful()); err != nil {
		t.Fatalf("Deliver: %v", err)
	}
	wantOpens(t, t.Context(), w.start(third), v) // A process that has asked in vain asks again after a while only.
	if err := ring.Purge(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	if err := ring.Release(t.Context(), tenant); err != nil {
		t.Errorf("Release of a purged key: %v", err)
	}
	if err := ring.Provision(t.Context(), tenant, 1, lawful()); !errors.Is(err, seal.ErrPurged) {
		t.Errorf("a release has taken a purge back: %v", err)
	}
}
