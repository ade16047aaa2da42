//go:build linux

package fusefs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of one server.
type metrics struct {
	seconds   *prometheus.HistogramVec
	takenOver *prometheus.CounterVec
	// parkingFull counts the requests that were slow when no parked slot was free.
	parkingFull prometheus.Counter
	// byOpcode holds the series of seconds by opcode.
	byOpcode map[uint32]prometheus.Observer
	other    prometheus.Observer
}

func opcodeNames() map[uint32]string {
	return map[uint32]string{
		opcodeLookup: "lookup", opcodeForget: "forget", opcodeBatchForget: "forget", opcodeOpen: "open",
		opcodeRead: "read", opcodeRelease: "release", opcodeOpenDir: "opendir", opcodeReadDir: "readdir",
		opcodeReadDirPlus: "readdir", opcodeReleaseDir: "releasedir", 3: "getattr",
	}
}

func newMetrics(registry prometheus.Registerer, s *Server) *metrics {
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jindo_fuse_request_seconds", Help: "Time from reading a request to writing its reply, in seconds.",
			Buckets: prometheus.ExponentialBuckets(10e-6, 4, 12),
		}, []string{"operation"}),
		takenOver: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jindo_fuse_taken_over_requests_total", Help: "Requests in progress taken over from a previous server, by outcome.",
		}, []string{"outcome"}),
		parkingFull: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jindo_fuse_parking_full_total", Help: "Slow requests that occupied a slot of fast ones because too many waited already.",
		}),
		byOpcode: map[uint32]prometheus.Observer{},
	}
	for opcode, name := range opcodeNames() {
		m.byOpcode[opcode] = m.seconds.WithLabelValues(name)
	}
	m.other = m.seconds.WithLabelValues("other")
	if registry == nil {
		return m
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	registry.MustRegister(m.seconds, m.takenOver, m.parkingFull,
		gauge("jindo_fuse_parked_requests", "Requests that wait for a slow source.", func() float64 { return float64(s.parking.inUse()) }),
		gauge("jindo_fuse_generation", "Generation of the server: the number of servers that this mount has had.", func() float64 { return float64(s.attachment.Generation) }),
		gauge("jindo_fuse_nodes", "Nodes known to the kernel.", func() float64 { n, _, _ := s.files.table.sizes(); return float64(n) }),
		gauge("jindo_fuse_handles", "Open files and directories.", func() float64 { _, n, _ := s.files.table.sizes(); return float64(n) }),
		gauge("jindo_fuse_table_bytes", "Size of the file of the node table in bytes.", func() float64 { _, _, n := s.files.table.sizes(); return float64(n) }),
	)
	return m
}

func (m *metrics) observe(opcode uint32, elapsed time.Duration) {
	o, ok := m.byOpcode[opcode]
	if !ok {
		o = m.other
	}
	o.Observe(elapsed.Seconds())
}
