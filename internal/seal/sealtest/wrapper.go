package sealtest

import (
	"bytes"
	"context"
	"testing"

	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
)

// RunWrapper runs the suite on an adapter of seal.Wrapper. newWrapper returns a new key of a region.
func RunWrapper(t *testing.T, newWrapper func(t testing.TB, region ident.RegionID) seal.Wrapper) {
	t.Helper()
	t.Run("RoundTrip", func(t *testing.T) {
		t.Parallel()
		w := newWrapper(t, home)
		rapid.Check(t, func(rt *rapid.T) {
			tenant := ident.TenantID(rapid.StringMatching(`[a-z][a-z0-9-]{0,38}[a-z0-9]`).Draw(rt, "tenant"))
			keyset := rapid.SliceOfN(rapid.Byte(), 1, 4096).Draw(rt, "keyset")
			given := bytes.Clone(keyset)
			wrapped, err := w.Wrap(t.Context(), tenant, keyset)
			if err != nil {
				rt.Fatalf("Wrap: %v", err)
			}
			if !bytes.Equal(keyset, given) {
				rt.Fatalf("Wrap changes what it is given")
			}
			if len(keyset) >= 16 && bytes.Contains(wrapped, keyset) {
				rt.Fatalf("the wrapped key set has the key set in the clear")
			}
			got, err := w.Unwrap(t.Context(), tenant, wrapped)
			if err != nil || !bytes.Equal(got, keyset) {
				rt.Fatalf("Unwrap gives other bytes than were wrapped, or fails: %v", err)
			}
		})
	})
	t.Run("Refusals", func(t *testing.T) {
		t.Parallel()
		testWrapperRefusals(t, newWrapper)
	})
}

func testWrapperRefusals(t *testing.T, newWrapper func(testing.TB, ident.RegionID) seal.Wrapper) {
	t.Helper()
	w, other, again := newWrapper(t, home), newWrapper(t, standby), newWrapper(t, home)
	wrapped, err := w.Wrap(t.Context(), "acme-eu", []byte("a key set of a tenant"))
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(by seal.Wrapper, tenant ident.TenantID, b []byte, what string) {
		t.Helper()
		if plain, err := by.Unwrap(context.WithoutCancel(t.Context()), tenant, b); err == nil || plain != nil {
			t.Errorf("%s: Unwrap = %d bytes, %v", what, len(plain), err)
		} else {
			wantError(t, err, seal.ErrCannotOpen)
		}
	}
	refuse(w, "bank-eu", wrapped, "another tenant")
	refuse(w, "", wrapped, "no tenant")
	refuse(other, "acme-eu", wrapped, "another region")
	refuse(again, "acme-eu", wrapped, "another key of the region")
	refuse(w, "acme-eu", nil, "nothing")
	refuse(w, "acme-eu", append(bytes.Clone(wrapped), 0), "a byte too many")
	for i := range wrapped {
		altered := bytes.Clone(wrapped)
		altered[i] ^= 0x20
		refuse(w, "acme-eu", altered, "an altered byte")
		refuse(w, "acme-eu", wrapped[:i], "cut off")
	}
	twice, err := w.Wrap(t.Context(), "acme-eu", []byte("a key set of a tenant"))
	if err != nil || bytes.Equal(twice, wrapped) {
		t.Errorf("the same key set wraps to the same bytes: %v", err)
	}
}
