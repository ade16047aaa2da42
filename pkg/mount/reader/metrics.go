package reader

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/cache/client"
)

// Rungs of the ladder that are not workers.
const (
	rungLocal client.Rung = "local"
	rungStore client.Rung = "store"
)

// metrics are the metrics of reads.
type metrics struct {
	reads         *prometheus.CounterVec // by rung
	bytes         *prometheus.CounterVec // by rung
	errors        *prometheus.CounterVec // by rung and reason
	failures      *prometheus.CounterVec // by reason
	seconds       prometheus.Histogram
	prefetchHits  prometheus.Counter
	prefetchBytes prometheus.Counter
	wasted        prometheus.Counter
	refused       prometheus.Counter
	// localReads and localBytes are the series of sealed files.
	localReads, localBytes prometheus.Counter
	// pagedNames counts lookups without a request.
	pagedNames prometheus.Counter
}

func newMetrics(registry prometheus.Registerer, memory *budget) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "jindo_fuse_read_" + name, Help: help})
	}
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "jindo_fuse_read_" + name, Help: help}, labels)
	}
	m := &metrics{
		reads:    vector("ranges_total", "Ranges completed, by rung of the ladder.", "rung"),
		bytes:    vector("bytes_total", "Bytes read, by rung of the ladder.", "rung"),
		errors:   vector("rung_errors_total", "Failed attempts, after which the next rung was tried.", "rung", "reason"),
		failures: vector("failures_total", "Reads that failed.", "reason"),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "jindo_fuse_read_seconds", Help: "Duration of one read request of the kernel.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
		}),
		prefetchHits:  counter("prefetch_hits_total", "Reads served from read-ahead."),
		prefetchBytes: counter("prefetch_bytes_total", "Bytes read ahead."),
		wasted:        counter("prefetch_dropped_bytes_total", "Bytes read ahead and dropped unused."),
		pagedNames: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jindo_fuse_names_read_ahead_total", Help: "Names looked up that had been read together with others of their directory.",
		}),
		refused: counter("prefetch_refused_total", "Read-ahead requests refused for lack of memory."),
	}
	used := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "jindo_fuse_read_memory_bytes", Help: "Memory in use by read-ahead.",
	}, func() float64 { return float64(memory.used.Load()) })
	for _, c := range []prometheus.Collector{m.reads, m.bytes, m.errors, m.failures, m.seconds, m.prefetchHits, m.prefetchBytes, m.wasted, m.refused, m.pagedNames, used} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("create reader: register metrics: %w", err)
		}
	}
	for _, rung := range []client.Rung{rungLocal, client.Owner, client.Previous, client.Other, rungStore} {
		m.reads.WithLabelValues(string(rung))
		m.bytes.WithLabelValues(string(rung))
	}
	m.localReads, m.localBytes = m.reads.WithLabelValues(string(rungLocal)), m.bytes.WithLabelValues(string(rungLocal))
	return m, nil
}

// reason returns the metric label of an error.
func reason(err error) string {
	for _, r := range []struct {
		err  error
		word string
	}{
		{ErrStale, "stale"},
		{ErrPermission, "permission"},
		{client.ErrPermission, "permission"},
		{client.ErrNotCached, "not_cached"},
		{client.ErrThrottled, "throttled"},
		{client.ErrUnknownMount, "unknown_mount"},
		{client.ErrStalled, "silent"},
		{client.ErrUnreachable, "unreachable"},
		{client.ErrGarbled, "garbled"},
		{client.ErrInvalid, "invalid"},
	} {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	return "unavailable"
}
