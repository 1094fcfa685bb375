package sealtest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
)

// calls returns how often a region's own key unwrapped while fn ran.
func (w *world) calls(id ident.RegionID, fn func()) int64 {
	counter := &w.regions[id].wrapper.unwraps
	before := counter.Load()
	fn()
	return counter.Load() - before
}

func testWarmCalls(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	first, tenant := w.provisioned(t)
	v := sealValue(t, t.Context(), first, tenant)
	for name, ring := range map[string]*seal.Keyring{"who provisioned": first, "another process": w.start(home)} {
		wantOpens(t, t.Context(), ring, v)
		if n := w.calls(home, func() {
			for range 100 {
				wantOpens(t, t.Context(), ring, v)
				sealValue(t, t.Context(), ring, tenant)
				if _, err := ring.Hash(t.Context(), tenant, "p", nil); err != nil {
					t.Fatal(err)
				}
			}
		}); n != 0 {
			t.Errorf("%s: warm calls unwrap %d times", name, n)
		}
	}
	wraps := w.regions[standby].wrapper.wraps.Load()
	if n := w.calls(home, func() {
		for range 100 {
			if err := first.Provision(t.Context(), tenant, 1, lawful()); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 || w.regions[standby].wrapper.wraps.Load() != wraps {
		t.Errorf("repeated provisions unwrap %d times and wrap for the standby", n)
	}
}

func testCacheBound(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	const bound = 4
	values := make([]value, 2*bound)
	for i := range values {
		ring, tenant := w.provisioned(t)
		values[i] = sealValue(t, t.Context(), ring, tenant)
	}
	ring := w.start(home, func(c *seal.KeyringConfig) { c.MaxCached = bound })
	open := func(vs ...value) int64 {
		return w.calls(home, func() {
			for _, v := range vs {
				wantOpens(t, t.Context(), ring, v)
			}
		})
	}
	if n := open(values...); n != 2*bound {
		t.Errorf("%d keys are unwrapped %d times", 2*bound, n)
	}
	if n := open(values[bound:]...); n != 0 {
		t.Errorf("the last %d keys are unwrapped again %d times", bound, n)
	}
	if n := open(values[0]); n != 1 {
		t.Errorf("a key beyond the bound is unwrapped %d times, want once", n)
	}
	// values[bound] was used longest ago, so it made room; the one after it did not, and is now the one used last.
	if n := open(values[bound+1]); n != 0 {
		t.Errorf("a key used later was dropped before one used earlier")
	}
	if n := open(values[bound]); n != 1 {
		t.Errorf("more keys than the bound are kept")
	}
	if n := open(values[bound+1]); n != 0 {
		t.Errorf("a key that was loaded early and used late was dropped")
	}
}

func testCacheAge(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	first, tenant := w.provisioned(t)
	v := sealValue(t, t.Context(), first, tenant)
	ring := w.start(home, func(c *seal.KeyringConfig) { c.MaxAge = time.Minute })
	wantOpens(t, t.Context(), ring, v)
	// Another process purges. This one may go on for MaxAge and not longer.
	if err := first.Purge(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Minute - time.Nanosecond)
	wantOpens(t, t.Context(), ring, v)
	w.pass(time.Nanosecond)
	_, err := ring.Open(t.Context(), v.bind, v.sealed)
	wantError(t, err, seal.ErrPurged)
}

// testNegativeAge: that there is no key is remembered, for a second at the most.
func testNegativeAge(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	tenant := w.tenant()
	ring := w.start(home)
	reads := 0
	ctx := withHook(t.Context(), func(do func() error) error {
		reads++
		return do()
	})
	for range 10 {
		_, err := trySeal(ctx, ring, tenant)
		wantError(t, err, seal.ErrNoKey)
	}
	if reads != 1 {
		t.Errorf("10 calls without a key read the table %d times", reads)
	}
	// Another process provisions; this one sees it a second later.
	if err := w.start(home).Provision(t.Context(), tenant, 1, lawful()); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	sealValue(t, ctx, ring, tenant)

	// In one process there is nothing to wait for.
	other := w.tenant()
	_, err := trySeal(t.Context(), ring, other)
	wantError(t, err, seal.ErrNoKey)
	if err := ring.Provision(t.Context(), other, 1, lawful()); err != nil {
		t.Fatal(err)
	}
	sealValue(t, t.Context(), ring, other)
}

// testLoadFails: a failure is not remembered.
func testLoadFails(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	first, tenant := w.provisioned(t)
	v := sealValue(t, t.Context(), first, tenant)
	for step := 1; step <= 2; step++ { // the read, the unwrapping
		ring := w.start(home)
		h, fired := crash(step, false)
		_, err := ring.Open(withHook(t.Context(), h), v.bind, v.sealed)
		wantError(t, err, errCrash)
		if !fired() {
			t.Fatalf("opening has fewer than %d effects", step)
		}
		wantOpens(t, t.Context(), ring, v)
	}
}

// testPurgeDuringLoad: a key that was read before a purge is not kept after it.
func testPurgeDuringLoad(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	first, tenant := w.provisioned(t)
	v := sealValue(t, t.Context(), first, tenant)
	ring := w.start(home)
	read, release := make(chan struct{}), make(chan struct{})
	effects := 0
	slow := withHook(t.Context(), func(do func() error) error {
		if effects++; effects == 2 { // the key is read and is to be unwrapped
			close(read)
			<-release
		}
		return do()
	})
	late := make(chan error, 1)
	go func() {
		_, err := ring.Open(slow, v.bind, v.sealed)
		late <- err
	}()
	<-read
	if err := ring.Purge(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	// Who asks after the purge does not wait for the old load either.
	_, err := ring.Open(t.Context(), v.bind, v.sealed)
	wantError(t, err, seal.ErrPurged)
	close(release)
	if err := <-late; err != nil && !errors.Is(err, seal.ErrPurged) {
		t.Errorf("an Open that began before the purge: %v", err)
	}
	_, err = ring.Open(t.Context(), v.bind, v.sealed)
	wantError(t, err, seal.ErrPurged)
}

// testKeysAreWiped: the plain bytes of a key do not stay in the buffers that the wrapper was given, or gave.
func testKeysAreWiped(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f)
	keeper := &keepingWrapper{Wrapper: w.regions[home].wrapper}
	keep := func(c *seal.KeyringConfig) { c.Wrapper = keeper }
	tenant := w.tenant()
	ring := w.start(home, keep)
	if err := ring.Provision(t.Context(), tenant, 1, lawful()); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Rotate(t.Context(), tenant, 1, lawful()); err != nil {
		t.Fatal(err)
	}
	sealValue(t, t.Context(), w.start(home, keep), tenant)
	if len(keeper.kept) < 4 {
		t.Fatalf("%d keys went through the wrapper", len(keeper.kept))
	}
	for i, kept := range keeper.kept {
		if bytes.ContainsFunc(kept, func(r rune) bool { return r != 0 }) {
			t.Errorf("key %d of %d lies in memory in the clear", i+1, len(keeper.kept))
		}
	}
}

// keepingWrapper keeps the buffers of plain keys.
type keepingWrapper struct {
	seal.Wrapper

	kept [][]byte
}

func (k *keepingWrapper) Wrap(ctx context.Context, tenant ident.TenantID, keyset []byte) ([]byte, error) {
	k.kept = append(k.kept, keyset)
	return k.Wrapper.Wrap(ctx, tenant, keyset)
}

func (k *keepingWrapper) Unwrap(ctx context.Context, tenant ident.TenantID, wrapped []byte) ([]byte, error) {
	keyset, err := k.Wrapper.Unwrap(ctx, tenant, wrapped)
	k.kept = append(k.kept, keyset)
	return keyset, err
}
