package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// scheduledMetrics are the metrics of scheduled snapshots. The leader has the gauges, once
// it knows of an object.
type scheduledMetrics struct {
	stored            prometheus.Counter
	failures          *prometheus.CounterVec
	time, index, size *prometheus.Desc
}

func newScheduledMetrics(gauge func(name, help string) *prometheus.Desc) scheduledMetrics {
	m := scheduledMetrics{
		stored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: metricPrefix + "scheduled_snapshots_total", Help: "Scheduled snapshots that this master has had stored.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricPrefix + "scheduled_snapshot_failures_total",
			Help: "Attempts at a scheduled snapshot that failed, by reason: no_worker, refused, store, timeout, unreachable; and retention, when one was stored and old ones were not deleted.",
		}, []string{"reason"}),
		time:  gauge("scheduled_snapshot_timestamp_seconds", "Time of the newest scheduled snapshot in the store, in seconds since 1970."),
		index: gauge("scheduled_snapshot_index", "Index of the newest scheduled snapshot."),
		size:  gauge("scheduled_snapshot_bytes", "Size of the newest scheduled snapshot."),
	}
	for _, reason := range reasonsOfFailure() {
		m.failures.WithLabelValues(reason)
	}
	return m
}

func (m *scheduledMetrics) describe(to chan<- *prometheus.Desc) {
	m.stored.Describe(to)
	m.failures.Describe(to)
	for _, desc := range []*prometheus.Desc{m.time, m.index, m.size} {
		to <- desc
	}
}

func (m *scheduledMetrics) collect(to chan<- prometheus.Metric, s *masterv1.ScheduledSnapshots) {
	m.stored.Collect(to)
	m.failures.Collect(to)
	if s.GetTime() == nil {
		return
	}
	for desc, value := range map[*prometheus.Desc]float64{
		m.time: float64(s.GetTime().GetSeconds()), m.index: float64(s.GetIndex()), m.size: float64(s.GetSize()),
	} {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
}
