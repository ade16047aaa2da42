package admission

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the webhook. No label holds what a stranger chooses.
type metrics struct {
	injections  *prometheus.CounterVec
	validations *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	unreadable  prometheus.Counter
	panics      prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		injections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jindo_injection_total", Help: "Pods that asked for a sidecar, by what became of them.",
		}, []string{"result", "reason"}),
		validations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jindo_validation_total", Help: "Datasets, JindoRuntimes and DataLoads that were created or changed, by what became of them.",
		}, []string{"kind", "result", "reason"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jindo_admission_seconds", Help: "Time that an answer took.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"path"}),
		unreadable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jindo_admission_unreadable_total", Help: "Requests that were no AdmissionReview.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jindo_admission_panics_total", Help: "Mistakes of the webhook that refused an object.",
		}),
	}
	registry.MustRegister(m.injections, m.validations, m.seconds, m.unreadable, m.panics)
	return m
}

// watchCertificate adds how long the certificate in use is good for.
func watchCertificate(registry prometheus.Registerer, expires func() time.Time) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "jindo_webhook_certificate_expiry_seconds", Help: "When the certificate in use expires, in seconds since 1970; 0 while there is none.",
	}, func() float64 {
		at := expires()
		if at.IsZero() {
			return 0
		}
		return float64(at.Unix())
	}))
}
