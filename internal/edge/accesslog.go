package edge

import (
	"log/slog"
	"net"
	"net/http"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/rpc"
)

// statusClientGone is nginx's number for a client that did not wait for the answer.
const statusClientGone = 499

// observe counts and logs a call that has ended. This file is the one place where a caller's address can come into a log.
func (e *Edge) observe(r *http.Request, v *visit, rec *recorder) {
	status := rec.status
	if status == 0 || v.gone {
		status = statusClientGone
	}
	o := Observation{
		Protocol: v.protocol, Action: v.action, Target: v.target, Reason: v.reason, Status: status, Duration: e.cfg.Clock().Sub(v.begin),
	}
	if v.method != nil {
		o.Procedure = v.method.Procedure
	}
	if e.cfg.Metrics != nil {
		e.cfg.Metrics.Observe(o)
	}
	if !e.cfg.Logger.Enabled(r.Context(), slog.LevelInfo) {
		return
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs,
		slog.String("edge", e.region), slog.String("procedure", o.Procedure), slog.String("protocol", o.Protocol.String()),
		slog.String("action", o.Action), slog.Int("status", o.Status), slog.Duration("duration", o.Duration))
	if v.target != "" {
		attrs = append(attrs, slog.String("region", string(v.target)))
	}
	if v.reason != errorsv1.Reason_REASON_UNSPECIFIED {
		attrs = append(attrs, slog.String("reason", rpc.ReasonName(v.reason)))
	}
	if v.who.known {
		attrs = append(attrs, slog.String("tenant", string(v.who.id)))
	}
	if e.mayLogAddress(v) {
		if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
			attrs = append(attrs, slog.String("client", host))
		}
	}
	e.cfg.Logger.LogAttrs(r.Context(), slog.LevelInfo, "call", attrs...)
}

// mayLogAddress tells whether the caller's address, which is personal data of the tenant's, may be kept here: in the
// jurisdiction of the tenant's home. A caller of no tenant has no such place.
func (e *Edge) mayLogAddress(v *visit) bool {
	return v.who.known && v.action != actionArrived && e.cfg.Topology.SameJurisdiction(e.cfg.Region, v.who.tenant.Home)
}

// reportInternal logs what should not happen at an edge.
func (e *Edge) reportInternal(r *http.Request, err error) {
	e.cfg.Logger.LogAttrs(r.Context(), slog.LevelError, "internal error", slog.String("edge", e.region), slog.Any("error", err))
}
