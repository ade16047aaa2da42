package server

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// metrics are the metrics of a master's server: counters, and gauges that are
// computed from the state at each scrape.
type metrics struct {
	server   *Server
	commands *prometheus.CounterVec
	batches  prometheus.Histogram
	reads    prometheus.Histogram

	sessions, workers, live, mounts, ring, view *prometheus.Desc

	scheduled scheduledMetrics
}

var _ prometheus.Collector = (*metrics)(nil)

const metricPrefix = "jindo_master_"

func newMetrics(s *Server) *metrics {
	gauge := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(metricPrefix+name, help, nil, nil)
	}
	m := &metrics{
		server: s,
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricPrefix + "commands_total",
			Help: "Commands proposed by this master, by operation and outcome: executed, refused, not_executed, unknown.",
		}, []string{"operation", "outcome"}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: metricPrefix + "proposer_batch_commands", Help: "Commands that shared one entry of the log.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		reads: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: metricPrefix + "read_index_seconds", Help: "Seconds to confirm leadership for a linearizable read.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
		sessions: gauge("sessions", "Open sessions."),
		workers:  gauge("workers", "Workers in the ring."),
		live:     gauge("workers_live", "Workers in the ring that sent this master a heartbeat recently."),
		mounts:   gauge("mounts", "Mounts."),
		ring:     gauge("ring_epoch", "Epoch of the newest ring."),
		view:     gauge("view_index", "Index of the entry that last changed mounts or ring."),

		scheduled: newScheduledMetrics(gauge),
	}
	for op := uint32(state.OpFormCluster); op <= state.OpInvalidate; op++ {
		m.commands.WithLabelValues(operationName(op), "executed")
	}
	return m
}

func operationName(op uint32) string {
	field := (&statev1.Command{}).ProtoReflect().Descriptor().Fields()
	for i := range field.Len() {
		if uint32(field.Get(i).Number()) == op {
			return string(field.Get(i).Name())
		}
	}
	return "unknown"
}

// command counts a command that has ended.
func (m *metrics) command(c *statev1.Command, o outcome) {
	var follower *consensus.NotLeaderError
	name := "executed"
	switch {
	case o.err == nil && o.result.GetRefusal() != nil:
		name = "refused"
	case o.err == nil:
	case errors.As(o.err, &follower), errors.Is(o.err, errNotSent):
		name = "not_executed"
	default:
		name = "unknown"
	}
	m.commands.WithLabelValues(operationName(state.Operation(c)), name).Inc()
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	m.commands.Describe(to)
	m.batches.Describe(to)
	m.reads.Describe(to)
	m.scheduled.describe(to)
	for _, desc := range []*prometheus.Desc{m.sessions, m.workers, m.live, m.mounts, m.ring, m.view} {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	m.commands.Collect(to)
	m.batches.Collect(to)
	m.reads.Collect(to)
	m.scheduled.collect(to, m.server.schedule.state())
	view := m.server.config.State.View()
	workers, live := view.Workers(), 0
	for _, worker := range workers {
		if h, ok := m.server.reports.of(worker.GetMember()); ok && m.server.reports.live(h) {
			live++
		}
	}
	for desc, value := range map[*prometheus.Desc]float64{
		m.sessions: float64(len(view.Sessions())),
		m.workers:  float64(len(workers)),
		m.live:     float64(live),
		m.mounts:   float64(view.Mounts()),
		m.ring:     float64(view.RingEpoch()),
		m.view:     float64(view.ViewIndex()),
	} {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
}
