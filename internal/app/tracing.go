package app

import (
	"context"
	"fmt"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracing is where spans go. One trace covers edge, service and commit: W3C trace context travels with a forwarded call.
// Baggage and tracestate do not travel: a caller could put personal data into them, and an exporter writes the latter into every span.
type Tracing struct {
	// Provider is nil when nothing is exported: spans that nobody gets cost a call a twentieth of its allocations.
	Provider   trace.TracerProvider
	Propagator propagation.TextMapPropagator
	shutdown   func(context.Context) error
}

// NewTracing follows the standard OTEL_* variables. Without OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_ENDPOINT nothing is exported.
func NewTracing(ctx context.Context, env func(string) (string, bool)) (*Tracing, error) {
	t := &Tracing{Propagator: traceparent{}, shutdown: func(context.Context) error { return nil }}
	if !wanted(env, "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
		return t, nil
	}
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("making the span exporter that OTEL_TRACES_EXPORTER asks for: %w", err)
	}
	res, err := resource.New(ctx, resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, fmt.Errorf("reading OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	t.Provider, t.shutdown = provider, provider.Shutdown
	return t, nil
}

func wanted(env func(string) (string, bool), names ...string) bool {
	for _, n := range names {
		if v, ok := env(n); ok && v != "" && v != "none" {
			return true
		}
	}
	return false
}

// Shutdown sends what is waiting.
func (t *Tracing) Shutdown(ctx context.Context) error { return t.shutdown(ctx) }

// traceparent is W3C trace context without tracestate.
type traceparent struct{ propagation.TraceContext }

// Extract implements propagation.TextMapPropagator.
func (p traceparent) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	return p.TraceContext.Extract(ctx, stateless{carrier})
}

// Fields implements propagation.TextMapPropagator.
func (traceparent) Fields() []string { return []string{"traceparent"} }

// stateless is a carrier that has no tracestate.
type stateless struct{ propagation.TextMapCarrier }

// Get implements propagation.TextMapCarrier.
func (c stateless) Get(key string) string {
	if key == "tracestate" {
		return ""
	}
	return c.TextMapCarrier.Get(key)
}

// Values implements propagation.ValuesGetter, which propagators prefer where a carrier has it.
func (c stateless) Values(key string) []string {
	if v := c.Get(key); v != "" {
		return []string{v}
	}
	return nil
}
