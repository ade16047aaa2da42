package consensus

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// metrics are the metrics of a member: counters, and gauges that are computed
// from Status at each scrape.
type metrics struct {
	node       *Node
	registerer prometheus.Registerer

	appends   prometheus.Histogram
	proposals *prometheus.CounterVec
	reads     prometheus.Counter
	rounds    prometheus.Counter

	gauges []gauge
	peers  [3]*prometheus.Desc
}

type gauge struct {
	desc  *prometheus.Desc
	value func(view) float64
}

var _ prometheus.Collector = (*metrics)(nil)

const metricPrefix = "jindo_master_raft_"

func newMetrics() *metrics {
	m := &metrics{
		appends: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    metricPrefix + "append_seconds",
			Help:    "Duration of a durable append to the log.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
		proposals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricPrefix + "proposals_total",
			Help: "Commands proposed to this member, by outcome: committed, refused (nothing was executed), unknown.",
		}, []string{"outcome"}),
		reads:  prometheus.NewCounter(prometheus.CounterOpts{Name: metricPrefix + "reads_total", Help: "Linearizable reads that requested an index from this member."}),
		rounds: prometheus.NewCounter(prometheus.CounterOpts{Name: metricPrefix + "read_rounds_total", Help: "Rounds that confirmed leadership, each for many reads."}),
		gauges: gauges(),
	}
	for _, outcome := range []string{"committed", "refused", "unknown"} {
		m.proposals.WithLabelValues(outcome)
	}
	m.peers[0] = prometheus.NewDesc(metricPrefix+"peer_last_contact_seconds", "Seconds since a peer last responded to this leader.", []string{"peer"}, nil)
	m.peers[1] = prometheus.NewDesc(metricPrefix+"peer_match_index", "Log index up to which a peer agrees with this leader.", []string{"peer"}, nil)
	m.peers[2] = prometheus.NewDesc(metricPrefix+"peer_healthy", "1 while a peer has a vote, responds to this leader, is caught up and accepts commands.", []string{"peer"}, nil)
	return m
}

func (m *metrics) register(registerer prometheus.Registerer, n *Node) error {
	m.node = n
	if registerer == nil {
		return nil
	}
	if err := registerer.Register(m); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	m.registerer = registerer
	return nil
}

func (m *metrics) unregister() {
	if m.registerer != nil {
		m.registerer.Unregister(m)
	}
}

func (m *metrics) appended(took time.Duration) { m.appends.Observe(took.Seconds()) }

func (m *metrics) proposed(err error) {
	outcome := "refused"
	switch {
	case err == nil:
		outcome = "committed"
	case errors.Is(err, ErrUnknownOutcome):
		outcome = "unknown"
	}
	m.proposals.WithLabelValues(outcome).Inc()
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	m.appends.Describe(out)
	m.proposals.Describe(out)
	m.reads.Describe(out)
	m.rounds.Describe(out)
	for _, g := range m.gauges {
		out <- g.desc
	}
	for _, d := range m.peers {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	m.appends.Collect(out)
	m.proposals.Collect(out)
	m.reads.Collect(out)
	m.rounds.Collect(out)
	v := m.node.view()
	for _, g := range m.gauges {
		out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.value(v))
	}
	if !v.leading {
		return
	}
	for _, p := range peersByName(v.status) {
		out <- prometheus.MustNewConstMetric(m.peers[2], prometheus.GaugeValue, boolGauge(p.GetFault() == "" && v.status.GetHealth() != nil), p.GetName())
		if p.GetLastContact() == nil {
			continue
		}
		out <- prometheus.MustNewConstMetric(m.peers[0], prometheus.GaugeValue, p.GetLastContact().AsDuration().Seconds(), p.GetName())
		out <- prometheus.MustNewConstMetric(m.peers[1], prometheus.GaugeValue, float64(p.GetMatchIndex()), p.GetName())
	}
}

// peersByName returns the peers of a leader, one for each name. While a lost member is
// being replaced, two have its name, and two values of one series fail the whole
// scrape: the one that responded last counts.
func peersByName(s *masterv1.StatusResponse) map[string]*masterv1.Peer {
	peers := map[string]*masterv1.Peer{}
	for _, p := range s.GetPeers() {
		if p.GetMemberId() == s.GetMemberId() {
			continue
		}
		other := peers[p.GetName()]
		if other == nil || other.GetLastContact() == nil ||
			p.GetLastContact() != nil && p.GetLastContact().AsDuration() < other.GetLastContact().AsDuration() {
			peers[p.GetName()] = p
		}
	}
	return peers
}
