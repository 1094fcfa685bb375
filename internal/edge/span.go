package edge

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// startSpan begins the call's span. Its attributes are what the access log has, without the caller's address.
func (e *Edge) startSpan(r *http.Request, rec *recorder) (*http.Request, func()) {
	carrier := propagation.HeaderCarrier(r.Header)
	ctx := e.cfg.Propagator.Extract(r.Context(), carrier)
	ctx, span := e.tracer.Start(ctx, "edge", trace.WithSpanKind(trace.SpanKindServer))
	r = r.WithContext(ctx)
	e.cfg.Propagator.Inject(ctx, carrier) // what is below reads the headers, in this process or in another
	if span.SpanContext().IsValid() {
		rec.traceparent = r.Header.Get("Traceparent")
	}
	return r, func() {
		v := rec.visit
		if span.IsRecording() {
			span.SetAttributes(
				attribute.String("domicile.edge", e.region), attribute.String("domicile.action", v.action),
				attribute.String("domicile.region", string(v.target)), attribute.String("rpc.system", v.protocol.String()),
				attribute.Int("http.response.status_code", rec.status))
			if v.method != nil {
				span.SetAttributes(attribute.String("rpc.method", v.method.Procedure))
			}
			if v.who.known {
				span.SetAttributes(attribute.String("domicile.tenant", string(v.who.id)))
			}
		}
		span.End()
	}
}
