package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
)

// metrics are the metrics of a worker, jindo_worker_*.
type metrics struct {
	inflight      prometheus.Gauge
	parked        prometheus.Gauge
	failures      *prometheus.CounterVec
	storeRequests prometheus.Counter
	storeErrors   *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		inflight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "jindo_worker_requests_in_flight", Help: "Requests for bytes being served.",
		}),
		parked: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "jindo_worker_requests_parked", Help: "Requests for bytes that wait for a store or for a slow disk.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jindo_worker_request_failures_total", Help: "Requests for bytes that failed or were aborted, by code.",
		}, []string{"code"}),
		storeRequests: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jindo_worker_store_requests_total", Help: "GETs sent to the object store.",
		}),
		storeErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jindo_worker_store_errors_total", Help: "GETs that the object store failed or aborted, by kind.",
		}, []string{"kind"}),
	}
	for _, c := range []prometheus.Collector{m.inflight, m.parked, m.failures, m.storeRequests, m.storeErrors} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// blockMetrics exports the counters of the block store.
type blockMetrics struct {
	blocks *blockstore.Store
	store  func() uint64
	descs  map[string]*prometheus.Desc
}

var _ prometheus.Collector = (*blockMetrics)(nil)

func newBlockMetrics(blocks *blockstore.Store, storeBytes func() uint64) *blockMetrics {
	m := &blockMetrics{blocks: blocks, store: storeBytes, descs: map[string]*prometheus.Desc{}}
	add := func(name, help string, labels ...string) {
		m.descs[name] = prometheus.NewDesc("jindo_worker_"+name, help, labels, nil)
	}
	add("hits_total", "Reads that started no fetch.")
	add("misses_total", "Reads that started a fetch.")
	add("bytes_total", "Bytes read, by their source; store counts the bytes fetched.", "source")
	add("fetches_total", "Downloads started.")
	add("fetch_failures_total", "Downloads that ended early.")
	add("evictions_total", "Versions removed, by reason.", "reason")
	add("evicted_bytes_total", "Bytes of versions evicted to make room.")
	add("uncached_blocks_total", "Blocks not cached because the disk was too slow.")
	add("declined_blocks_total", "Blocks not cached because objects read once use their share of the tier.")
	add("dropped_blocks_total", "Blocks fetched and given up before a reader needed them, because memory was scarce.")
	add("scrubbed_bytes_total", "Bytes of complete files read against their checksums in the background.")
	add("scrub_passes_total", "Complete passes of that over a tier.")
	add("scrub_damaged_total", "Files found damaged or unreadable by it, and discarded.")
	add("loans", "Sealed files lent to processes on this host.")
	add("recalls_total", "Sealed files whose loans were recalled because they were to be removed and no process used them.")
	add("dirty_bytes", "Bytes that wait for the disk.")
	add("tier_used_bytes", "Bytes charged to a tier.", "path", "medium")
	add("tier_copy_bytes", "Bytes of node copies, charged to a tier.", "path", "medium")
	add("tier_capacity_bytes", "Quota of a tier.", "path", "medium")
	add("tier_files", "Versions with files.", "path", "medium")
	add("tier_healthy", "1 if the tier stores new bytes.", "path", "medium")
	add("tier_hits_total", "Reads whose first byte came from a tier.", "path", "medium")
	add("tier_hit_bytes_total", "Bytes read from a tier.", "path", "medium")
	add("tier_moves_total", "Versions moved to a tier, from a slower (up) or a faster one (down).", "path", "medium", "direction")
	add("tier_moved_bytes_total", "Bytes of the versions moved to a tier.", "path", "medium")
	return m
}

// Describe sends the descriptions of the metrics.
func (m *blockMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.descs {
		ch <- d
	}
}

// Collect sends the current values.
func (m *blockMetrics) Collect(ch chan<- prometheus.Metric) {
	s := m.blocks.Stats()
	counter := func(name string, value int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(m.descs[name], prometheus.CounterValue, float64(value), labels...)
	}
	gauge := func(name string, value int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(m.descs[name], prometheus.GaugeValue, float64(value), labels...)
	}
	counter("hits_total", s.Hits)
	counter("misses_total", s.Misses)
	counter("bytes_total", s.DiskBytes, "disk")
	counter("bytes_total", s.MemoryBytes, "memory")
	counter("bytes_total", int64(m.store()), "store")
	counter("fetches_total", s.Fetches)
	counter("fetch_failures_total", s.Failed)
	counter("evictions_total", s.Evicted, "room")
	counter("evictions_total", s.Expired, "expired")
	counter("evictions_total", s.Discarded, "damaged")
	counter("evicted_bytes_total", s.EvictedBytes)
	counter("uncached_blocks_total", s.Skipped)
	counter("declined_blocks_total", s.Declined)
	counter("dropped_blocks_total", s.Dropped)
	counter("scrubbed_bytes_total", s.ScrubbedBytes)
	counter("scrub_passes_total", s.ScrubPasses)
	counter("scrub_damaged_total", s.ScrubDamaged)
	gauge("loans", s.Lent)
	counter("recalls_total", s.Recalled)
	gauge("dirty_bytes", s.Dirty)
	for _, t := range s.Tiers {
		healthy := int64(1)
		if t.Err != nil {
			healthy = 0
		}
		gauge("tier_used_bytes", t.Used, t.Path, t.Medium)
		gauge("tier_copy_bytes", t.Copies, t.Path, t.Medium)
		gauge("tier_capacity_bytes", t.Capacity, t.Path, t.Medium)
		gauge("tier_files", t.Files, t.Path, t.Medium)
		gauge("tier_healthy", healthy, t.Path, t.Medium)
		counter("tier_hits_total", t.Hits, t.Path, t.Medium)
		counter("tier_hit_bytes_total", t.HitBytes, t.Path, t.Medium)
		counter("tier_moves_total", t.Promoted, t.Path, t.Medium, "up")
		counter("tier_moves_total", t.Demoted, t.Path, t.Medium, "down")
		counter("tier_moved_bytes_total", t.MovedBytes, t.Path, t.Medium)
	}
}
