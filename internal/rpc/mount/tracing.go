package mount

import (
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"connectrpc.com/otelconnect"
	"go.opentelemetry.io/otel/attribute"
)

// tracing makes spans that continue the edge's. A caller's address is personal data: no attribute of the peer is recorded, whatever a
// later release of the library adds.
func tracing(cfg Config) (connect.Interceptor, error) {
	options := []otelconnect.Option{
		otelconnect.WithTracerProvider(cfg.Tracer),
		otelconnect.WithTrustRemote(),
		otelconnect.WithoutMetrics(),
		otelconnect.WithAttributeFilter(func(_ connect.Spec, attr attribute.KeyValue) bool { return !ofPeer(string(attr.Key)) }),
	}
	if cfg.Propagator != nil {
		options = append(options, otelconnect.WithPropagator(cfg.Propagator))
	}
	interceptor, err := otelconnect.NewInterceptor(options...)
	if err != nil {
		return nil, fmt.Errorf("building the tracing interceptor: %w", err)
	}
	return interceptor, nil
}

func ofPeer(key string) bool {
	return strings.HasPrefix(key, "client.") || strings.HasPrefix(key, "network.peer.") || strings.HasPrefix(key, "net.")
}
