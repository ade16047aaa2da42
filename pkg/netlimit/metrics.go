package netlimit

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are the numbers of connections since the start.
type counts struct {
	accepted, shed, expired, rejected, refused atomic.Int64
}

// collector collects the metrics of a listener.
type collector struct {
	listener                      *Listener
	connections, accepted, closed *prometheus.Desc
}

var _ prometheus.Collector = (*collector)(nil)

func newCollector(l *Listener) *collector {
	port := prometheus.Labels{"port": l.config.Port}
	return &collector{
		listener:    l,
		connections: prometheus.NewDesc("jindo_port_connections", "Connections of a port.", []string{"state"}, port),
		accepted:    prometheus.NewDesc("jindo_port_accepted_total", "Connections that a port accepted.", nil, port),
		closed:      prometheus.NewDesc("jindo_port_closed_total", "Connections that a port closed before they were served.", []string{"reason"}, port),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	to <- c.connections
	to <- c.accepted
	to <- c.closed
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	l := c.listener
	l.mu.Lock()
	pending, open := l.pending.len(), l.open.count
	l.mu.Unlock()
	to <- prometheus.MustNewConstMetric(c.connections, prometheus.GaugeValue, float64(pending), "pending")
	to <- prometheus.MustNewConstMetric(c.connections, prometheus.GaugeValue, float64(open), "open")
	to <- prometheus.MustNewConstMetric(c.accepted, prometheus.CounterValue, float64(l.counts.accepted.Load()))
	for reason, count := range map[string]*atomic.Int64{
		"oldest": &l.counts.shed, "timeout": &l.counts.expired, "handshake": &l.counts.rejected, "limit": &l.counts.refused,
	} {
		to <- prometheus.MustNewConstMetric(c.closed, prometheus.CounterValue, float64(count.Load()), reason)
	}
}
