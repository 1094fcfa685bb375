package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

// scrapeTimeout bounds how long a scrape may look at a region's queues.
const scrapeTimeout = 2 * time.Second

// syncMetrics says, when it is asked, how far the regions of this process are behind each other; it is a prometheus.Collector. The only
// labels are regions.
type syncMetrics struct{ nodes []*node }

func syncDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, []string{"source", "destination"}, nil)
}

// Describe implements prometheus.Collector: what there is depends on the regions that run.
func (syncMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m syncMetrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	gauge := func(name, help string, value float64, source, destination string) {
		out <- prometheus.MustNewConstMetric(syncDesc(name, help), prometheus.GaugeValue, value, source, destination)
	}
	for _, n := range m.nodes {
		r := n.region()
		if r == nil || r.sync == nil {
			continue
		}
		status, err := r.sync.status(ctx)
		if err != nil {
			continue // The region is closing.
		}
		here := string(n.id)
		for _, o := range status.GetOutbound() {
			gauge("domicile_outbox_events", "Writes that a region has not sent to a destination.", float64(o.GetEvents()), here, o.GetDestination())
		}
		dead := uint64(0)
		for _, q := range status.GetQueues() {
			dead += q.GetDeadLetters()
		}
		gauge("domicile_dlq_messages", "Messages of a region that could not be applied.", float64(dead), "", here)
		for _, in := range status.GetInbound() {
			gauge("domicile_sync_lag_events", "Events in a region's queues that are not applied.", float64(in.GetEvents()), in.GetSource(), here)
			gauge("domicile_sync_lag_seconds", "Time from a write's commit to its application, for the last one applied.",
				in.GetLagSeconds(), in.GetSource(), here)
			out <- prometheus.MustNewConstMetric(
				syncDesc("domicile_residency_violations_total", "Events that were refused because of what they held."),
				prometheus.CounterValue, float64(in.GetViolations()), in.GetSource(), here)
		}
	}
}

// violationLog writes down what must not happen; it is a replication.Observer.
type violationLog struct{ logger *slog.Logger }

// Applied implements replication.Observer.
func (violationLog) Applied(ident.RegionID, int, time.Duration) {}

// Violated implements replication.Observer.
func (l violationLog) Violated(source ident.RegionID) {
	l.logger.Error("an event was refused because of what it held", slog.String("source", string(source)))
}

// Parked implements replication.Observer.
func (violationLog) Parked(ident.RegionID) {}

// Reported implements replication.Observer.
func (l violationLog) Reported(destination ident.RegionID, v *replicationv1.Violation) {
	l.logger.Error("a region has refused an event of this one because of what it held",
		slog.String("destination", string(destination)), slog.String("tenant", v.GetStream().GetTenant()), slog.String("entity", v.GetEntity()),
		slog.String("id", v.GetId()), slog.Uint64("lane", uint64(v.GetStream().GetLane())), slog.Uint64("seq", v.GetSeq()))
}
