package server

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/mtls"
)

// TestHitsOfATier checks that heartbeats and metrics tell which tier bytes came from.
func TestHitsOfATier(t *testing.T) {
	registry := prometheus.NewRegistry()
	h := newHarness(t, func(h *harness) { h.config.Registry = registry }).ready()
	client := h.client(mtls.Fuse, false)
	key := h.bucket.put("a", 1, 100_000)
	h.mustGet(client, key, 0, 99_999)
	eventually(t, "it is sealed", func() bool { return h.blocks.Stats().Tiers[0].Sealed == 1 })
	h.mustGet(client, key, 0, 99_999)
	eventually(t, "the masters receive the hit", func() bool {
		tiers := h.masters.last().GetTiers()
		return len(tiers) == 1 && tiers[0].GetHits() == 1 && tiers[0].GetHitBytes() >= 100_000
	})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	exported := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			exported[family.GetName()] += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"jindo_worker_tier_hits_total": 1, "jindo_worker_tier_moves_total": 0, "jindo_worker_tier_moved_bytes_total": 0, "jindo_worker_tier_healthy": 1,
	} {
		if got, there := exported[name]; !there || got != want {
			t.Errorf("%s is %v, exported %v; want %v", name, got, there, want)
		}
	}
	if exported["jindo_worker_tier_hit_bytes_total"] < 100_000 {
		t.Errorf("%v bytes of hits", exported["jindo_worker_tier_hit_bytes_total"])
	}
}
