package netlimit

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are the numbers of connections since the start.
type counts struct {
	accepted, shed, expired, rejected, refused atomic.Int64
}

//nolint:gochecknoglobals // Constant descriptions.
var (
	connections = prometheus.NewDesc("jindo_port_connections", "Connections of a port.", []string{"port", "state"}, nil)
	acceptances = prometheus.NewDesc("jindo_port_accepted_total", "Connections that a port accepted.", []string{"port"}, nil)
	closings    = prometheus.NewDesc("jindo_port_closed_total", "Connections that a port closed before they were served.", []string{"port", "reason"}, nil)
)

var _ prometheus.Collector = (*Listener)(nil)

// Describe implements prometheus.Collector.
func (l *Listener) Describe(to chan<- *prometheus.Desc) {
	// No descriptions: a process registers several listeners, whose metrics
	// differ in the port only.
}

// Collect implements prometheus.Collector.
func (l *Listener) Collect(to chan<- prometheus.Metric) {
	l.mu.Lock()
	pending, open := l.pending.len(), l.open.count
	l.mu.Unlock()
	port := l.config.Port
	to <- prometheus.MustNewConstMetric(connections, prometheus.GaugeValue, float64(pending), port, "pending")
	to <- prometheus.MustNewConstMetric(connections, prometheus.GaugeValue, float64(open), port, "open")
	to <- prometheus.MustNewConstMetric(acceptances, prometheus.CounterValue, float64(l.counts.accepted.Load()), port)
	for reason, count := range map[string]*atomic.Int64{
		"oldest": &l.counts.shed, "timeout": &l.counts.expired, "handshake": &l.counts.rejected, "limit": &l.counts.refused,
	} {
		to <- prometheus.MustNewConstMetric(closings, prometheus.CounterValue, float64(count.Load()), port, reason)
	}
}
