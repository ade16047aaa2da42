package consensus

import (
	"fmt"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestStatusAndMetrics(t *testing.T) {
	t.Parallel()
	registries := map[string]*prometheus.Registry{}
	var mu sync.Mutex
	c := newCluster(t, 3, func(c *Config) {
		mu.Lock()
		defer mu.Unlock()
		registries[c.Name] = prometheus.NewRegistry()
		c.Registry = registries[c.Name]
	})
	c.startAll()
	leader := c.whole()
	index := c.propose("x")
	c.agree("x")
	c.eventually("a read at the leader", func() error {
		leader = c.leader()
		_, err := c.members[leader].node.ReadIndex(c.context())
		return err
	})
	c.eventually("wait for the leader's contacts", func() error {
		for _, p := range c.members[leader].node.Status().GetPeers() {
			if p.GetMatchIndex() < index || p.GetLastContact() == nil || !p.GetVoter() || p.GetName() == "" {
				return fmt.Errorf("of %v", p)
			}
		}
		return nil
	})
	s := c.members[leader].node.Status()
	if len(s.GetPeers()) != 3 || s.GetAddress() != c.Topology.Masters[leader].RaftAddress() || s.GetFsyncP99().AsDuration() <= 0 ||
		s.GetLeaderSince() == nil || s.GetAppliedIndex() < index || s.GetCommitIndex() < index || s.GetLogBytes() == 0 || s.GetTerm() == 0 {
		t.Errorf("the leader's status is %v", s)
	}
	follower := c.members[(leader+1)%3].node.Status()
	if follower.GetState() != "FOLLOWER" || follower.GetLeader() != c.Name(leader) || follower.GetLeaderSince() != nil {
		t.Errorf("the status of a follower is %v", follower)
	}
	families, err := registries[c.Name(leader)].Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, family := range families {
		got[family.GetName()] = len(family.GetMetric())
	}
	for name, want := range map[string]int{"peer_match_index": 2, "term": 1, "leader": 1, "reads_total": 1, "append_seconds": 1, "proposals_total": 3} {
		if got[metricPrefix+name] != want {
			t.Errorf("%s has %d values, want %d", name, got[metricPrefix+name], want)
		}
	}
}
