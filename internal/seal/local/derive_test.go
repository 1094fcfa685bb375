package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/seal/local"
	"github.com/domicile-api/domicile/internal/seal/sealtest"
)

func derived(t testing.TB, region ident.RegionID, secret string) *local.Wrapper {
	t.Helper()
	w, err := local.Derive(region, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestDerivedKeyConforms(t *testing.T) {
	t.Parallel()
	var made atomic.Int64
	sealtest.RunWrapper(t, func(t testing.TB, region ident.RegionID) seal.Wrapper {
		t.Helper()
		return derived(t, region, fmt.Sprint("secret ", made.Add(1)))
	})
}

// Processes that know the same secret open for each other; others do not.
func TestDerivedKeyFollowsFromItsSecret(t *testing.T) {
	t.Parallel()
	one, same, other := derived(t, "eu-west-1", "secret"), derived(t, "eu-west-1", "secret"), derived(t, "eu-west-1", "another")
	wrapped, err := one.Wrap(t.Context(), "acme-eu", []byte("key set"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := same.Unwrap(t.Context(), "acme-eu", wrapped); err != nil || !bytes.Equal(plain, []byte("key set")) {
		t.Errorf("a process with the same secret: %q, %v", plain, err)
	}
	if _, err := other.Unwrap(t.Context(), "acme-eu", wrapped); !errors.Is(err, seal.ErrCannotOpen) {
		t.Errorf("a process with another secret: %v", err)
	}
	recipient, err := local.NewRecipient("eu-west-1", one.Public())
	if err != nil {
		t.Fatal(err)
	}
	if wrapped, err = recipient.Wrap(t.Context(), "acme-eu", []byte("sent")); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Public(), same.Public()) {
		t.Error("the public half is another one each time")
	}
	if plain, err := same.Unwrap(t.Context(), "acme-eu", wrapped); err != nil || string(plain) != "sent" {
		t.Errorf("what was wrapped under the public half: %q, %v", plain, err)
	}
}
