package consensus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/master/consensus/consensustest"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

func TestWipedMemberJoinsAsNewMember(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	c.propose("before")
	lost := (leader + 1) % 3
	old := c.id(lost)
	c.kill(lost)
	c.propose("meanwhile")
	c.Wipe(lost)
	c.start(lost)
	c.eventually("wait for the old id to be replaced", func() error {
		for i, m := range c.members {
			if _, present := find(m.node.servers(), old); present {
				return fmt.Errorf("%s still has %s", c.Name(i), old)
			}
		}
		return nil
	})
	c.whole()
	if c.id(lost) == old {
		t.Fatal("the member has its old id")
	}
	c.propose("after")
	c.agree("before", "meanwhile", "after")
}

// TestTwoLostDisksAreNotFormedAgain: one member is not a majority of the three that
// acknowledged commands, regardless of what the two new ones report.
func TestTwoLostDisksAreNotFormedAgain(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, func(c *Config) { c.Formed = true })
	c.configs = nil
	c.startAll()
	leader := c.whole()
	c.propose("before")
	for i := range c.members {
		c.kill(i)
		if i != leader {
			c.Wipe(i)
		}
	}
	c.configs = []func(*Config){func(c *Config) { c.Formed = true }}
	c.startAll()
	c.eventually("wait for every reason", func() error {
		for i, m := range c.members {
			if i != leader && m.node.Reason() == "" {
				return fmt.Errorf("%s has no reason", c.Name(i))
			}
		}
		return nil
	})
	time.Sleep(3 * time.Second)
	for i, m := range c.members {
		if m.node.Status().GetReady() || m.node.readyTerm() != 0 {
			t.Errorf("%s is ready", c.Name(i))
		}
		if i != leader && m.node.voter() {
			t.Errorf("%s votes with an empty disk", c.Name(i))
		}
	}
}

func TestFormedNeverFormsAgain(t *testing.T) {
	t.Parallel()
	for name, formed := range map[string]func(string) bool{
		"every member has Formed":   func(string) bool { return true },
		"only the first has Formed": func(name string) bool { return name == "m-0" },
		"only another has Formed":   func(name string) bool { return name == "m-2" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 3, func(c *Config) { c.Formed = formed(c.Name) })
			c.startAll()
			c.eventually("wait for an error", func() error {
				for i, m := range c.members {
					if reason := m.node.Reason(); reason == "" {
						return fmt.Errorf("%s has no reason", c.Name(i))
					}
				}
				if !strings.Contains(c.members[0].node.Reason(), NoStateLeft) {
					return fmt.Errorf("the reason of the first is %q", c.members[0].node.Reason())
				}
				return nil
			})
			time.Sleep(time.Second)
			for i, m := range c.members {
				if m.node.hasState() || len(m.node.servers()) > 0 {
					t.Errorf("%s is in a cluster", c.Name(i))
				}
			}
		})
	}
}

func TestFormationWaitsForEveryMember(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.start(0)
	c.start(1)
	c.eventually("wait for the first to wait", func() error {
		if !strings.Contains(c.members[0].node.Reason(), "m-2 is unreachable") {
			return fmt.Errorf("the reason is %q", c.members[0].node.Reason())
		}
		return nil
	})
	if c.members[0].node.hasState() {
		t.Fatal("the first did not wait")
	}
	c.start(2)
	c.whole()
}

// TestAForeignMemberStopsFormation: the member that responds at an address of
// the topology must be the listed member, of this cluster.
func TestAForeignMemberStopsFormation(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		response *masterv1.DescribeResponse
		want     string
	}{
		"of another cluster": {&masterv1.DescribeResponse{Name: "m-1", ClusterId: "another"}, "belongs to cluster"},
		"of another name":    {&masterv1.DescribeResponse{Name: "m-9", ClusterId: consensustest.ClusterID}, "m-9 responded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2)
			c.Up(1, stranger{test.response})
			c.start(0)
			c.eventually("wait for an error", func() error {
				if !strings.Contains(c.members[0].node.Reason(), test.want) {
					return fmt.Errorf("the reason is %q", c.members[0].node.Reason())
				}
				return nil
			})
			if c.members[0].node.hasState() {
				t.Fatal("a cluster was formed")
			}
		})
	}
}

// TestAMemberThatWasReplacedRetires restarts a member with its old disk. It
// learns that it was replaced, stops, and starts again as a new member.
func TestAMemberThatWasReplacedRetires(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	lost := (c.whole() + 1) % 3
	old := c.id(lost)
	c.kill(lost)
	kept := c.DataDir(lost) + ".kept"
	if err := os.Rename(c.DataDir(lost), kept); err != nil {
		t.Fatal(err)
	}
	c.start(lost)
	c.whole()
	c.kill(lost)
	c.Wipe(lost)
	if err := os.Rename(kept, c.DataDir(lost)); err != nil {
		t.Fatal(err)
	}
	m := c.start(lost)
	if m.node.id != old {
		t.Fatal("the old disk has another id")
	}
	select {
	case err := <-m.fatal:
		if !strings.Contains(err.Error(), "was replaced") {
			t.Fatalf("stopped with %v", err)
		}
	case <-time.After(waitTimeout):
		t.Fatal("the member did not stop")
	}
	c.kill(lost)
	c.start(lost)
	c.whole()
	if c.id(lost) == old {
		t.Fatal("the member started again with its old id")
	}
	if _, err := os.Stat(filepath.Join(c.DataDir(lost), "aside-"+string(old))); err != nil {
		t.Fatalf("the old directory is missing: %v", err)
	}
}

func TestJoinRefuses(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	other := (leader + 1) % 3
	node := c.members[leader].node
	sound := func() *masterv1.JoinRequest {
		return &masterv1.JoinRequest{
			Name: c.Name(other), MemberId: c.Name(other) + "-ffffffffffffffff",
			Address: c.Topology.Masters[other].RaftAddress(), ClusterId: consensustest.ClusterID,
		}
	}
	for name, test := range map[string]struct {
		change func(*masterv1.JoinRequest)
		want   string
	}{
		"another cluster":  {func(r *masterv1.JoinRequest) { r.ClusterId = "another" }, "belongs to cluster"},
		"not listed":       {func(r *masterv1.JoinRequest) { r.Name, r.MemberId = "m-9", "m-9-ff" }, "not a master"},
		"id of another":    {func(r *masterv1.JoinRequest) { r.MemberId = "m-9-ff" }, "does not match its name"},
		"the leader's own": {func(r *masterv1.JoinRequest) { r.Name, r.MemberId = c.Name(leader), c.Name(leader)+"-ff" }, "name of this member"},
		"no address":       {func(r *masterv1.JoinRequest) { r.Address = "" }, "address is empty"},
	} {
		r := sound()
		test.change(r)
		if _, err := node.AddMember(c.context(), r); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, test.want)
		}
	}
	var follower *NotLeaderError
	if _, err := c.members[other].node.AddMember(c.context(), &masterv1.JoinRequest{
		Name: c.Name(leader), MemberId: string(node.id), Address: "x:1", ClusterId: consensustest.ClusterID,
	}); !errors.As(err, &follower) || follower.Leader != c.Name(leader) {
		t.Errorf("a follower returned %v", err)
	}
	r := sound()
	r.HasState = true
	if response, err := node.AddMember(c.context(), r); err != nil || !response.GetRemoved() {
		t.Errorf("an unknown member with a log: %v, %v", response, err)
	}
	if got := len(node.servers()); got != 3 {
		t.Errorf("the configuration has %d members now", got)
	}
}

// TestMayRemove: the remaining voters must have a majority that is alive and
// caught up.
func TestMayRemove(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	a, b := (leader+1)%3, (leader+2)%3
	node := c.members[leader].node
	c.eventually("it may be removed with the other follower alive", func() error { return node.mayRemove(c.id(a)) })
	lost := c.id(a)
	c.kill(b)
	c.eventually("wait until the contact with the other follower is stale", func() error {
		if err := node.mayRemove(lost); err == nil {
			return errors.New("it may be removed")
		}
		return nil
	})
}

// transfer transfers leadership from the member that has it, which must return the
// name of the i-th member.
func (c *cluster) transfer(to string, i int) {
	c.t.Helper()
	c.eventually("transfer leadership", func() error {
		name, err := c.members[c.leader()].node.Transfer(c.context(), to)
		if err == nil && name != c.Name(i) {
			c.t.Errorf("leadership was transferred to %q, not to %s", name, c.Name(i))
		}
		return err
	})
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	to := (leader + 1) % 3
	c.transfer(c.Name(to), to)
	c.eventually("wait for the successor", func() error {
		if got := c.whole(); got != to {
			return fmt.Errorf("%s leads", c.Name(got))
		}
		return nil
	})
	var follower *NotLeaderError
	if _, err := c.members[leader].node.Transfer(c.context(), ""); !errors.As(err, &follower) {
		t.Errorf("Transfer on a follower: %v", err)
	}
	if name, err := c.members[to].node.Transfer(c.context(), c.Name(to)); err != nil || name != c.Name(to) {
		t.Errorf("Transfer to itself: %q, %v", name, err)
	}
	if _, err := c.members[to].node.Transfer(c.context(), "m-9"); err == nil {
		t.Error("to any")
	}
	// The library's own choice after an election may be an unreachable member.
	dead := 3 - leader - to
	c.kill(dead)
	c.eventually("wait until the contact with the dead member is stale", func() error {
		if successor, err := c.members[to].node.successor(""); err != nil || successor.ID != c.id(leader) {
			return fmt.Errorf("the successor is %s, %w", successor.ID, err)
		}
		return nil
	})
	c.transfer("", leader)
}

// TestAMemberWithoutVoteIsNotReady checks also that it is not made the leader.
func TestAMemberWithoutVoteIsNotReady(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	c.startAll()
	leader := c.whole()
	other := (leader + 1) % 3
	node := c.members[leader].node
	c.members[other].idle() // or it would request its vote again
	if err := node.change(c.context(), func() raft.IndexFuture { return node.raft.DemoteVoter(c.id(other), 0, waitTimeout) }); err != nil {
		t.Fatal(err)
	}
	for _, s := range node.servers() {
		if s.ID == c.id(other) && s.Suffrage == raft.Voter {
			t.Fatal("the member still has a vote")
		}
	}
	c.eventually("wait for the status", func() error {
		if status := c.members[other].node.Status(); status.GetVoter() || status.GetReady() || status.GetState() != stateJoining {
			return fmt.Errorf("status: %v", status)
		}
		return nil
	})
	if _, err := node.Transfer(c.context(), c.Name(other)); err == nil {
		t.Fatal("the member became the leader")
	}
}

// stranger responds in place of a member.
type stranger struct{ response *masterv1.DescribeResponse }

func (s stranger) Describe(*masterv1.DescribeRequest) *masterv1.DescribeResponse { return s.response }

func (s stranger) AddMember(context.Context, *masterv1.JoinRequest) (*masterv1.JoinResponse, error) {
	return nil, errors.New("not implemented")
}
