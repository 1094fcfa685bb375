package seal_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
)

// newRing returns a keyring with a key of "acme-eu" in memory.
func newRing(b *testing.B) *seal.Keyring {
	b.Helper()
	f := newFixture(b)
	ring := seal.NewKeyring(seal.KeyringConfig{
		Region: "eu-central-1", Jurisdiction: "EU", Keys: f.NewKeys(b), Wrapper: f.NewWrapper(b, "eu-central-1"), Clock: time.Now,
	})
	if err := ring.Provision(b.Context(), "acme-eu", 1, []ident.RegionID{"eu-central-1"}); err != nil {
		b.Fatal(err)
	}
	return ring
}

// entityBytes is the size of the sealed part of a usual entity.
const entityBytes = 600

func BenchmarkKeyring(b *testing.B) {
	bind := seal.Bind{Tenant: "acme-eu", Type: "domicile.profile.v1.User", ID: "usr_01jd0000000000000000000000"}
	plain := bytes.Repeat([]byte("x"), entityBytes)
	b.Run("seal", func(b *testing.B) {
		ring := newRing(b)
		b.ReportAllocs()
		b.SetBytes(entityBytes)
		for b.Loop() {
			if _, err := ring.Seal(b.Context(), bind, plain); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		ring := newRing(b)
		sealed, err := ring.Seal(b.Context(), bind, plain)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		b.SetBytes(entityBytes)
		for b.Loop() {
			if _, err := ring.Open(b.Context(), bind, sealed); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hash", func(b *testing.B) {
		ring := newRing(b)
		value := []byte("someone@example.com")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ring.Hash(b.Context(), "acme-eu", "domicile.profile.v1.User.email", value); err != nil {
				b.Fatal(err)
			}
		}
	})
}
