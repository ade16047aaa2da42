package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// rounds returns how often each fault is repeated: a few times by default,
// often on request.
func rounds() int {
	if os.Getenv("JINDO_LONG") != "" {
		return 20
	}
	return 2
}

func TestLeaderKilledUnderLoad(t *testing.T) {
	c := newCluster(t, 3)
	for i := range 3 {
		c.start(i)
	}
	c.settled()
	s := startStream(c, "/data", 3, 3)
	for range rounds() {
		s.awaitProgress(c)
		leader := c.leader()
		moment()
		c.end(leader, syscall.SIGKILL)
		s.awaitProgress(c)
		c.start(leader, "--formed")
		c.settled()
	}
	s.finish(c)
	sameDigest(c)
}

func TestLeaderPausedUnderLoad(t *testing.T) {
	c := newCluster(t, 3)
	for i := range 3 {
		c.start(i)
	}
	c.settled()
	s := startStream(c, "/data", 3, 3)
	for range rounds() {
		s.awaitProgress(c)
		leader := c.leader()
		moment()
		c.signal(leader, syscall.SIGSTOP)
		s.awaitProgress(c)
		c.signal(leader, syscall.SIGCONT)
		c.settled()
	}
	s.finish(c)
	sameDigest(c)
}

// TestRestartOfAllKeepsEverything kills every master at the same time, under
// load.
func TestRestartOfAllKeepsEverything(t *testing.T) {
	c := newCluster(t, 3)
	for i := range 3 {
		c.start(i)
	}
	c.settled()
	member, peer := worker(0)
	before, err := c.client(peer).RegisterWorker(t.Context(), member, "")
	if err != nil {
		t.Fatal(err)
	}
	s := startStream(c, "/data", 2, 2)
	s.awaitProgress(c)
	for i := range 3 {
		c.signal(i, syscall.SIGKILL)
	}
	for i := range 3 {
		c.end(i, syscall.SIGKILL)
		c.start(i, "--formed")
	}
	c.settled()
	s.awaitProgress(c)
	s.finish(c)
	after, err := c.admin.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after.GetClusterId() != before.GetClusterId() || after.GetRing().GetEpoch() != before.GetRing().GetEpoch() ||
		len(after.GetRing().GetMembers()) != 1 || after.GetIndex() <= before.GetIndex() {
		t.Errorf("the view was %v, and is %v", before, after)
	}
	sameDigest(c)
}

func TestOneClusterInAnyOrder(t *testing.T) {
	for name, order := range map[string][]int{"first last": {2, 1, 0}, "first first": {0, 1, 2}, "first between": {1, 0, 2}} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3)
			for _, i := range order {
				c.start(i)
				moment()
			}
			c.eventually("all masters are in one cluster", func() error { return oneCluster(c.settled()) })
			c.mount("/data")
			sameDigest(c)
		})
	}
}

// oneCluster compares the cluster and the members as each master reports them.
func oneCluster(all []*masterv1.StatusResponse) error {
	first := all[0]
	for _, s := range all {
		if s.GetClusterId() != first.GetClusterId() || s.GetConfigurationIndex() != first.GetConfigurationIndex() || s.GetLeader() != first.GetLeader() {
			return fmt.Errorf("%s is in another cluster: %v, not %v", s.GetName(), s, first)
		}
		for i, p := range s.GetPeers() {
			if p.GetMemberId() != first.GetPeers()[i].GetMemberId() {
				return fmt.Errorf("%s has other members: %v, not %v", s.GetName(), s.GetPeers(), first.GetPeers())
			}
		}
	}
	return nil
}

// TestFormedClusterWithEmptyDisksIsNotFormedAgain: a cluster that was formed once and lost
// on every disk must not silently be formed again.
func TestFormedClusterWithEmptyDisksIsNotFormedAgain(t *testing.T) {
	c := newCluster(t, 3)
	for i := range 3 {
		c.start(i, "--formed")
	}
	c.eventually("the first master reports why it does not start", func() error {
		return contains(c, 0, "formed before")
	})
	time.Sleep(3 * time.Second) // long enough to form a cluster, if it did
	c.eventually("each master returns its status", func() error {
		var failed error
		for _, m := range c.admin.Members(t.Context()) {
			failed = errors.Join(failed, m.Err)
			if m.Status.GetLeader() != "" || len(m.Status.GetPeers()) != 0 || m.Status.GetReady() {
				t.Errorf("%s returned %v", m.Member.Name, m.Status)
			}
		}
		return failed
	})
}

func TestSIGTERMTransfersLeadership(t *testing.T) {
	c := newCluster(t, 3)
	for i := range 3 {
		c.start(i)
	}
	c.settled()
	s := startStream(c, "/data", 2, 1)
	s.awaitProgress(c)
	leader := c.leader()
	if state := c.end(leader, syscall.SIGTERM); !state.Success() {
		t.Errorf("after SIGTERM the leader exited with %s", state)
	}
	s.awaitProgress(c)
	if successor := c.leader(); successor == leader {
		t.Errorf("%s has exited, but is reported as the leader", c.Name(leader))
	}
	c.start(leader, "--formed")
	c.settled()

	// And once more, on request.
	to := c.Name((c.leader() + 1) % 3)
	c.eventually("leadership is transferred", func() error {
		got, err := c.admin.Transfer(t.Context(), to)
		if err == nil && got != to {
			t.Errorf("leadership was transferred to %s, not to %s", got, to)
		}
		return err
	})
	s.awaitProgress(c)
	s.finish(c)
	sameDigest(c)
}

// sameDigest compares the digests of all masters at an index that all of them
// have reached.
func sameDigest(c *cluster) {
	c.t.Helper()
	c.eventually("the masters have an index in common", func() error { return compareDigests(c, c.settled()) })
}

func digests(s *masterv1.StatusResponse) map[uint64]string {
	all := map[uint64]string{}
	for _, d := range s.GetDigests() {
		all[d.GetIndex()] = d.GetDigest()
	}
	return all
}
