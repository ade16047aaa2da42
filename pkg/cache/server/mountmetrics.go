package server

import "github.com/prometheus/client_golang/prometheus"

// mountMetrics exports the totals of the mounts whose root this worker lists.
type mountMetrics struct {
	worker                 *Worker
	objects, bytes, hidden *prometheus.Desc
}

var _ prometheus.Collector = (*mountMetrics)(nil)

func newMountMetrics(w *Worker) *mountMetrics {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("jindo_worker_mount_"+name, help, []string{"mount"}, nil)
	}
	return &mountMetrics{
		worker:  w,
		objects: desc("objects", "Objects of a mount, at the worker that counts them; a lower bound if the mount is too large to be counted."),
		bytes:   desc("bytes", "Bytes of these objects."),
		hidden:  desc("hidden_keys", "Keys of a mount that are not visible, because they cannot be paths of files."),
	}
}

// Describe sends the descriptions of the metrics.
func (m *mountMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.objects, m.bytes, m.hidden} {
		ch <- d
	}
}

// Collect sends the totals that are known. The label is the mount's id, which is
// text; the numbers come from names, which are not.
func (m *mountMetrics) Collect(ch chan<- prometheus.Metric) {
	v := m.worker.views.load()
	for _, entry := range m.worker.mounts.all() {
		id := entry.mount.GetId()
		if !m.worker.ownsRoot(v, id) {
			continue
		}
		t := m.worker.config.Directory.Counted(id)
		if t.Objects < 0 {
			continue
		}
		gauge := func(d *prometheus.Desc, value int64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), id)
		}
		gauge(m.objects, t.Objects)
		gauge(m.bytes, t.Bytes)
		gauge(m.hidden, t.Hidden)
	}
}
