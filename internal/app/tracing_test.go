package app

import (
	"net/http"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// TestTracestateDoesNotTravel continues a caller's trace without the texts that came with it.
func TestTracestateDoesNotTravel(t *testing.T) {
	t.Parallel()
	tracing, err := NewTracing(t.Context(), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	in := http.Header{"Traceparent": {parent}, "Tracestate": {"v=ada-example-com"}, "Baggage": {"v=ada"}}
	ctx := tracing.Propagator.Extract(t.Context(), propagation.HeaderCarrier(in))
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() || span.TraceState().Len() != 0 {
		t.Errorf("the caller's span is %v with %d entries of state", span.TraceID(), span.TraceState().Len())
	}
	out := http.Header{}
	tracing.Propagator.Inject(ctx, propagation.HeaderCarrier(out))
	if out.Get("Traceparent") != parent || len(out) != 1 {
		t.Errorf("what travels: %v", out)
	}
}
