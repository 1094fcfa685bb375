package routeheader_test

import (
	"testing"
	"unicode/utf8"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// FuzzVerify holds that nothing but the one good header passes.
func FuzzVerify(f *testing.F) {
	w := newWorld()
	good := w.signer().Sign(frankfurt, "acme-eu", 3)
	key, _ := newKey('v')
	for _, header := range []string{good, good[:len(good)-1], "", "v1..", "v1.AA.AA", "v2" + good[2:], forge(key, "", nil), good + "\n"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		claims, err := w.verifier().Verify(header)
		if header == good {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		if claims != nil || !fault.Is(err, errorsv1.Reason_REASON_MISROUTED) {
			t.Fatalf("Verify(%q) = %v, %v", header, claims, err)
		}
	})
}

// FuzzSign holds that whatever a signer signs is verified with the same claims.
func FuzzSign(f *testing.F) {
	f.Add("acme-eu", uint64(1))
	f.Add("", uint64(0))
	f.Fuzz(func(t *testing.T, tenant string, epoch uint64) {
		if len(tenant) > 40 || !utf8.ValidString(tenant) {
			return
		}
		w := newWorld()
		claims, err := w.verifier().Verify(w.signer().Sign(frankfurt, ident.TenantID(tenant), ident.Epoch(epoch)))
		if err != nil || claims.GetTenant() != tenant || claims.GetEpoch() != epoch {
			t.Fatalf("claims %v, %v", claims, err)
		}
	})
}
