package consensus

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// healthOf waits until the leader reports a health for which check returns nil.
func (c *cluster) healthOf(what string, check func(*masterv1.StatusResponse) error) {
	c.t.Helper()
	c.eventually(what, func() error {
		for _, m := range c.members {
			if m == nil {
				continue
			}
			s := m.node.Status()
			if s.GetHealth() == nil {
				continue
			}
			if s.GetState() != "LEADER" {
				c.t.Fatalf("%s reports the health of the cluster and does not lead: %v", s.GetName(), s)
			}
			return check(s)
		}
		return fmt.Errorf("no leader reports it")
	})
}

func TestHealth(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, func(c *Config) { c.Stabilization = time.Millisecond })
	c.startAll()
	c.whole()
	healthy := func(s *masterv1.StatusResponse) error {
		if h := s.GetHealth(); !h.GetHealthy() || h.GetReason() != "" || h.GetFailureTolerance() != 1 {
			return fmt.Errorf("health %v", h)
		}
		for _, p := range s.GetPeers() {
			if p.GetFault() != "" || p.GetCaughtUpSince() == nil || !p.GetStable() {
				return fmt.Errorf("peer %v", p)
			}
		}
		return nil
	}
	c.healthOf("all are healthy", healthy)
	lost := (c.leader() + 1) % 3
	c.kill(lost)
	c.members[lost] = nil
	c.healthOf("the lost member is reported", func(s *masterv1.StatusResponse) error {
		want := c.Name(lost) + " does not respond"
		if h := s.GetHealth(); h.GetHealthy() || h.GetReason() != want || h.GetFailureTolerance() != 0 {
			return fmt.Errorf("health %v, want the reason %q", h, want)
		}
		for _, p := range s.GetPeers() {
			if bad := p.GetName() == c.Name(lost); bad == (p.GetFault() == "") || bad && (p.GetStable() || p.GetCaughtUpSince() != nil) {
				return fmt.Errorf("peer %v", p)
			}
		}
		return nil
	})
	c.start(lost)
	c.healthOf("all are healthy again", healthy)
}

// While the number of masters grows, newcomers count neither as healthy nor for the
// tolerance.
func TestHealthOfNewcomers(t *testing.T) {
	t.Parallel()
	r := newResizable(t, 3, 1)
	r.up(0)
	r.alone()
	r.propose("used")
	r.healthOf("one is healthy", func(s *masterv1.StatusResponse) error {
		if h := s.GetHealth(); !h.GetHealthy() || h.GetFailureTolerance() != 0 {
			return fmt.Errorf("health %v", h)
		}
		return nil
	})
	r.list(3)
	r.healthOf("the others are missing", func(s *masterv1.StatusResponse) error {
		if h := s.GetHealth(); h.GetHealthy() || h.GetReason() != "m-1 is not a voter" || h.GetFailureTolerance() != 0 {
			return fmt.Errorf("health %v", h)
		}
		return nil
	})
	r.up(1)
	r.healthOf("one is caught up, and waits for the other", func(s *masterv1.StatusResponse) error {
		h := s.GetHealth()
		if len(s.GetPeers()) == 2 && s.GetPeers()[1].GetStable() && !h.GetHealthy() && h.GetReason() == "m-1 is not a voter" && h.GetFailureTolerance() == 0 {
			return nil
		}
		return fmt.Errorf("status %v", s)
	})
	r.grow()
	r.healthOf("three are healthy", func(s *masterv1.StatusResponse) error {
		if h := s.GetHealth(); !h.GetHealthy() || h.GetFailureTolerance() != 1 {
			return fmt.Errorf("health %v", h)
		}
		return nil
	})
}

// Two members have one name while a lost one is being replaced.
func TestOneSeriesForEachPeer(t *testing.T) {
	status := &masterv1.StatusResponse{MemberId: "m-0-a", Peers: []*masterv1.Peer{
		{Name: "m-0", MemberId: "m-0-a"},
		{Name: "m-1", MemberId: "m-1-lost", LastContact: durationpb.New(time.Minute)},
		{Name: "m-1", MemberId: "m-1-new", LastContact: durationpb.New(time.Millisecond)},
		{Name: "m-2", MemberId: "m-2-new", LastContact: durationpb.New(time.Millisecond)},
		{Name: "m-2", MemberId: "m-2-lost"},
	}}
	got := peersByName(status)
	if len(got) != 2 || got["m-1"].GetMemberId() != "m-1-new" || got["m-2"].GetMemberId() != "m-2-new" {
		t.Fatalf("peers %v", got)
	}
}

func TestHealthMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	c := newCluster(t, 1, func(c *Config) { c.Registry = registry })
	c.startAll()
	c.eventually("the only member is healthy", func() error {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() == metricPrefix+"healthy" && family.GetMetric()[0].GetGauge().GetValue() == 1 {
				return nil
			}
		}
		return fmt.Errorf("%d families", len(families))
	})
}

// The last verification outlives a restart; a damaged file loses nothing else.
func TestVerificationIsKept(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.startAll()
	c.whole()
	if v := c.members[0].node.Status().GetVerification(); v != nil {
		t.Fatalf("a new member has %v", v)
	}
	want := &masterv1.Verification{Result: masterv1.Verification_RESULT_INCOMPLETE, First: 1, Last: 7, DigestIndex: 6, Failed: []string{"m-1"}}
	if err := c.members[0].node.RecordVerification(want); err != nil {
		t.Fatal(err)
	}
	if want.GetTime() != nil {
		t.Error("the caller's message was changed")
	}
	c.stop(0)
	c.start(0)
	got := c.members[0].node.Status().GetVerification()
	if got.GetResult() != want.GetResult() || got.GetLast() != 7 || got.GetDigestIndex() != 6 || strings.Join(got.GetFailed(), "") != "m-1" || got.GetTime() == nil {
		t.Fatalf("after a restart: %v", got)
	}
	c.stop(0)
	if err := os.WriteFile(filepath.Join(c.DataDir(0), "verification.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.start(0)
	c.whole()
	if v := c.members[0].node.Status().GetVerification(); v != nil {
		t.Fatalf("of a damaged file: %v", v)
	}
	if err := c.members[0].node.RecordVerification(want); err != nil {
		t.Fatal(err)
	}
}
