package routeheader_test

import (
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
)

func BenchmarkSign(b *testing.B) {
	b.Run("remembered", func(b *testing.B) {
		signer := newWorld().signer()
		b.ReportAllocs()
		for b.Loop() {
			if signer.Sign(frankfurt, "acme-eu", 3) == "" {
				b.Fatal("no header")
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		signer := newWorld().signer()
		b.ReportAllocs()
		var epoch ident.Epoch
		for b.Loop() {
			epoch++
			if signer.Sign(frankfurt, "acme-eu", epoch) == "" {
				b.Fatal("no header")
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	b.Run("remembered", func(b *testing.B) {
		w := newWorld()
		header, verifier := w.signer().Sign(frankfurt, "acme-eu", 3), w.verifier()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := verifier.Verify(header); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		w := newWorld()
		signer := w.signer()
		headers := make([]string, 64)
		for i := range headers {
			headers[i] = signer.Sign(frankfurt, "acme-eu", ident.Epoch(i))
			w.pass(time.Millisecond)
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			verifier := w.verifier()
			if _, err := verifier.Verify(headers[i%len(headers)]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
}
