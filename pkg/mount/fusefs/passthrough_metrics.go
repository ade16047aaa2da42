//go:build linux

package fusefs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// passthroughMetrics are the metrics of files that the kernel reads itself.
type passthroughMetrics struct {
	opens     prometheus.Counter
	fallbacks *prometheus.CounterVec
	retired   *prometheus.CounterVec
}

func newPassthroughMetrics(registry prometheus.Registerer, p *passthrough) passthroughMetrics {
	m := passthroughMetrics{
		opens: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jindo_fuse_passthrough_opens_total", Help: "Opens of files that the kernel reads itself.",
		}),
		fallbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jindo_fuse_passthrough_fallbacks_total", Help: "Opens of files that are large enough for the kernel to read them itself and are read through the server, by reason.",
		}, []string{"reason"}),
		retired: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jindo_fuse_passthrough_retired_total", Help: "Files that the kernel read itself and later opens do not, by reason.",
		}, []string{"reason"}),
	}
	if registry == nil {
		return m
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	registry.MustRegister(m.opens, m.fallbacks, m.retired,
		gauge("jindo_fuse_passthrough_backings", "Files registered with the kernel.", func() float64 { return float64(p.count()) }),
		gauge("jindo_fuse_passthrough_enabled", "1 if the kernel can read sealed files itself.", func() float64 {
			if p.disabled(time.Now()) == "" {
				return 1
			}
			return 0
		}),
	)
	return m
}

func (m passthroughMetrics) fallback(reason string) { m.fallbacks.WithLabelValues(reason).Inc() }
