package admission

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of the webhook. The set of label values is bounded: no label contains
// text of a request.
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
			Name: "jindo_injection_total", Help: "Pods that requested a sidecar, by result and reason.",
		}, []string{"result", "reason"}),
		validations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jindo_validation_total", Help: "Creations and updates of Datasets, JindoRuntimes and DataLoads, by result and reason.",
		}, []string{"kind", "result", "reason"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jindo_admission_seconds", Help: "Duration of admission requests in seconds.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"path"}),
		unreadable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jindo_admission_unreadable_total", Help: "Requests that did not contain an AdmissionReview.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jindo_admission_panics_total", Help: "Panics of the webhook, each of which rejected an object.",
		}),
	}
	registry.MustRegister(m.injections, m.validations, m.seconds, m.unreadable, m.panics)
	return m
}

// registerCertificateExpiry registers the expiry time of the certificate in use.
func registerCertificateExpiry(registry prometheus.Registerer, expires func() time.Time) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "jindo_webhook_certificate_expiry_seconds", Help: "Expiry time of the certificate in use, in seconds since the Unix epoch; 0 before the first certificate is issued.",
	}, func() float64 {
		at := expires()
		if at.IsZero() {
			return 0
		}
		return float64(at.Unix())
	}))
}
