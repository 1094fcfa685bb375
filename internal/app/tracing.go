package app

import (
	"context"
	"fmt"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Tracing is where spans go. One trace covers edge, service and commit: W3C trace context travels with a forwarded call.
// Baggage does not travel: a caller could put personal data into it.
type Tracing struct {
	Provider   trace.TracerProvider
	Propagator propagation.TextMapPropagator
	shutdown   func(context.Context) error
}

// NewTracing follows the standard OTEL_* variables. Without OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_ENDPOINT nothing is exported.
func NewTracing(ctx context.Context, env func(string) (string, bool)) (*Tracing, error) {
	t := &Tracing{Provider: noop.NewTracerProvider(), Propagator: propagation.TraceContext{}, shutdown: func(context.Context) error { return nil }}
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
