package app

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// callMetrics counts what comes in at the edges. Every label has a handful of values, none of them a tenant's or a caller's.
type callMetrics struct {
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newCallMetrics(registry prometheus.Registerer) *callMetrics {
	m := &callMetrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "domicile_edge_calls_total", Help: "Calls that came in at an edge.",
		}, []string{"edge", "target", "procedure", "protocol", "action", "reason", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "domicile_edge_call_seconds", Help: "Time from a call's headers to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"edge", "target", "action"}),
	}
	registry.MustRegister(m.calls, m.seconds)
	return m
}

// at returns what counts at one region's edge; it is an edge.Metrics.
func (m *callMetrics) at(region ident.RegionID) edge.Metrics { return edgeMetrics{m, string(region)} }

type edgeMetrics struct {
	all    *callMetrics
	region string
}

// Observe notes one call.
func (m edgeMetrics) Observe(o edge.Observation) {
	m.all.calls.WithLabelValues(
		m.region, string(o.Target), o.Procedure, o.Protocol.String(), o.Action, fault.Name(o.Reason), strconv.Itoa(o.Status),
	).Inc()
	m.all.seconds.WithLabelValues(m.region, string(o.Target), o.Action).Observe(o.Duration.Seconds())
}
