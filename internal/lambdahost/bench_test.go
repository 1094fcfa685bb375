package lambdahost_test

import (
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/lambdahost"
)

// BenchmarkCold is from nothing to the first answer of a function that does nothing.
func BenchmarkCold(b *testing.B) {
	for b.Loop() {
		f, err := lambdahost.NewFunction(lambdahost.Config{Name: "probe", Binary: bootstrap, Timeout: time.Minute})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Invoke(b.Context(), []byte("{}")); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkWarm is an invocation of a frozen instance.
func BenchmarkWarm(b *testing.B) {
	f, err := lambdahost.NewFunction(lambdahost.Config{Name: "probe", Binary: bootstrap, Timeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			b.Error(err)
		}
	}()
	for b.Loop() {
		if _, err := f.Invoke(b.Context(), []byte("{}")); err != nil {
			b.Fatal(err)
		}
	}
}
